"""Which cluster is meant, as `kubectl` finds it: by a kubeconfig, or the service account of a Pod. Connects to none."""

from __future__ import annotations

import os
from pathlib import Path

import yaml
from kubernetes import config
from kubernetes.client import Configuration

from provisioner.errors import ClusterUnreachable

_USUAL = "~/.kube/config"


def configuration() -> Configuration:
    """Return how the cluster of KUBECONFIG or `~/.kube/config` is reached, else that of the Pod in which we run.

    Raises:
        ClusterUnreachable: there is neither, or the kubeconfig can't be used.
    """
    named = os.environ.get("KUBECONFIG")
    files = [file for file in (named or _USUAL).split(os.pathsep) if file]
    # `load_config` would say on standard output which it takes: what is there is for programs.
    if any(Path(file).expanduser().exists() for file in files):
        return _of_files(files)
    found = Configuration()
    try:
        config.load_incluster_config(client_configuration=found)  # pyright: ignore[reportUnknownMemberType]
    except config.ConfigException:
        why = f": KUBECONFIG names no file that is there: {named}" if named else ""
        remedy = f"set KUBECONFIG to a kubeconfig, or put one at {_USUAL}"
        raise ClusterUnreachable(f"no cluster is configured{why}", remedy) from None
    return found


def _of_files(files: list[str]) -> Configuration:
    found = Configuration()
    try:
        config.load_kube_config(client_configuration=found)  # pyright: ignore[reportUnknownMemberType]
    except config.ConfigException as error:
        raise _unusable(files, str(error)) from None
    except OSError as error:
        raise _unusable(files, error.strerror or str(error)) from None
    except (yaml.YAMLError, UnicodeDecodeError):
        raise _unusable(files, "it is not YAML") from None
    except (TypeError, AttributeError, KeyError, ValueError):
        # The client takes whatever is YAML for a mapping of lists.
        raise _unusable(files, "it is no kubeconfig") from None
    return found


def _unusable(files: list[str], why: str) -> ClusterUnreachable:
    return ClusterUnreachable(
        f"{os.pathsep.join(files)}: {why}", "correct it, or set KUBECONFIG to another; `kubectl config view` shows it"
    )
