"""The server that the stand-ins of operators run: a StatefulSet with PostgreSQL, its Service, its claim."""

from __future__ import annotations

import dataclasses
from typing import Any

from watcher.cluster import SERVICES, STATEFUL_SETS, ApiRefused, Cluster, Object, Resource, section

_USER = 999

# As the images of operators do, from a script of their own: make the data folder, run what is to be run once, serve.
_START = r"""
set -eu
# In its place, and not made whole elsewhere: what a script that failed has left is there at the next start.
if [ ! -e "$PGDATA/PG_VERSION" ]; then
    printf '%s' "$POSTGRES_PASSWORD" >/tmp/password
    initdb --pgdata="$PGDATA" --username=postgres --auth-local=trust --auth-host=scram-sha-256 \
        --pwfile=/tmp/password --encoding=UTF8 --locale=C.UTF-8 --no-sync >/dev/null
    echo 'host all all all scram-sha-256' >>"$PGDATA/pg_hba.conf"
    pg_ctl --pgdata="$PGDATA" --wait --silent --log=/tmp/log \
        --options='-c listen_addresses= -c unix_socket_directories=/var/run/postgresql' start
    if [ "$OWNER" != postgres ]; then
        psql --username=postgres --quiet --set=ON_ERROR_STOP=1 --set=owner="$OWNER" --set=database="$DATABASE" <<'END'
\getenv password POSTGRES_PASSWORD
CREATE ROLE :"owner" LOGIN PASSWORD :'password';
CREATE DATABASE :"database" OWNER :"owner";
END
    fi
    [ -z "$INIT_SQL" ] || psql --username=postgres --quiet --dbname="$DATABASE" --command="$INIT_SQL"
    for file in /var/initdb/*.sh; do
        [ ! -e "$file" ] || . "$file"
    done
    pg_ctl --pgdata="$PGDATA" --wait --silent --mode=fast stop
fi
rm -f "$PGDATA/postmaster.pid"
exec postgres -D "$PGDATA" -c 'listen_addresses=*' -c unix_socket_directories=/var/run/postgresql
"""


@dataclasses.dataclass(frozen=True)
class Server:
    """One server of one instance.

    Attributes:
        owner: the operator's object that it is of.
        image: what runs.
        service: name of its Service.
        labels: of all that it is made of.
        auth: name of the Secret with its user and password, and the keys of both.
        user: owner of the database.
        database: the database.
        storage: size and class of its claim; None where it has none.
        sql: what is run once in the database.
        scripts: name of the Secret whose *.sh are run once.
        environment: further variables of its container.
    """

    owner: Object
    image: str
    service: str
    labels: dict[str, str]
    auth: tuple[str, str, str]
    user: str
    database: str
    storage: dict[str, Any] | None
    sql: str = ""
    scripts: str | None = None
    environment: tuple[dict[str, Any], ...] = ()

    @property
    def name(self) -> str:
        """What all of it is called."""
        return self.owner["metadata"]["name"]

    def apply(self, cluster: Cluster) -> Object:
        """Make what is missing; return the StatefulSet."""
        namespace = self.owner["metadata"]["namespace"]
        if cluster.get(SERVICES, namespace, self.service) is None:
            create(cluster, SERVICES, self._service())
        found = cluster.get(STATEFUL_SETS, namespace, self.name)
        return found or create(cluster, STATEFUL_SETS, self._stateful_set()) or {}

    def _metadata(self, name: str) -> Object:
        return {
            "name": name,
            "namespace": self.owner["metadata"]["namespace"],
            "labels": self.labels,
            "ownerReferences": [owner_reference(self.owner)],
        }

    def _service(self) -> Object:
        selector = {"app.kubernetes.io/instance": self.name}
        return {"metadata": self._metadata(self.service), "spec": {"selector": selector, "ports": [{"port": 5432}]}}

    def _stateful_set(self) -> Object:
        secret, _, password = self.auth
        selector = {"app.kubernetes.io/instance": self.name}
        variables = {"PGDATA": "/var/pv/data", "OWNER": self.user, "DATABASE": self.database, "INIT_SQL": self.sql}
        container: Object = {
            "name": "postgres",
            "image": self.image,
            "command": ["sh", "-c", _START.replace("$", "$$")],
            "env": [
                *({"name": name, "value": value} for name, value in variables.items()),
                {"name": "POSTGRES_USER", "value": "postgres"},
                {
                    "name": "POSTGRES_PASSWORD",
                    "valueFrom": {"secretKeyRef": {"name": secret, "key": password}},
                },
                *self.environment,
            ],
            "volumeMounts": [
                {"name": "data", "mountPath": "/var/pv"},
                {"name": "run", "mountPath": "/var/run/postgresql"},
            ],
            "startupProbe": {
                "exec": {"command": ["pg_isready", "--quiet", "--host=127.0.0.1"]},
                "periodSeconds": 1,
                "failureThreshold": 300,
            },
        }
        volumes: list[Object] = [{"name": "run", "emptyDir": {}}]
        if self.scripts:
            container["volumeMounts"].append({"name": "scripts", "mountPath": "/var/initdb", "readOnly": True})
            volumes.append({"name": "scripts", "secret": {"secretName": self.scripts}})
        if self.storage is None:
            volumes.append({"name": "data", "emptyDir": {}})
        claims = [{"metadata": {"name": "data", "labels": self.labels}, "spec": self.storage}] if self.storage else []
        return {
            "metadata": self._metadata(self.name),
            "spec": {
                "replicas": 1,
                "serviceName": self.service,
                "selector": {"matchLabels": selector},
                "volumeClaimTemplates": claims,
                "template": {
                    "metadata": {"labels": self.labels | selector},
                    "spec": {
                        "securityContext": {"runAsUser": _USER, "runAsGroup": _USER, "fsGroup": _USER},
                        "terminationGracePeriodSeconds": 2,
                        "containers": [container],
                        "volumes": volumes,
                    },
                },
            },
        }


def owner_reference(owner: Object) -> Object:
    """Return a reference with which what is made goes with its owner."""
    metadata = owner["metadata"]
    return {
        "apiVersion": owner["apiVersion"],
        "kind": owner["kind"],
        "name": metadata["name"],
        "uid": metadata["uid"],
        "controller": True,
    }


def create(cluster: Cluster, resource: Resource, item: Object) -> Object | None:
    """Create an object; None where it is there already."""
    try:
        return cluster.create(resource, item["metadata"]["namespace"], item)
    except ApiRefused as refused:
        if refused.status != 409:
            raise
        return None


def is_ready(stateful_set: Object) -> bool:
    """Whether the server takes connections."""
    return bool(section(stateful_set, "status").get("readyReplicas"))
