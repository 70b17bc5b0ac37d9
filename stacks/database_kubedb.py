"""A database that KubeDB runs: one `Postgres`, in the words of the API version that the cluster serves. Pure.

The operator runs the copy itself, as the init script of a new database: `init.script`, a Secret mounted at
`/var/initdb`, run in the container `postgres`. What the script is told comes by that container's environment.

https://kubedb.com/docs/latest/guides/postgres/concepts/postgres/
"""

from __future__ import annotations

from typing import Final

from stacks.database_copy import ANONYMISE, DUMP, RESTORE, SCRIPT, copy_environment, copy_secret
from stacks.database_names import COMPONENT, auth_secret_name, copy_secret_name
from stacks.inputs import Database, StackInputs
from stacks.manifest import Manifest, metadata

SCRIPT_KEY: Final = "db-copy.sh"
_STEPS_KEY: Final = "steps"

# The operator takes this in by `.`, and a failure must be its own. Its container is started again then, and must not
# find a data folder in which half of the data is.
_INIT_SCRIPT: Final = f"""export COPY_FOLDER=/tmp/database-copy
export TARGET_USER="${{POSTGRES_USER:-postgres}}" TARGET_PASSWORD="${{POSTGRES_PASSWORD:-}}" TARGET_DATABASE=postgres
sh /var/initdb/{_STEPS_KEY} all || {{
    pg_ctl --pgdata="${{PGDATA:?}}" --mode=immediate --silent stop
    rm -rf "${{PGDATA:?}}"/*
    exit 1
}}
"""


def manifests(inputs: StackInputs, database: Database) -> list[Manifest]:
    """Return the Postgres and, where data is copied, the Secret with its init script."""
    if database.copy_from is None:
        return [_postgres(inputs, database)]
    # It stays: the operator's Pods mount it at each start.
    scripts = {SCRIPT_KEY: _INIT_SCRIPT, _STEPS_KEY: SCRIPT}
    return [copy_secret(inputs, database, database.copy_from, **scripts), _postgres(inputs, database)]


def _postgres(inputs: StackInputs, database: Database) -> Manifest:
    return {
        "apiVersion": database.api_version,
        "kind": "Postgres",
        "metadata": metadata(inputs, database.name, COMPONENT),
        "spec": database.adopted.spec if database.adopted else _spec(database),
    }


def _spec(database: Database) -> Manifest:
    is_first, is_current = (database.api_version == f"kubedb.com/{version}" for version in ("v1alpha1", "v1"))
    storage: Manifest = {
        "accessModes": ["ReadWriteOnce"],
        "resources": {"requests": {"storage": database.storage_size}},
    }
    if database.storage_class:
        storage["storageClassName"] = database.storage_class
    spec: Manifest = {
        "version": database.version,
        "replicas": 1,
        "storageType": "Ephemeral" if database.ephemeral else "Durable",
        "storage": storage,
    }
    name = auth_secret_name(database)
    if is_first:
        spec |= {"databaseSecret": {"secretName": name}, "terminationPolicy": "WipeOut"}
    else:
        spec["authSecret"] = {"name": name, "externallyManaged": True}
        spec["deletionPolicy" if is_current else "terminationPolicy"] = "WipeOut"
    pod: Manifest = {}
    if database.copy_from:
        secret = {"secret": {"secretName": copy_secret_name(database)}}
        spec["init"] = {"scriptSource" if is_first else "script": secret}
        environment = copy_environment(database, database.copy_from, DUMP, RESTORE, ANONYMISE)
        pod = {"containers": [{"name": "postgres", "env": environment}]} if is_current else {"env": environment}
    if pod:
        spec["podTemplate"] = {"spec": pod}
    return spec
