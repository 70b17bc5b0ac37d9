"""A database that CloudNativePG runs: one `Cluster` of one instance. Pure.

https://cloudnative-pg.io/documentation/current/cloudnative-pg.v1/
"""

from __future__ import annotations

from stacks.database_names import CNPG_VERSION, COMPONENT, auth_secret_name, own_name, user
from stacks.inputs import Database, StackInputs
from stacks.manifest import Manifest, metadata, object_labels


def manifests(inputs: StackInputs, database: Database) -> list[Manifest]:
    """Return the Cluster; what it makes carries the stack's labels, so that it is seen and swept."""
    initdb: Manifest = {
        "database": own_name(database),
        "owner": user(database),
        "secret": {"name": auth_secret_name(database)},
    }
    if database.extensions:
        initdb["postInitApplicationSQL"] = [
            f'CREATE EXTENSION IF NOT EXISTS "{name}" CASCADE' for name in database.extensions
        ]
    storage: Manifest = {"size": database.storage_size}
    if database.storage_class:
        storage["storageClass"] = database.storage_class
    return [
        {
            "apiVersion": CNPG_VERSION,
            "kind": "Cluster",
            "metadata": metadata(inputs, database.name, COMPONENT),
            "spec": {
                "instances": 1,
                "imageName": database.image,
                "bootstrap": {"initdb": initdb},
                "storage": storage,
                "inheritedMetadata": {"labels": object_labels(inputs, COMPONENT)},
            },
        }
    ]
