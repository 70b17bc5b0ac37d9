"""What the tests of databases need beside the watcher: operators' stand-ins, a database to copy from, an app's images.

The images are put together by crane, and not built in Pods: what is looked at here is not the build.
"""

from __future__ import annotations

import hashlib
import io
import os
import signal
import subprocess
import sys
import tarfile
from collections.abc import Generator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import yaml

from dev.installation import DIES_WITH_US, Installation
from dev.paths import REPOSITORY, STATE
from dev.stand_ins.kubedb import VERSIONS, KubeDB
from tests.e2e.waiting import until
from watcher.cluster import PODS, SECRETS, SERVICES, Cluster, Object, Resource
from watcher.conditions import condition

CRDS = Resource("apiextensions.k8s.io/v1", "CustomResourceDefinition", "customresourcedefinitions", namespaced=False)
ROWS = 100_000
CATALOGUE = "15.18"

# None of this may be taken for anything else on its way, least of all for a command.
SOURCE = {
    "user": 'o\'hara "$(touch /tmp/user)" `id`\nsecond line',
    "database": 'shop\'s "data" $(id) = postgresql://x',
    "password": "p@ss:w/rd%41'\"$(touch /tmp/password)`id`\nsecond line ",
}

_SOURCE_START = r"""
set -eu
initdb --pgdata=/data/db --username=postgres --auth-local=trust --auth-host=scram-sha-256 --encoding=UTF8 --no-sync
echo 'host all all all scram-sha-256' >>/data/db/pg_hba.conf
pg_ctl --pgdata=/data/db --wait --silent --options='-c listen_addresses= -c unix_socket_directories=/tmp' start
psql --host=/tmp --username=postgres --set=ON_ERROR_STOP=1 <<'END'
\getenv user SOURCE_USER
\getenv password SOURCE_PASSWORD
\getenv database SOURCE_DATABASE
CREATE ROLE :"user" LOGIN SUPERUSER PASSWORD :'password';
CREATE DATABASE :"database" OWNER :"user";
END
PGDATABASE=$SOURCE_DATABASE psql --host=/tmp --username=postgres --set=ON_ERROR_STOP=1 <<'END'
CREATE EXTENSION citext;
CREATE TABLE orders (id bigint PRIMARY KEY, email citext NOT NULL, note text);
INSERT INTO orders SELECT i, 'user' || i || '@example.com', repeat('x', 50) FROM generate_series(1, 100000) i;
CREATE INDEX ON orders (email);
CREATE TABLE audit (id bigint);
CREATE TABLE spatial_ref_sys (srid integer);
CREATE SCHEMA other;
CREATE TABLE other.hidden (id bigint);
END
pg_ctl --pgdata=/data/db --wait --silent stop
exec postgres -D /data/db -c 'listen_addresses=*' -c unix_socket_directories=/tmp
"""

_APP = {
    "start.sh": "trap 'kill $server; exit 0' TERM\nhttpd -f -p 8080 -h /site &\nserver=$!\nwait $server\n",
    "environment": """export PGHOST="$POSTGRES_HOSTNAME" PGPORT="$POSTGRES_PORT" PGUSER="$POSTGRES_USER"
export PGPASSWORD="$POSTGRES_PASSWORD" PGDATABASE="$POSTGRES_DATABASE"
""",
    # The commit stands in the image, since each has one of its own.
    "migrate.sh": """set -eu
. /environment
psql --quiet --set=ON_ERROR_STOP=1 --set=commit="$(cat /site/commit)" <<'END'
CREATE TABLE IF NOT EXISTS migrations (at timestamptz DEFAULT now(), commit text);
INSERT INTO migrations (commit) VALUES (:'commit');
END
""",
    # No secret is an argument, which other processes could read: the address is taken up within.
    "site/cgi-bin/rows": """#!/bin/sh
echo "Content-Type: text/plain"
echo
. /environment
psql --quiet --no-align --tuples-only <<'END'
\\getenv url DATABASE_URL
\\connect :url
SELECT count(*), sum(id), count(DISTINCT email) FROM orders;
SELECT coalesce(string_agg(schemaname || '.' || tablename, ' ' ORDER BY tablename), '')
    FROM pg_tables WHERE schemaname NOT IN ('pg_catalog', 'information_schema');
SELECT string_agg(commit, ' ' ORDER BY at) FROM migrations;
END
""",
}


def commit(version: str) -> str:
    """Return the hash of a version of the app."""
    return hashlib.sha1(version.encode(), usedforsecurity=False).hexdigest()


class AppImages:
    """Images of an app that answers with what is in its database, in the cluster's registry."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._registry = os.environ["REVIEWAPP_REGISTRY"]
        self._made: dict[str, str] = {}

    def tag(self, version: str, number: str) -> None:
        """Have the image of a version there, as if it had been built for a pull request."""
        if version not in self._made:
            self._made[version] = self._make(version)
        _crane("copy", self._made[version], f"{self._registry}/acme/shop:{number}-{commit(version)[:12]}")

    def _make(self, version: str) -> str:
        layer = self._folder / f"{commit(version)}.tar"
        with tarfile.open(layer, "w") as tar:
            for name, text in (_APP | {"site/commit": commit(version)}).items():
                entry = tarfile.TarInfo(name)
                entry.mode, entry.size = 0o755, len(text)
                tar.addfile(entry, io.BytesIO(text.encode()))
        reference = f"{self._registry}/acme/shop-with-data:{commit(version)[:12]}"
        _crane("append", "--base", os.environ["REVIEWAPP_POSTGRES_IMAGE"], "-f", str(layer), "-t", reference)
        _crane("mutate", reference, "--cmd", "sh,/start.sh", "--user", "999", "-t", reference)
        return reference


def _crane(*arguments: str) -> None:
    subprocess.run(["crane", *arguments, "--insecure"], check=True, capture_output=True, timeout=60)


@contextmanager
def operators(cluster: Cluster, installation: Installation) -> Generator[subprocess.Popen[bytes]]:
    """Run the stand-ins of the operators, with their CRDs and the catalogue of one version; yield their process."""
    documents: list[Object] = list(yaml.safe_load_all((REPOSITORY / "dev/stand_ins/crds.yaml").read_text()))
    names = [document["metadata"]["name"] for document in documents]
    # A run that was killed can have left some on their way out.
    until(lambda: not _leaving(cluster, names), "the CRDs of an earlier run are gone")
    for name, document in zip(names, documents, strict=True):
        if cluster.get(CRDS, None, name) is None:
            cluster.create(CRDS, None, document)
    for name in names:
        until(lambda name=name: condition(cluster.get(CRDS, None, name) or {}, "Established") == "True", f"CRD {name}")
    image = os.environ["REVIEWAPP_POSTGRES_IMAGE"]
    kind = {"apiVersion": VERSIONS.api_version, "kind": VERSIONS.kind}
    version = kind | {"metadata": {"name": CATALOGUE}, "spec": {"version": "15", "db": {"image": image}}}
    until(lambda: cluster.list(VERSIONS)[1], "the catalogue is served")
    if cluster.get(VERSIONS, None, CATALOGUE) is None:
        cluster.create(VERSIONS, None, version)
    command = [*DIES_WITH_US, sys.executable, "-m", "dev.stand_ins", str(STATE / "volumes")]
    with (installation.folder / "stand-ins.log").open("ab") as log:
        process = subprocess.Popen(command, cwd=REPOSITORY, stdout=log, stderr=log)
    try:
        yield process
    finally:
        process.send_signal(signal.SIGTERM)
        process.wait(30)
        for name in names:
            cluster.delete(CRDS, None, name)
        until(lambda: not _leaving(cluster, names), "the CRDs of the stand-ins are gone")


def _leaving(cluster: Cluster, names: list[str]) -> list[str]:
    """Return which CRDs are being deleted; nobody holds their objects any more after this."""
    KubeDB(cluster).let_go()
    found = [cluster.get(CRDS, None, name) for name in names]
    return [crd["metadata"]["name"] for crd in found if crd and "deletionTimestamp" in crd["metadata"]]


def start_source(cluster: Cluster, namespace: str) -> None:
    """Start the database to copy from, as Service `source`, with Secret `source`; return at once."""
    labels = {"app.kubernetes.io/name": "source"}
    cluster.create(SECRETS, namespace, {"metadata": {"name": "source"}, "stringData": SOURCE})
    cluster.create(
        SERVICES, namespace, {"metadata": {"name": "source"}, "spec": {"selector": labels, "ports": [{"port": 5432}]}}
    )
    environment: list[dict[str, Any]] = [
        {"name": f"SOURCE_{key.upper()}", "valueFrom": {"secretKeyRef": {"name": "source", "key": key}}}
        for key in SOURCE
    ]
    container: Object = {
        "name": "postgres",
        "image": os.environ["REVIEWAPP_POSTGRES_IMAGE"],
        "command": ["sh", "-c", _SOURCE_START.replace("$", "$$")],
        "env": environment,
        "volumeMounts": [{"name": "data", "mountPath": "/data"}],
        "readinessProbe": {"exec": {"command": ["pg_isready", "--host=127.0.0.1"]}, "periodSeconds": 1},
    }
    pod: Object = {
        "metadata": {"name": "source", "labels": labels},
        "spec": {
            "terminationGracePeriodSeconds": 0,
            "securityContext": {"runAsUser": 999, "fsGroup": 999},
            "containers": [container],
            "volumes": [{"name": "data", "emptyDir": {}}],
        },
    }
    cluster.create(PODS, namespace, pod)


def until_source_answers(cluster: Cluster, namespace: str) -> None:
    until(lambda: condition(cluster.get(PODS, namespace, "source") or {}, "Ready") == "True", "the source answers")


def copy_from(**more: Any) -> dict[str, Any]:
    """Return `copyFrom` of the source."""
    parts = {key: {"secretRef": {"name": "source", "key": key}} for key in SOURCE}
    return {"host": {"value": "source"}, **parts, **more}
