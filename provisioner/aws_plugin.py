"""The provider plugin of AWS, which not every installation has: which one it is, and who needs it."""

from __future__ import annotations

from importlib.metadata import PackageNotFoundError, version
from typing import Final

from provisioner.engine import KUBERNETES
from provisioner.errors import EngineMissing
from provisioner.plugin import Plugin, plugin_version
from provisioner.settings import StackSettings

_PACKAGE: Final = "pulumi-aws"


def aws_plugin() -> Plugin:
    """Return the provider plugin that belongs to the Python package that is installed.

    Raises:
        EngineMissing: the package is not.
    """
    try:
        return Plugin("aws", version(_PACKAGE))
    except PackageNotFoundError:
        raise EngineMissing(
            f"the Python package {_PACKAGE} is not installed, which `reviewapp platform` and the setting aws_bucket "
            "need: install `reviewapp[aws]` in place of `reviewapp`, or build the image with it"
        ) from None


def plugins_for(settings: StackSettings) -> tuple[Plugin, ...]:
    """Return the plugins that an installation's engine needs.

    AWS's is one of them where apps have roles. Where it is there in its version, it is so too without: roles that were
    made while the setting was on go with it.

    Raises:
        EngineMissing: apps are to have roles, and the package of AWS's is not installed.
    """
    if settings.aws_bucket:
        return KUBERNETES, aws_plugin()
    try:
        aws = aws_plugin()
    except EngineMissing:
        return (KUBERNETES,)
    found = aws.find()
    is_there = found is not None and plugin_version(found) == aws.version
    return (KUBERNETES, aws) if is_there else (KUBERNETES,)
