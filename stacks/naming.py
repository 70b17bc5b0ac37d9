"""Names, labels and annotations of everything that a stack declares.

Pure functions from what a ReviewApp says to names that Kubernetes accepts. The same input gives the
same name for ever: objects are found again by name after a crash.
"""

from __future__ import annotations

import hashlib
import re
from typing import Final

GROUP: Final = "reviewtron.k8s.revelry.co"
"""API group of the ReviewApp resource and prefix of our labels and annotations."""

APP_LABEL: Final = f"{GROUP}/app"
BUILD_LABEL: Final = f"{GROUP}/build"
STACK_LABEL: Final = f"{GROUP}/stack"
COMPONENT_LABEL: Final = f"{GROUP}/component"
COMMIT_ANNOTATION: Final = f"{GROUP}/commit"
PAUSED_ANNOTATION: Final = f"{GROUP}/paused"
"""Annotation of a ReviewApp: with the value `true` no Pod of the app runs. Builds go on."""
REBUILD_ANNOTATION: Final = f"{GROUP}/rebuild"
"""Annotation of a ReviewApp: each new value builds its commit once more."""
RESET_DATABASE_ANNOTATION: Final = f"{GROUP}/reset-database"
"""Annotation of a ReviewApp: each new value makes its database anew."""
ORPHAN_ANNOTATION: Final = f"{GROUP}/orphan"
"""Annotation of a ReviewApp: with the value `true` its deletion leaves all that it has where it is."""
ORPHANED_LABEL: Final = f"{GROUP}/orphaned"
"""Label of what was left so; the name of the stack that had it."""
ADOPTED_ANNOTATION: Final = f"{GROUP}/adopted"
"""Annotation of a ReviewApp: when `reviewapp adopt` took what another operator had made for it, as a time."""
ALLOW_ANNOTATION: Final = f"{GROUP}/allow"
"""Annotation of a namespace: patterns of the repositories whose review apps its owner lets in."""
SHARED_LABEL: Final = f"{GROUP}/shared"
"""Label of a Secret or ConfigMap: with the value `true` review apps may name it, where the settings ask for a label."""
FINALIZER: Final = f"{GROUP}/stack"

TLS_SUFFIX: Final = "tls"
"""Suffix of an app's copy of the wildcard TLS secret."""

MAXIMUM_LENGTH: Final = 63
"""Longest DNS label, and longest label value.

https://kubernetes.io/docs/concepts/overview/working-with-objects/names/
"""

_DIGEST_LENGTH: Final = 8
_DIGESTED = re.compile(rf".*-[0-9a-f]{{{_DIGEST_LENGTH}}}")
# What is added to `<repo>-<pr>`: "--" and ten characters of a commit, "-" and an attempt, then the "-xxxxx" of a
# Job's Pods; or the "-" and ten characters of a ReplicaSet, then the "-xxxxx" of its Pods.
_SUFFIX_ROOM: Final = 24

_ROLE_LENGTH: Final = 64
_ATTEMPT_LENGTH: Final = 5
# No digit, or a Job's name could be that of an app; no vowel, or it could be a word.
_ATTEMPT_LETTERS: Final = "bcdfghjklmnpqrstvwxz"


def _digest(text: str) -> str:
    return hashlib.sha256(text.encode(errors="surrogatepass")).hexdigest()[:_DIGEST_LENGTH]


def slug(text: str, maximum: int = MAXIMUM_LENGTH) -> str:
    """Return `text` as a DNS label of at most `maximum` characters.

    Case is folded, as it is on every forge. Where anything else had to be changed or cut, a digest of
    the original is added, so that two texts never get the same label; a text that looks as if it had
    one already gets one too.
    """
    folded = text.lower()
    safe = re.sub(r"[^a-z0-9-]+", "-", folded).strip("-")
    if safe and safe == folded and len(safe) <= maximum and not _DIGESTED.fullmatch(safe):
        return safe
    return f"{safe[: maximum - _DIGEST_LENGTH - 1].strip('-') or 'x'}-{_digest(folded)}"


def app_name(repository: str, pull_request: str) -> str:
    """Return `<repo>-<pr>`: the Deployment's, the Service's and the host's name."""
    return f"{slug(repository, MAXIMUM_LENGTH - _SUFFIX_ROOM - len(pull_request) - 1)}-{pull_request}"


def own_namespace(app: str) -> str:
    """Return the name of the namespace that an app has for itself, where each has one."""
    return f"review-{app}"


def part_name(app: str, suffix: str) -> str:
    """Return `<app>--<suffix>`: the name of a further object of the app."""
    return slug(f"{app}--{suffix}")


def attempt(token: str) -> str:
    """Return the letters that tell one attempt to build a commit from another, from whatever text asks for it."""
    digest = hashlib.sha256(token.encode(errors="replace")).digest()
    return "".join(_ATTEMPT_LETTERS[byte % len(_ATTEMPT_LETTERS)] for byte in digest[:_ATTEMPT_LENGTH])


def build_job_name(app: str, commit: str, attempt: str = "") -> str:
    """Return the build Job's name: the app, ten characters of the commit, and the attempt where it is not the first."""
    short = commit[:10].lower()
    if len(short) == _DIGEST_LENGTH:
        # It would be taken for a digest, and get one too, for which there is no room.
        short = f"{short[:7]}{_digest(short)[:3]}"
    return part_name(app, _with_attempt(short, attempt))


def stack_name(owner: str, repository: str, pull_request: str) -> str:
    """Return `<owner>.<repo>.<pr>`, at most 63 characters, so that it is a label value too.

    An owner or a repository can hold dots itself; `slug` gives those a digest.
    """
    owner_slug = slug(owner, 24)
    return f"{owner_slug}.{slug(repository, MAXIMUM_LENGTH - len(owner_slug) - len(pull_request) - 2)}.{pull_request}"


def role_name(stack: str, installation: str) -> str:
    """Return the name of a stack's role in AWS, which no other role of the account has, whatever its path.

    Args:
        stack: the stack's name; as much of it as fits is there to be read.
        installation: what tells this installation from others in the account.
    """
    # https://docs.aws.amazon.com/IAM/latest/UserGuide/reference_iam-quotas.html
    # Twice as long as elsewhere: who finds two repositories of one digest has the other's role.
    digest = hashlib.sha256(f"{installation} {stack}".encode()).hexdigest()[: 2 * _DIGEST_LENGTH]
    return f"{stack[: _ROLE_LENGTH - len(digest) - 1]}-{digest}"


def image_reference(
    registry: str, owner: str, repository: str, pull_request: str, commit: str, attempt: str = ""
) -> str:
    """Return where the image of a commit of a pull request is pushed, with its tag."""
    tag = _with_attempt(f"{pull_request}-{commit[:12].lower()}", attempt)
    return f"{registry}/{slug(owner)}/{slug(repository)}:{tag}"


def cache_reference(registry: str, owner: str, repository: str) -> str:
    """Return where the layers of the newest build of a repository are pushed; no image of a commit has such a tag."""
    return f"{registry}/{slug(owner)}/{slug(repository)}:cache"


def _with_attempt(name: str, attempt: str) -> str:
    return f"{name}-{attempt}" if attempt else name


def labels(repository: str, pull_request: str, stack: str) -> dict[str, str]:
    """Return the labels that every object of a stack carries."""
    return {
        "app.kubernetes.io/managed-by": "reviewapp",
        APP_LABEL: slug(repository),
        BUILD_LABEL: pull_request,
        STACK_LABEL: stack,
    }
