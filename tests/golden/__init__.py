"""What `reviewapp render` prints for the sample and its variants: a file here for each.

`python -m tests.golden` writes them anew. The difference to what was there is then to be read, line by line: it is
what an upgrade does to every review app.
"""

from __future__ import annotations

import os
import tempfile
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from typer.testing import CliRunner

from provisioner.commands import app
from provisioner.manifest_text import as_yaml
from tests import samples

FOLDER = Path(__file__).parent

_SETTINGS = {"app_domain": "review.example.com", "registry": "registry.example.com/apps"}
_PRESIGNED = (
    "https://tarballs.s3.amazonaws.com/acme/shop.tar.gz?X-Amz-Credential=AKIAEXAMPLE&X-Amz-Signature=0123456789abcdef"
)


@dataclass(frozen=True)
class Variant:
    """How a case differs from the sample.

    Attributes:
        spec: fields of the spec in place of the sample's.
        config: fields of its config in place of the sample's; None leaves one out.
        settings: settings beside the domain and the registry.
        options: of `reviewapp render`.
    """

    spec: dict[str, Any] = field(default_factory=dict[str, Any])
    config: dict[str, Any] = field(default_factory=dict[str, Any])
    settings: dict[str, Any] = field(default_factory=dict[str, Any])
    options: tuple[str, ...] = ()

    def manifest(self) -> dict[str, Any]:
        """Return its ReviewApp."""
        manifest = samples.review_app()
        # A database's objects are the same in each: those that show them ask for one.
        config = manifest["spec"]["config"] | {"database": None} | self.config
        manifest["spec"] |= self.spec
        manifest["spec"]["config"] = {name: value for name, value in config.items() if value is not None}
        return manifest


VARIANTS: dict[str, Variant] = {
    "sample": Variant(),
    "built": Variant(options=("--built",)),
    "least": Variant(config={"registrySecretName": None, "migrate": None, "database": None, "env": None}),
    "with-certificate": Variant(settings={"tls_secret": "certificates/wildcard", "ingress_class": "nginx"}),
    "with-credentials": Variant(
        spec={"tarballUrl": "s3://tarballs/acme/shop.tar.gz"},
        settings={
            "push_secret_name": "kaniko-docker",
            "tarball_secret_name": "kaniko-aws",
            "s3_endpoint_url": "https://s3.example.com",
        },
    ),
    "plain-registry": Variant(
        settings={
            "registry": "10.0.0.1:5000",
            "registry_insecure": True,
            "builder_seccomp_profile": "profiles/buildkit.json",
        }
    ),
    "presigned": Variant(spec={"tarballUrl": _PRESIGNED}),
    "presigned-shown": Variant(spec={"tarballUrl": _PRESIGNED}, options=("--show-secrets",)),
    "odd-environment": Variant(
        config={
            "env": {
                "values": [
                    {"name": "NUMBER", "value": 1},
                    {"name": "FRACTION", "value": 0.5},
                    {"name": "BOOLEAN", "value": True},
                    {"name": "EMPTY", "value": ""},
                    {"name": "REFERENCE", "value": "$(APP_NAME) ünïcode\n"},
                    {"name": "APP_NAME", "value": "of the config's own"},
                ]
            }
        },
        options=("--show-secrets",),
    ),
    "migrate-by-the-images-own-command": Variant(config={"migrate": {"args": ["y", "012", "--flag=$(APP_NAME)"]}}),
    "names-that-must-be-cut": Variant(
        spec={
            "repoOwner": "A-Company-With-A-Very-Long-Name.Incorporated",
            "repo": "The_Repository.of-which-the-name-is-longer-than-a-label-can-be-in-any-dns",
            "pr": "1234567890",
        }
    ),
    "build-options": Variant(
        spec={"tarballUrl": None, "tarballSha256": "AB" * 32},
        config={
            "build": {
                "dockerfile": "docker/app.Dockerfile",
                "context": "./app/",
                "target": "production",
                "args": [{"name": "VERSION", "value": 2}, {"name": "REFERENCE", "value": "$(TARBALL) a,b"}],
                "platform": "linux/arm64",
                "secrets": ["npm", "other.tokens"],
            }
        },
        settings={
            "tarball_bucket": "tarballs",
            "tarball_maximum_bytes": 1 << 30,
            "tarball_maximum_unpacked_bytes": 1 << 32,
            "tarball_maximum_entries": 1000,
        },
    ),
    "database-kubedb": Variant(config={"database": samples.review_app()["spec"]["config"]["database"]}),
    "database-postgres": Variant(
        config={
            "database": {
                "extensions": ["citext"],
                "storageClass": "fast",
                "copyFrom": {
                    "database_url": {"secretRef": {"name": "staging-db", "key": "url"}},
                    "tables": ["orders"],
                    "anonymise": "UPDATE orders SET email = 'nobody@example.com'",
                },
            }
        },
        settings={"database_storage_classes": ["fast"], "copy_hosts": "*.db.example.com"},
        options=("--show-secrets",),
    ),
    "database-postgres-ephemeral": Variant(config={"database": {"ephemeral": True, "reset": "2"}}),
    "database-cloudnative-pg": Variant(
        config={"database": {"backend": "cloudnative-pg", "version": "17.2", "storageSize": "2Gi", "reset": "2"}},
        options=("--built",),
    ),
    "buildah": Variant(
        config={
            "build": {
                "builder": "buildah",
                "dockerfile": "docker/app.Dockerfile",
                "context": "app",
                "target": "production",
                "args": [{"name": "REFERENCE", "value": "$(PATH) a,b"}],
                "platform": "linux/arm64",
                "secrets": ["npm"],
            }
        },
        settings={
            "app_builders": "buildah",
            "registry": "10.0.0.1:5000",
            "registry_insecure": True,
            "buildah_seccomp_profile": "profiles/buildah.json",
            "push_secret_name": "push",
        },
    ),
    "buildah-in-a-user-namespace": Variant(
        settings={"builder": "buildah", "buildah_user_namespace": True, "push_secret_name": "push"}
    ),
    "kaniko": Variant(
        spec={"tarballUrl": "s3://tarballs/acme/shop.tar.gz"},
        config={"build": {"target": "production", "args": [{"name": "VERSION", "value": 2}]}},
        settings={
            "builder": "kaniko",
            "push_secret_name": "kaniko-docker",
            "tarball_secret_name": "kaniko-aws",
        },
    ),
    "no-network-and-other-bounds": Variant(
        settings={
            "builder_network": "none",
            "build_cpu_request": "1",
            "build_cpu_limit": "2",
            "build_memory_request": "1Gi",
            "build_memory_limit": "2Gi",
            "build_priority_class": "preemptible",
        }
    ),
    "queue-of-kueue": Variant(settings={"kueue_queue": "builds"}),
    "gateway": Variant(
        config={"migrate": None, "registrySecretName": None, "env": None},
        settings={"route": "gateway", "gateway": "gateways/public", "tls_secret": "certificates/wildcard"},
    ),
    "namespace-of-its-own": Variant(
        config={"migrate": None, "registrySecretName": None}, settings={"namespace_mode": "per-app"}
    ),
    "role-on-aws": Variant(
        settings={
            "aws_bucket": "acme-apps",
            "aws_cluster_arn": "arn:aws:eks:eu-central-1:123456789012:cluster/main",
            "aws_permissions_boundary": "arn:aws:iam::123456789012:policy/reviewapp-app-boundary",
        }
    ),
    "commit-that-looks-like-a-number": Variant(spec={"commitHash": "12e4567", "pr": "7"}, options=("--built",)),
    "other-limits-and-images": Variant(
        settings={
            "build_namespace": "builds",
            "build_retries": 0,
            "build_cache": False,
            "build_timeout_seconds": 600,
            "unpack_image": "images.example.com/unpack@sha256:" + "0" * 64,
            "builder_image": "images.example.com/buildkit:1",
            "push_image": "images.example.com/crane:1",
        }
    ),
}


def render(variant: Variant) -> str:
    """Return what the command prints for a variant, whatever the environment says."""
    with tempfile.TemporaryDirectory() as name:
        review_app, settings = Path(name) / "reviewapp.yaml", Path(name) / "settings.yaml"
        review_app.write_text(as_yaml(variant.manifest()))
        settings.write_text(as_yaml(_SETTINGS | variant.settings))
        arguments = ["render", "-f", str(review_app), "--settings", str(settings), *variant.options]
        unset = {variable: None for variable in os.environ if variable.startswith("REVIEWAPP_")}
        done = CliRunner(env=unset).invoke(app, arguments, catch_exceptions=False)
    if done.exit_code:
        raise ValueError(done.stderr)
    return done.stdout
