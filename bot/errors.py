"""Every error of the bot's side, each with what to do next.

    ReviewAppError
    ├── CheckoutUnusable   the checkout lacks what is to be submitted
    ├── UploadFailed       the tarball could not be put where it is fetched from
    └── ForgeRefused       the forge does not let us read or write the comment

No message carries a token or a signed address.
"""

from __future__ import annotations

from provisioner.errors import ReviewAppError


class CheckoutUnusable(ReviewAppError):
    """The checkout lacks what is to be submitted, or git can't read it."""

    reason = "CheckoutUnusable"


class UploadFailed(ReviewAppError):
    """The tarball could not be put where it is fetched from."""

    reason = "UploadFailed"


class ForgeRefused(ReviewAppError):
    """The forge does not let us read or write the comment, or does not answer."""

    reason = "ForgeRefused"
