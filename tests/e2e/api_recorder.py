"""A proxy between a watcher and its API server that writes down which rights the watcher's calls took.

It sees all that the watcher and the engines that it runs ask for, since they share a kubeconfig; an API server's own
audit log would say the same, but a cluster that tests are given has none to read.
"""

from __future__ import annotations

import json
import re
from collections.abc import Generator, Iterator
from contextlib import contextmanager
from http.client import HTTPResponse
from typing import NamedTuple
from urllib.parse import parse_qs, urlsplit

from kubernetes.client import Configuration

from tests.api_proxy import PassOn, serve

_PATH = re.compile(
    r"/(?:api|apis/(?P<group>[^/]+))/[^/]+(?:/namespaces/(?P<namespace>[^/]+)(?=/))?/(?P<resource>[^/]+)"
    r"(?:/(?P<name>[^/]+))?(?:/(?P<subresource>[^/]+))?"
)
_VERBS = {"POST": "create", "PUT": "update", "PATCH": "patch", "DELETE": "delete"}


class Call(NamedTuple):
    """What one request needs, in RBAC's words; `namespace` and `name` are empty where there is none."""

    verb: str
    group: str
    resource: str
    namespace: str
    name: str


class Recorder:
    """The calls of one watcher: `allowed` and, where the API server answered 403, `forbidden`."""

    def __init__(self) -> None:
        self.allowed: set[Call] = set()
        self.forbidden: set[Call] = set()
        self.url = ""

    def note(self, method: str, target: str, status: int, body: bytes) -> None:
        call = read(method, target)
        if call and status == 403:
            self.forbidden.add(call)
        elif call:
            self.allowed |= {call, *_also(call, status, body)}


def _also(call: Call, status: int, body: bytes) -> Iterator[Call]:
    """Yield what the API server asks the authorizer beside the request itself.

    https://kubernetes.io/docs/reference/using-api/server-side-apply/#access-control,
    https://kubernetes.io/docs/reference/access-authn-authz/rbac/#restrictions-on-role-binding-creation-or-update
    """
    if (call.verb, status) == ("patch", 201):
        yield call._replace(verb="create")
    if (call.verb, call.resource, status) == ("create", "rolebindings", 201):
        role = json.loads(body)["roleRef"]
        yield Call("bind", role["apiGroup"], f"{role['kind'].lower()}s", "", role["name"])


def read(method: str, target: str) -> Call | None:
    """Return what a request needs; None where it is for no resource.

    https://kubernetes.io/docs/reference/access-authn-authz/authorization/#determine-the-request-verb
    """
    url = urlsplit(target)
    found = _PATH.fullmatch(url.path)
    if not found:
        return None
    group, namespace, resource, name, subresource = (found[key] or "" for key in _PATH.groupindex)
    query = parse_qs(url.query)
    if method == "GET":
        verb = "watch" if query.get("watch", ["false"])[0] in {"true", "1"} else "get" if name else "list"
    else:
        verb = _VERBS[method]
    if not name:
        # RBAC takes a list of one name for that name.
        selected = re.fullmatch(r"metadata\.name=([^,]+)", query.get("fieldSelector", [""])[0])
        name = selected[1] if selected else ""
    return Call(verb, group, f"{resource}/{subresource}" if subresource else resource, namespace, name)


@contextmanager
def recorder(configuration: Configuration) -> Generator[Recorder]:
    """Run a proxy to the API server of a configuration; clients authenticate to that themselves."""
    recorded = Recorder()

    class Recording(PassOn):
        def ask(self, body: bytes) -> HTTPResponse | None:
            answer = super().ask(body)
            if answer:
                recorded.note(self.command, self.path, answer.status, body)
            return answer

    with serve(configuration, Recording) as recorded.url:
        yield recorded
