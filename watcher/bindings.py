"""The watcher's rights in namespaces of apps: bound while an app of ours is there, and taken back after the last.

The RoleBinding gives the ClusterRole `reviewapp-apps` to the watcher's own service account. The API server lets it
bind nothing else, and only in namespaces that their owners have opened (deploy/base/admission.yaml). Where owners
bind the role themselves and the watcher may not, theirs is used and left as it is.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Collection

import structlog

from provisioner.errors import ApplyRefused, ReviewAppError
from watcher import rights
from watcher.cluster import ROLE_BINDINGS, ApiRefused, Cluster, Object, Resource, section

_REVIEWS = Resource("authorization.k8s.io/v1", "SelfSubjectAccessReview", "selfsubjectaccessreviews", namespaced=False)
_LABELS = {"app.kubernetes.io/managed-by": "reviewapp"}
# The authorizer learns of a new RoleBinding by a watch.
_EFFECT_SECONDS = 10.0
_POLL_SECONDS = 0.02

_log = structlog.get_logger()


class Bindings:
    """The RoleBindings of one watcher. Its workers may take and release rights at the same time.

    Args:
        cluster: where.
        namespace: the watcher's own, which has its service account.
    """

    def __init__(self, cluster: Cluster, namespace: str) -> None:
        self._cluster = cluster
        self._namespace = namespace
        # Namespaces by ReviewApp, of updates that the journal does not know yet.
        self._taken: dict[str, set[str]] = {}
        self._lock = threading.Lock()

    def take(self, review_app: str, namespace: str) -> None:
        """Have the rights in a namespace, at least until `release` is called for the ReviewApp.

        Raises:
            ApplyRefused: the watcher has not got them, and may not bind them there.
        """
        with self._lock:
            self._taken.setdefault(review_app, set()).add(namespace)
            if self._is_allowed(namespace):
                return
            self._bind(namespace)
        deadline = time.monotonic() + _EFFECT_SECONDS
        while not self._is_allowed(namespace):
            if time.monotonic() > deadline:
                raise self._refused(namespace, "the RoleBinding has no effect")
            time.sleep(_POLL_SECONDS)

    def release(self, review_app: str, in_use: Collection[str], namespaces: Collection[str] = ()) -> None:
        """Take back what was taken for a ReviewApp, and the rights in `namespaces`, unless others use them."""
        with self._lock:
            no_more = {*namespaces, *self._taken.pop(review_app, ())}
            for namespace in sorted(no_more - set(in_use).union(*self._taken.values())):
                self._unbind(namespace)

    def tidy(self, in_use: Collection[str]) -> None:
        """Take back all rights but those `in_use`: a watcher that was killed may have left some."""
        try:
            items, _ = self._cluster.list(ROLE_BINDINGS, label_selector=_selector())
        except ReviewAppError as error:
            _log.warning("bindings_not_listed", error=str(error))
            return
        for namespace in sorted({item["metadata"]["namespace"] for item in items} - set(in_use)):
            self._unbind(namespace)

    def _is_allowed(self, namespace: str) -> bool:
        attributes = {"verb": "get", "resource": "secrets", "namespace": namespace}
        answer = self._cluster.create(_REVIEWS, None, {"spec": {"resourceAttributes": attributes}})
        return bool(section(answer, "status").get("allowed"))

    def _bind(self, namespace: str) -> None:
        try:
            self._cluster.create(ROLE_BINDINGS, namespace, role_binding(self._namespace))
        except ApiRefused as refused:
            # There already, and about to take effect.
            if refused.status != 409:
                raise self._refused(namespace, str(refused)) from None

    def _unbind(self, namespace: str) -> None:
        try:
            # An owner's own has another label, or none.
            items, _ = self._cluster.list(ROLE_BINDINGS, namespace, label_selector=_selector())
            if items:
                self._cluster.delete(ROLE_BINDINGS, namespace, rights.APPS_ROLE)
        except ReviewAppError as error:
            _log.warning("binding_not_removed", namespace=namespace, error=str(error))

    def _refused(self, namespace: str, detail: str) -> ApplyRefused:
        command = (
            f"kubectl -n {namespace} create rolebinding {rights.APPS_ROLE} --clusterrole={rights.APPS_ROLE} "
            f"--serviceaccount={self._namespace}:{rights.SERVICE_ACCOUNT}"
        )
        remedy = f"see that rbac.yaml and admission.yaml of deploy/base are applied, or run `{command}`"
        return ApplyRefused(f"the watcher's RoleBinding in namespace {namespace}", "NotPermitted", detail, remedy)


def role_binding(namespace: str) -> Object:
    """Return the RoleBinding that gives the watcher of a namespace its rights over apps."""
    return {
        "metadata": {"name": rights.APPS_ROLE, "labels": _LABELS},
        "roleRef": {"apiGroup": "rbac.authorization.k8s.io", "kind": "ClusterRole", "name": rights.APPS_ROLE},
        "subjects": [{"kind": "ServiceAccount", "name": rights.SERVICE_ACCOUNT, "namespace": namespace}],
    }


def _selector() -> str:
    return ",".join(f"{key}={value}" for key, value in _LABELS.items())
