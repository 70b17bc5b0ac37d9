"""The wildcard certificate that the settings name, as it is now. Read from the cluster, at most twice a minute."""

from __future__ import annotations

import base64
import threading
import time

import structlog
from pydantic import SecretStr

from stacks.inputs import TLS
from watcher.cluster import SECRETS, Cluster, section

_log = structlog.get_logger()
_FRESH_SECONDS = 30.0


class WildcardCertificate:
    """Certificate and key of the TLS Secret `namespace/name`, or None where no such Secret is to be had."""

    def __init__(self, cluster: Cluster, secret: str | None) -> None:
        self._cluster = cluster
        self._secret = secret
        self._lock = threading.Lock()
        self._value: TLS | None = None
        self._read_at: float | None = None

    def get(self) -> TLS | None:
        """Return the certificate; None if the settings name none, or the Secret is missing.

        Raises:
            ApiRefused, ClusterUnreachable: the Secret can't be read.
        """
        if self._secret is None:
            return None
        with self._lock:
            if self._read_at is None or time.monotonic() - self._read_at > _FRESH_SECONDS:
                self._value = self._read(*self._secret.split("/", 1))
                self._read_at = time.monotonic()
            return self._value

    def _read(self, namespace: str, name: str) -> TLS | None:
        secret = self._cluster.get(SECRETS, namespace, name)
        data = section(secret or {}, "data")
        if not {"tls.crt", "tls.key"} <= data.keys():
            _log.warning(
                "wildcard_certificate_missing", secret=f"{namespace}/{name}", remedy="create it, or unset tls_secret"
            )
            return None
        certificate, key = (base64.b64decode(data[part]).decode() for part in ("tls.crt", "tls.key"))
        return TLS(certificate=SecretStr(certificate), key=SecretStr(key))
