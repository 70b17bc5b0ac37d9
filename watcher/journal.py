"""The journal: what each stack was last asked to declare, and whether that ended well.

One Secret for each ReviewApp, in the watcher's namespace, written before the engine starts and after
it succeeded. It outlives the watcher, its work folders and the Pulumi state, so that an update that was
cut off is finished with the inputs it had. The watcher that leads is its only writer and keeps it in memory;
what another has written since is never written over.
"""

from __future__ import annotations

import base64
import dataclasses
import json
import threading
from contextlib import suppress
from http import HTTPStatus
from typing import Literal

import structlog

from provisioner.errors import ReviewAppError
from stacks import naming
from stacks.inputs import StackInputs
from watcher.cluster import SECRETS, ApiRefused, Cluster, Object

_log = structlog.get_logger()
_LABEL = f"{naming.GROUP}/journal"

Phase = Literal["applying", "applied", "destroying", "destroyed"]


@dataclasses.dataclass(frozen=True)
class Entry:
    """The last word on one ReviewApp's stack.

    Attributes:
        review_app: the ReviewApp's name.
        phase: how far the engine came. `applying` and `destroying` mean that it was cut off, if no engine runs.
        inputs: what the stack was last asked to declare.
        namespaces: every namespace in which the stack may have objects.
        host: where the engine of this phase was started.
        earlier_hosts: where engines were started before that one, none of which is known to have ended well.
    """

    review_app: str
    phase: Phase
    inputs: StackInputs
    namespaces: tuple[str, ...]
    host: str
    earlier_hosts: tuple[str, ...] = ()

    def begun(self, phase: Phase, host: str) -> Entry:
        """Return what to write before an engine is started for it: those that were cut off may have left a lock."""
        earlier = {self.host, *self.earlier_hosts} - {host}
        return dataclasses.replace(self, phase=phase, host=host, earlier_hosts=tuple(sorted(earlier)))

    def ended(self, phase: Phase) -> Entry:
        """Return what to write when the engine has ended well: no earlier one has left anything."""
        return dataclasses.replace(self, phase=phase, earlier_hosts=())

    @property
    def digest(self) -> str:
        """The digest of the inputs."""
        return self.inputs.digest()


class StackHeld(ReviewAppError):
    """A ReviewApp can't have an entry for a stack that the ReviewApp `holder` has one for."""

    reason = "StackHeld"

    def __init__(self, stack: str, holder: str) -> None:
        self.holder = holder
        super().__init__(f"stack {stack} is that of ReviewApp {holder}: delete one of the two")


class HostHeld(ReviewAppError):
    """A ReviewApp can't have an entry for an app whose name, and so whose host, the ReviewApp `holder` has."""

    reason = "HostHeld"

    def __init__(self, app: str, holder: str) -> None:
        self.holder = holder
        super().__init__(f"the host of {app} is that of ReviewApp {holder}: delete one of the two")


class JournalChanged(ReviewAppError):
    """An entry is another one than we knew: it is known now, and what was to be written has to be decided anew."""

    reason = "JournalChanged"

    def __init__(self, review_app: str) -> None:
        super().__init__(f"the journal's entry of {review_app} was written by somebody else: it is looked at anew")


class Journal:
    """All entries, in memory and in the cluster.

    A stack, and an app's name with the host that it is part of, are one ReviewApp's at a time: that of its first entry.
    """

    def __init__(self, cluster: Cluster, namespace: str) -> None:
        self._cluster = cluster
        self._namespace = namespace
        self._entries: dict[str, Entry] = {}
        self._holders: dict[str, str] = {}
        self._host_holders: dict[str, str] = {}
        # Resource versions by name of the Secret.
        self._versions: dict[str, str] = {}
        self._lock = threading.Lock()

    def load(self) -> None:
        """Read all entries from the cluster; to be called once, before any other method."""
        secrets, _ = self._cluster.list(SECRETS, self._namespace, label_selector=_LABEL)
        # Oldest first: where two have one host from a time when that could be, it is the first one's.
        for secret in sorted(secrets, key=lambda secret: secret["metadata"].get("creationTimestamp", "")):
            self._versions[secret["metadata"]["name"]] = secret["metadata"]["resourceVersion"]
            try:
                entry = _entry(secret)
            except ValueError as error:
                # Without it the next update starts as a first one; created objects are adopted.
                _log.error("journal_unreadable", secret=secret["metadata"]["name"], error=type(error).__name__)
                continue
            self._entries[entry.review_app] = entry
            self._holders.setdefault(entry.inputs.stack, entry.review_app)
            self._host_holders.setdefault(entry.inputs.name, entry.review_app)

    def learn(self, review_app: str) -> None:
        """Read the entry of a ReviewApp that none is known of: somebody else has written it.

        Raises:
            ApiRefused, ClusterUnreachable: it could not be read.
        """
        found, _ = self._cluster.list(SECRETS, self._namespace, name=_secret_name(review_app))
        for secret in found:
            with suppress(ValueError):
                entry = _entry(secret)
                with self._lock:
                    self._take(entry.inputs.stack, entry.inputs.name, review_app)
                    self._versions[secret["metadata"]["name"]] = secret["metadata"]["resourceVersion"]
                    self._entries[review_app] = entry

    def get(self, review_app: str) -> Entry | None:
        """Return the entry of a ReviewApp."""
        with self._lock:
            return self._entries.get(review_app)

    def all(self) -> list[Entry]:
        """Return every entry."""
        with self._lock:
            return list(self._entries.values())

    def holder(self, stack: str) -> str | None:
        """Return the name of the ReviewApp that has this stack."""
        with self._lock:
            return self._holders.get(stack)

    def host_holder(self, app: str) -> str | None:
        """Return the name of the ReviewApp that has the app of this name, and so its host."""
        with self._lock:
            return self._host_holders.get(app)

    def write(self, entry: Entry) -> None:
        """Keep an entry, in the cluster first.

        Raises:
            StackHeld: the stack is another ReviewApp's.
            HostHeld: the app's name, and so its host, is another ReviewApp's.
            JournalChanged: another watcher, or somebody by hand, has written an entry since; that is the one known now.
            ApiRefused, ClusterUnreachable: it could not be written; nothing is remembered then.
        """
        stack, app = entry.inputs.stack, entry.inputs.name
        # Two ReviewApps can ask for one stack at the same time: the first here gets it, before anything is written.
        with self._lock:
            self._take(stack, app, entry.review_app)
        secret = _secret(entry, self._namespace)
        try:
            self._store(secret, entry.review_app)
        except ReviewAppError:
            with self._lock:
                if entry.review_app not in self._entries:
                    del self._holders[stack]
                    del self._host_holders[app]
            raise
        with self._lock:
            self._entries[entry.review_app] = entry

    def remove(self, review_app: str) -> None:
        """Forget a ReviewApp."""
        name = _secret_name(review_app)
        self._cluster.delete(SECRETS, self._namespace, name)
        with self._lock:
            self._versions.pop(name, None)
            entry = self._entries.pop(review_app, None)
            if entry and self._holders.get(entry.inputs.stack) == review_app:
                del self._holders[entry.inputs.stack]
            if entry and self._host_holders.get(entry.inputs.name) == review_app:
                del self._host_holders[entry.inputs.name]

    def _take(self, stack: str, app: str, review_app: str) -> None:
        known = self._entries.get(review_app)
        if known and (known.inputs.stack, known.inputs.name) == (stack, app):
            # It may be the second of a host from a time when that could be: it must still be destroyed.
            self._holders.setdefault(stack, review_app)
            self._host_holders.setdefault(app, review_app)
            return
        if (holder := self._holders.get(stack, review_app)) != review_app:
            raise StackHeld(stack, holder)
        if (holder := self._host_holders.get(app, review_app)) != review_app:
            raise HostHeld(app, holder)
        self._holders[stack] = self._host_holders[app] = review_app

    def _store(self, secret: Object, review_app: str) -> None:
        name = secret["metadata"]["name"]
        version = self._versions.get(name)
        try:
            if version:
                secret["metadata"]["resourceVersion"] = version
                answer = self._cluster.replace(SECRETS, self._namespace, secret)
            else:
                answer = self._cluster.create(SECRETS, self._namespace, secret)
        except ApiRefused as refused:
            if refused.status == HTTPStatus.NOT_FOUND:
                # Somebody has deleted it.
                del secret["metadata"]["resourceVersion"]
                answer = self._cluster.create(SECRETS, self._namespace, secret)
            elif refused.status == HTTPStatus.CONFLICT:
                answer = self._there(secret, review_app)
            else:
                raise
        self._versions[name] = answer["metadata"]["resourceVersion"]

    def _there(self, secret: Object, review_app: str) -> Object:
        """Return the Secret that is there in place of the version we know, if it says what we write anyway.

        The answer to a write of ours may have been lost.
        """
        name = secret["metadata"]["name"]
        found, _ = self._cluster.list(SECRETS, self._namespace, name=name)
        if found and found[0].get("data") == secret["data"]:
            return found[0]
        with self._lock:
            self._versions.pop(name, None)
            if found:
                self._versions[name] = found[0]["metadata"]["resourceVersion"]
                with suppress(ValueError):
                    self._entries[review_app] = _entry(found[0])
        raise JournalChanged(review_app)


def _secret_name(review_app: str) -> str:
    return naming.part_name("review-app", naming.slug(review_app, 48))


def _secret(entry: Entry, namespace: str) -> Object:
    document = {
        "reviewApp": entry.review_app,
        "phase": entry.phase,
        "namespaces": entry.namespaces,
        "host": entry.host,
        "earlierHosts": entry.earlier_hosts,
        "inputs": entry.inputs.model_dump(mode="json"),
    }
    return {
        "apiVersion": "v1",
        "kind": "Secret",
        "type": f"{naming.GROUP}/journal",
        "metadata": {
            "name": _secret_name(entry.review_app),
            "namespace": namespace,
            "labels": {_LABEL: "true", "app.kubernetes.io/managed-by": "reviewapp"},
        },
        "data": {"entry": base64.b64encode(json.dumps(document).encode()).decode()},
    }


def _entry(secret: Object) -> Entry:
    try:
        document = json.loads(base64.b64decode(secret["data"]["entry"]))
        return Entry(
            review_app=document["reviewApp"],
            phase=document["phase"],
            inputs=StackInputs.model_validate(document["inputs"]),
            namespaces=tuple(document["namespaces"]),
            host=document["host"],
            earlier_hosts=tuple(document.get("earlierHosts", ())),
        )
    except (KeyError, TypeError) as error:
        raise ValueError(str(error)) from None
