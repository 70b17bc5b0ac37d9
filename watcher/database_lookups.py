"""Look up what is to be known before a database is made; what has been made is in the journal."""

from __future__ import annotations

import hmac
import secrets
from typing import Final

from pydantic import SecretStr

from provisioner.databases import Operators, is_kept
from provisioner.review_app import Spec
from watcher.cluster import Cluster
from watcher.databases import database_attempt
from watcher.operators import look_up_operators
from watcher.view import View

# New with each watcher: what is drawn by it is kept in the journal.
_DRAWN: Final = secrets.token_bytes(32)


def look_up_database(cluster: Cluster, view: View, spec: Spec) -> tuple[Operators | None, SecretStr | None]:
    """Return what the cluster has of the operator that is asked for, and a password; nothing where none is to be made.

    The password of a ReviewApp is the same one, as long as this process lives.
    """
    asked, database = spec.config.database, view.previous and view.previous.database
    if asked is None or is_kept(asked, database, database_attempt(view.review_app)):
        return None, None
    uid: str = view.review_app["metadata"].get("uid", view.name)
    password = SecretStr(hmac.digest(_DRAWN, uid.encode(), "sha256").hex()[:40])
    return look_up_operators(cluster, asked.backend), password
