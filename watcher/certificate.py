"""The wildcard certificate that the settings name, as it is now: it can arrive late, and it is renewed."""

from __future__ import annotations

import base64
from collections.abc import Callable

import structlog
from pydantic import SecretStr

from stacks.inputs import TLS
from watcher.cluster import SECRETS, Cluster, Object, section
from watcher.informers import Informer

_log = structlog.get_logger()


class WildcardCertificate:
    """Certificate and key of one TLS Secret; to be read once its informer has synced."""

    def __init__(self, cluster: Cluster, secret: str, on_change: Callable[[], None]) -> None:
        """Prepare to watch the Secret `secret`, given as namespace/name; `on_change` is called at each change."""
        self._secret = secret
        self._on_change = on_change
        namespace, name = secret.split("/", 1)
        self._key = (name, namespace)
        self.informer = Informer(cluster, SECRETS, self._changed, only=(namespace, name))

    def get(self) -> TLS | None:
        """Return the certificate; None where the Secret is missing, or holds none in PEM."""
        return certificate(self.informer.get(*self._key))

    def warn_if_missing(self) -> None:
        """Say in the log that apps are reached by plain HTTP, if they are."""
        if self.get() is None:
            remedy = "create it as a Secret of type kubernetes.io/tls, or unset tls_secret"
            _log.warning("wildcard_certificate_missing", secret=self._secret, remedy=remedy)

    def _changed(self, _item: Object) -> None:
        self._on_change()


def certificate(secret: Object | None) -> TLS | None:
    """Return what a TLS Secret holds; None where it is missing, or holds no PEM."""
    data = section(secret or {}, "data")
    if not {"tls.crt", "tls.key"} <= data.keys():
        return None
    try:
        public, private = (base64.b64decode(data[part]).decode("ascii") for part in ("tls.crt", "tls.key"))
    except UnicodeDecodeError:  # PEM is ASCII: whatever this is, it is no certificate.
        return None
    return TLS(certificate=SecretStr(public), key=SecretStr(private))
