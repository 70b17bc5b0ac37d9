"""The watcher as it is, with orders looked for at the points of `points.py`: `python -m tests.chaos.watch watch`.

The product has no hooks for this: its methods are wrapped here, and nothing else of it is changed.
"""

from __future__ import annotations

import functools
import os
import signal
import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any

from provisioner.backend import StackProject
from provisioner.engine import Engine
from provisioner.processes import engines_of
from provisioner.stack_files import StackFiles
from stacks.naming import FINALIZER
from tests.chaos.points import ORDERS_VARIABLE, Order, Orders
from watcher.cli import main
from watcher.cluster import EVENTS, LEASES, REVIEW_APPS, ROLE_BINDINGS, Cluster, Object, Resource
from watcher.journal import Entry, Journal

_orders = Orders(Path(os.environ[ORDERS_VARIABLE]))


def _reach(point: str) -> None:
    if order := _orders.take(point):
        _obey(order)


def _obey(order: Order) -> None:
    if order.act == "pause":
        os.kill(os.getpid(), signal.SIGSTOP)
        return
    if order.act == "kill with engines":
        for pid in engines_of(os.getpid()):
            os.kill(pid, signal.SIGKILL)
    os.kill(os.getpid(), signal.SIGKILL)


def _wrap(owner: type, name: str, step: Callable[..., str | None]) -> None:
    """Have orders looked for before and after a method whenever `step` has a name for what it is called with."""
    method = getattr(owner, name)

    @functools.wraps(method)
    def wrapped(*arguments: Any, **named: Any) -> Any:
        doing = step(*arguments, **named)
        if doing is None:
            return method(*arguments, **named)
        _reach(f"before {doing}")
        if order := _orders.take(f"during {doing}"):
            threading.Timer(order.seconds, _obey, [order]).start()
        answer = method(*arguments, **named)
        _reach(f"after {doing}")
        return answer

    setattr(owner, name, wrapped)


def _patched(
    _: Cluster, resource: Resource, namespace: str | None, name: str, body: Object, **named: Any
) -> str | None:
    if resource is not REVIEW_APPS:
        return None
    if named:
        return "status write"
    return "claim" if FINALIZER in body["metadata"]["finalizers"] else "release"


def _written(_: Cluster, resource: Resource, *__: Any) -> str | None:
    return {EVENTS: "event write", LEASES: "lease write", ROLE_BINDINGS: "rights taken"}.get(resource)


def _deleted(_: Cluster, resource: Resource, *__: Any) -> str | None:
    return "rights given back" if resource is ROLE_BINDINGS else None


def _noted(_: Journal, entry: Entry) -> str:
    return f"journal {entry.phase}"


def _run(_: Engine, arguments: list[str], *__: Any) -> str:
    return f"engine {' '.join(arguments[:2] if arguments[0] == 'stack' else arguments[:1])}"


_wrap(Cluster, "patch", _patched)
_wrap(Cluster, "create", _written)
_wrap(Cluster, "replace", _written)
_wrap(Cluster, "delete", _deleted)
_wrap(Journal, "write", _noted)
_wrap(Journal, "remove", lambda *_: "journal removal")
_wrap(Engine, "run", _run)
_wrap(StackFiles, "tag", lambda *_: "tags")
_wrap(StackProject, "remove_folder", lambda *_: "work folder removal")

if __name__ == "__main__":
    main()
