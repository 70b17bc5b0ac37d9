"""A tarball that can't be fetched: which, why, and what heals it."""

from __future__ import annotations

import pytest

from tests.e2e.pull_request import PullRequest
from tests.e2e.side_by_side import side_by_side

pytestmark = pytest.mark.cluster


@side_by_side
def test_it_says_which_and_why_and_the_right_address_heals_it(
    pull_request: PullRequest, commits: dict[str, str]
) -> None:
    nowhere = "http://no-such-host.invalid/shop.tar.gz"
    pull_request.open(commits["first"], tarballUrl=nowhere)
    failed = pull_request.until_condition("Built", "False", "BuildFailed")
    assert f"cannot fetch {nowhere}" in failed["message"]

    missing = pull_request.tarball_url("f" * 40)
    pull_request.push(commits["second"], tarballUrl=f"{missing}?signature=secret")
    pull_request.until_condition("Built", "Unknown", "Building")
    failed = pull_request.until_condition("Built", "False", "BuildFailed")
    assert f"{missing} answered 404 Not Found: check that the tarball" in failed["message"]
    assert "signature" not in failed["message"]
    assert pull_request.status()["buildStatus"] == "error"

    # Of the same commit, in another place.
    pull_request.push(commits["second"])
    pull_request.until_ready(commits["second"])
