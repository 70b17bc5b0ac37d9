"""Ask the registry which image a tag names, with the credentials that builds push with.

Reads alone. Whatever goes wrong is "not known" and told to whoever made the `Registry`: a commit can always be built.
"""

from __future__ import annotations

import base64
import re
from collections.abc import Callable
from http import HTTPStatus
from typing import Final
from urllib.parse import urlsplit

import httpx
from pydantic import BaseModel, Field, ValidationError

from provisioner.errors import ReviewAppError
from provisioner.settings import StackSettings
from watcher.cluster import SECRETS, Cluster, section

# A worker waits for it before each new build.
_TIMEOUT: Final = httpx.Timeout(5.0, connect=2.0)
_KINDS: Final = ", ".join(
    (
        "application/vnd.oci.image.manifest.v1+json",
        "application/vnd.oci.image.index.v1+json",
        "application/vnd.docker.distribution.manifest.v2+json",
        "application/vnd.docker.distribution.manifest.list.v2+json",
    )
)
_DIGEST: Final = re.compile(r"sha256:[0-9a-f]{64}")
_CHALLENGE: Final = re.compile(r'(\w+)="([^"]*)"')
# Where Docker Hub answers, and what Docker's configuration calls it.
_HUB: Final = "docker.io"
_HUB_HOST: Final = "registry-1.docker.io"
_HUB_KEY: Final = "index.docker.io"


class _Entry(BaseModel):
    username: str = ""
    password: str = Field(default="", repr=False)
    auth: str = Field(default="", repr=False)


class _Token(BaseModel):
    token: str = Field(default="", repr=False)
    access_token: str = Field(default="", repr=False)


class _Configuration(BaseModel):
    auths: dict[str, _Entry] = {}


Credentials = tuple[str, str]
"""User and password."""


class Registry:
    """The registry of the settings, as the Secret that builds push with allows to read it."""

    def __init__(self, cluster: Cluster, settings: StackSettings, unanswered: Callable[[str, str], None]) -> None:
        """Prepare to ask; without a Secret, as anybody.

        Args:
            cluster: where the Secret is.
            settings: which registry, and which Secret.
            unanswered: told of an image about which nothing could be learnt, and why.
        """
        self._cluster = cluster
        self._settings = settings
        self._unanswered = unanswered

    def digest(self, image: str) -> str | None:
        """Return `<repository>@sha256:…` of an image given by tag or digest; None if it is not there, or not known."""
        host, _, rest = image.partition("/")
        repository, separator, reference = rest.partition("@") if "@" in rest else rest.rpartition(":")
        if not separator:
            return None
        scheme = "http" if self._settings.registry_insecure else "https"
        url = f"{scheme}://{_HUB_HOST if host == _HUB else host}/v2/{repository}/manifests/{reference}"
        try:
            credentials = self._credentials(host)
            with httpx.Client(timeout=_TIMEOUT) as client:
                answer = _ask(client, url, credentials)
        except (httpx.HTTPError, httpx.InvalidURL, ReviewAppError, ValueError) as error:
            self._unanswered(image, str(error) or type(error).__name__)
            return None
        if answer.status_code == HTTPStatus.NOT_FOUND:
            return None
        digest = answer.headers.get("Docker-Content-Digest", "")
        if not answer.is_success or not _DIGEST.fullmatch(digest):
            self._unanswered(image, f"the registry answered {answer.status_code}, digest {digest!r}")
            return None
        return f"{host}/{repository}@{digest}"

    def _credentials(self, host: str) -> Credentials | None:
        name = self._settings.push_secret_name
        if name is None:
            return None
        secret = self._cluster.get(SECRETS, self._settings.build_namespace, name)
        text = section(secret or {}, "data").get(".dockerconfigjson", "")
        return credentials_for(host, base64.b64decode(text)) if text else None


def credentials_for(host: str, configuration: bytes) -> Credentials | None:
    """Return what a Docker configuration has for a registry.

    Raises:
        ValueError: it is none, or what it has for that registry is not user and password.
    """
    try:
        configured = _Configuration.model_validate_json(configuration).auths
    except ValidationError:
        raise ValueError("the Secret holds no Docker configuration") from None
    wanted = _HUB_KEY if host == _HUB else host
    for key, entry in configured.items():
        # Keys may have a scheme and a path, as in https://index.docker.io/v1/.
        if (urlsplit(key).netloc or key.partition("/")[0]) != wanted:
            continue
        if entry.username and entry.password:
            return entry.username, entry.password
        user, colon, password = base64.b64decode(entry.auth, validate=True).decode().partition(":")
        if not colon:
            raise ValueError("the Secret's Docker configuration has no user and password for the registry")
        return user, password
    return None


def _ask(client: httpx.Client, url: str, credentials: Credentials | None) -> httpx.Response:
    """Return the answer to a HEAD, authenticated as the registry asks for it.

    https://distribution.github.io/distribution/spec/auth/token/
    """
    headers = {"Accept": _KINDS}
    answer = client.head(url, headers=headers)
    if answer.status_code != HTTPStatus.UNAUTHORIZED:
        return answer
    kind, _, rest = answer.headers.get("WWW-Authenticate", "").partition(" ")
    if kind.lower() == "basic" and credentials:
        return client.head(url, headers=headers, auth=credentials)
    if kind.lower() != "bearer":
        return answer
    challenge: dict[str, str] = dict(_CHALLENGE.findall(rest))
    realm = challenge.get("realm", "")
    if urlsplit(realm).scheme != "https" and urlsplit(url).scheme == "https":
        raise ValueError("the registry sends credentials to where anybody could read them")
    query = {name: challenge[name] for name in ("service", "scope") if name in challenge}
    given = _Token.model_validate_json(client.get(realm, params=query, auth=credentials).raise_for_status().content)
    token = given.token or given.access_token
    return client.head(url, headers=headers | {"Authorization": f"Bearer {token}"})
