"""A stand-in of the older operator: makes what that one has made for a review app whose commit runs, and no more.

Kinds, labels and names are the older operator's. Where it is not known what it did (which suffix is on which name, the
selectors, the names of containers), it is done in another way than stacks do it.
"""

from __future__ import annotations

import dataclasses
import itertools
import threading
from collections.abc import Callable, Generator
from contextlib import contextmanager, suppress
from typing import Any

import httpx

from stacks import naming
from tests.e2e.waiting import until
from watcher.cluster import (
    DEPLOYMENTS,
    INGRESSES,
    JOBS,
    KUBEDB_POSTGRESES,
    PODS,
    SECRETS,
    SERVICES,
    Cluster,
    Object,
    Resource,
)

# Its copy writes the source's credentials into the script; so does this one, but for what a shell would take apart.
_SCRIPT = r"""psql --username=postgres --quiet --set=ON_ERROR_STOP=1 <<'END'
CREATE EXTENSION citext;
CREATE TABLE orders (id bigint PRIMARY KEY, email citext NOT NULL);
INSERT INTO orders SELECT i, 'user' || i || '@example.com' FROM generate_series(1, 1000) i;
END
"""


@dataclasses.dataclass(frozen=True)
class OldOperator:
    """What it makes of one pull request of `acme/shop`.

    Attributes:
        cluster: where.
        namespace: the app's.
        build_namespace: where builds run.
        number: the pull request's.
        image: what came out of its build; it listens on port 8080.
        domain: the wildcard domain.
        command: what runs in place of the image's own.
        version: of its database in KubeDB's catalogue; empty for none.
        storage_class: of its database.
    """

    cluster: Cluster
    namespace: str
    build_namespace: str
    number: str
    image: str
    domain: str
    command: tuple[str, ...] = ()
    version: str = ""
    storage_class: str = ""

    @property
    def app(self) -> str:
        """What the Deployment, the Service and the Ingress are called."""
        return f"shop-{self.number}"

    @property
    def database(self) -> str:
        """What the Postgres is called."""
        return f"{self.app}--postgres"

    def make(self, commit: str, config: Object) -> Object:
        """Make all that goes with a build that has succeeded; return the status that the ReviewApp has then."""
        self._create(JOBS, self._job(commit), self.build_namespace)
        for secret in self._secrets():
            self._create(SECRETS, secret)
        if self.version:
            self._create(KUBEDB_POSTGRESES[0], self._postgres())
        self._create(DEPLOYMENTS, self._deployment(config))
        self._create(SERVICES, self._service())
        self._create(INGRESSES, self._ingress())
        return {
            "appStatus": "deployed",
            "buildStatus": "success",
            "buildJobName": f"{self.app}--{commit[:10]}",
            "image": self.image,
            "buildStartedAt": 1_700_000_000,
            "buildCommit": commit,
        }

    @property
    def _labels(self) -> dict[str, str]:
        return {naming.APP_LABEL: "shop", naming.BUILD_LABEL: self.number}

    @property
    def _selector(self) -> dict[str, str]:
        # Pods of its databases have the others too, since KubeDB hands labels on.
        return {**self._labels, "app": self.app}

    def _create(self, resource: Resource, body: Object, namespace: str = "") -> None:
        kind = {"apiVersion": resource.api_version, "kind": resource.kind}
        body["metadata"]["labels"] = self._labels
        self.cluster.create(resource, namespace or self.namespace, kind | body)

    def _secrets(self) -> list[Object]:
        app = self.app
        certificate = {"tls.crt": "b2xk", "tls.key": "b2xk"}
        return [
            {"metadata": {"name": f"{app}--variables"}, "stringData": {"GREETING": "hello", "ONLY_OLD": "yes"}},
            {"metadata": {"name": f"{app}--certificate"}, "type": "kubernetes.io/tls", "data": certificate},
            {"metadata": {"name": f"{app}--init"}, "stringData": {"db-copy.sh": _SCRIPT, "source": "somebody"}},
        ]

    def _postgres(self) -> Object:
        storage = {
            "accessModes": ["ReadWriteOnce"],
            "storageClassName": self.storage_class,
            "resources": {"requests": {"storage": "1Gi"}},
        }
        return {
            "metadata": {"name": self.database},
            "spec": {
                "version": self.version,
                "storageType": "Durable",
                "storage": storage,
                "deletionPolicy": "WipeOut",
                "init": {"script": {"secret": {"secretName": f"{self.app}--init"}}},
            },
        }

    def _deployment(self, config: Object) -> Object:
        variables: dict[str, Any] = {
            "APP_DOMAIN": {"value": f"{self.app}.{self.domain}"},
            "APP_NAME": {"value": self.app},
            "CLUSTER_DISABLED": {"value": "1"},
            "NODE_IP": {"valueFrom": {"fieldRef": {"fieldPath": "status.podIP"}}},
        }
        if self.version:
            variables |= self._of_database()
        container = {
            "image": self.image,
            "env": [{"name": name, **value} for name, value in variables.items()],
            "envFrom": [{"secretRef": {"name": f"{self.app}--variables"}}],
        }
        return {
            "metadata": {"name": self.app},
            "spec": {
                "replicas": 1,
                "selector": {"matchLabels": self._selector},
                "template": {
                    "metadata": {"labels": self._selector},
                    "spec": {
                        "terminationGracePeriodSeconds": 1,
                        "initContainers": [container | {"name": "before", **config["migrate"]}]
                        if "migrate" in config
                        else [],
                        "containers": [
                            container
                            | {
                                "name": self.app,
                                "command": list(self.command),
                                "ports": [{"containerPort": 8080}],
                                "readinessProbe": {"tcpSocket": {"port": 8080}, "periodSeconds": 1},
                            }
                        ],
                    },
                },
            },
        }

    def _of_database(self) -> dict[str, Any]:
        auth = f"{self.database}-auth"
        return {
            "POSTGRES_HOSTNAME": {"value": self.database},
            "POSTGRES_PORT": {"value": "5432"},
            "POSTGRES_DATABASE": {"value": "postgres"},
            "POSTGRES_USER": {"valueFrom": {"secretKeyRef": {"name": auth, "key": "username"}}},
            "POSTGRES_PASSWORD": {"valueFrom": {"secretKeyRef": {"name": auth, "key": "password"}}},
            "DATABASE_URL": {
                "value": f"postgresql://$(POSTGRES_USER):$(POSTGRES_PASSWORD)@{self.database}:5432/postgres"
            },
        }

    def _service(self) -> Object:
        ports = [{"port": 80, "targetPort": 8080}]
        return {"metadata": {"name": self.app}, "spec": {"selector": self._selector, "ports": ports}}

    def _ingress(self) -> Object:
        app = self.app
        host = f"{app}.{self.domain}"
        path = {"path": "/", "pathType": "ImplementationSpecific"}
        backend = {"service": {"name": app, "port": {"number": 80}}}
        return {
            "metadata": {"name": app, "annotations": {"example.com/of-the-older-one": "yes"}},
            "spec": {
                "tls": [{"hosts": [host], "secretName": f"{app}--certificate"}],
                "rules": [{"host": host, "http": {"paths": [path | {"backend": backend}]}}],
            },
        }

    def _job(self, commit: str) -> Object:
        container = {"name": "build", "image": self.image, "command": ["true"]}
        return {
            "metadata": {"name": f"{self.app}--{commit[:10]}"},
            "spec": {"template": {"spec": {"restartPolicy": "Never", "containers": [container]}}},
        }


class Visitor:
    """Opens a page again and again, and keeps what went wrong."""

    def __init__(self, address: str) -> None:
        self._address = address
        self._ended = threading.Event()
        self.answers = 0
        self.failures: list[str] = []

    @contextmanager
    def visiting(self) -> Generator[None]:
        # A Service leads to its Pods a moment after they are ready.
        until(self._is_answered, f"{self._address} answers")
        thread = threading.Thread(target=self._visit)
        thread.start()
        try:
            yield
        finally:
            self._ended.set()
            thread.join()

    def _is_answered(self) -> bool:
        with suppress(httpx.HTTPError):
            return httpx.get(self._address, timeout=5).is_success
        return False

    def _visit(self) -> None:
        while not self._ended.is_set():
            try:
                # A connection each time: one that is kept would go to the same Pod, whatever the Service says.
                httpx.get(self._address, timeout=5).raise_for_status()
                self.answers += 1
            except httpx.HTTPError as error:
                self.failures.append(repr(error))


class Killed(Exception):
    """Stands for the death of the process that adopts."""


def killed_at_each_write(cluster: Cluster, adopt: Callable[[Cluster], None]) -> int:
    """Adopt, and be killed at the first write, at the next try at the second, and so on; return how often that was."""
    for kills in itertools.count():
        left = [kills]

        def fence(left: list[int] = left) -> None:
            if not left[0]:
                raise Killed
            left[0] -= 1

        try:
            adopt(cluster.fenced(fence))
        except Killed:
            continue
        return kills
    raise AssertionError


def pods(cluster: Cluster, namespace: str) -> set[str]:
    """Return the Pods of a namespace, each as one that another can't be taken for, with how often it was restarted."""
    return {
        f"{item['metadata']['name']} {item['metadata']['uid']} restarted {status['restartCount']} times"
        for item in cluster.list(PODS, namespace)[0]
        for status in item["status"]["containerStatuses"]
    }
