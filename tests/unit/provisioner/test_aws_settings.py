"""The settings of apps' roles in AWS, and which provider plugins they take."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from pydantic import ValidationError

from provisioner import aws_plugin
from provisioner.app_role import app_role
from provisioner.engine import KUBERNETES
from provisioner.errors import EngineMissing
from tests import samples

ON: dict[str, Any] = {
    "aws_bucket": "acme-apps",
    "aws_cluster_arn": "arn:aws:eks:eu-central-1:123456789012:cluster/main",
    "aws_permissions_boundary": "arn:aws:iam::123456789012:policy/reviewapp-app-boundary",
}


def test_without_a_bucket_there_is_no_role() -> None:
    assert app_role("acme.shop.42", samples.settings()) is None
    assert app_role("acme.shop.42", samples.settings(**ON | {"aws_bucket": None})) is None


@pytest.mark.parametrize("name", ["aws_cluster_arn", "aws_permissions_boundary"])
def test_a_bucket_takes_the_rest(name: str) -> None:
    with pytest.raises(ValidationError, match=f"{name}\n  must be given beside aws_bucket"):
        samples.settings(**ON | {name: None})


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("aws_bucket", "s3://acme-apps"),
        ("aws_bucket", "acme-apps/apps"),
        ("aws_bucket", "acme-*"),
        ("aws_prefix", "/apps"),
        ("aws_prefix", "apps/"),
        ("aws_prefix", "*"),
        ("aws_prefix", ""),
        ("aws_cluster_arn", "main"),
        ("aws_cluster_arn", "arn:aws:eks:eu-central-1:123456789012:cluster/*"),
        ("aws_cluster_arn", "arn:aws:eks:eu-central-1:12345678901:cluster/main"),
        ("aws_cluster_issuer", "https://oidc.eks.eu-central-1.amazonaws.com/id/ABC"),
        ("aws_permissions_boundary", "reviewapp-app-boundary"),
        ("aws_permissions_boundary", "arn:aws:iam::123456789012:role/admin"),
        ("aws_role_path", "/"),
        ("aws_role_path", "reviewapp"),
        ("aws_role_path", "/reviewapp"),
        ("aws_role_path", "/*/"),
    ],
)
def test_what_does_not_hold_is_refused_by_its_name(name: str, value: str) -> None:
    with pytest.raises(ValidationError, match=name):
        samples.settings(**ON | {name: value})


class TestPlugins:
    @pytest.fixture(autouse=True)
    def nothing_installed(self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setenv("PULUMI_HOME", str(tmp_path))
        monkeypatch.setenv("PATH", str(tmp_path))

    def install(self, folder: Path, version: str | None, monkeypatch: pytest.MonkeyPatch) -> None:
        (folder / "pulumi-resource-aws").touch(mode=0o755)

        def answer(plugin: Path) -> str | None:
            return version

        monkeypatch.setattr(aws_plugin, "plugin_version", answer)

    def test_without_roles_it_is_kubernetes_alone(self) -> None:
        assert aws_plugin.plugins_for(samples.settings()) == (KUBERNETES,)

    def test_with_roles_it_is_awss_too_whether_or_not_it_is_there(self) -> None:
        assert aws_plugin.plugins_for(samples.settings(**ON)) == (KUBERNETES, aws_plugin.aws_plugin())

    def test_without_roles_any_more_awss_is_there_to_take_them_away(
        self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        self.install(tmp_path, aws_plugin.aws_plugin().version, monkeypatch)
        assert aws_plugin.plugins_for(samples.settings()) == (KUBERNETES, aws_plugin.aws_plugin())

    def test_one_of_another_version_is_somebody_elses(self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        self.install(tmp_path, "6.0.0", monkeypatch)
        assert aws_plugin.plugins_for(samples.settings()) == (KUBERNETES,)

    def test_without_the_package_there_are_no_roles(self, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr(aws_plugin, "_PACKAGE", "not-there")
        assert aws_plugin.plugins_for(samples.settings()) == (KUBERNETES,)
        with pytest.raises(EngineMissing, match=r"the setting aws_bucket need: install `reviewapp\[aws\]`"):
            aws_plugin.plugins_for(samples.settings(**ON))
