from __future__ import annotations

import json
import os
import re
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import yaml
from typer.testing import CliRunner

from provisioner.aws_plugin import aws_plugin
from provisioner.commands import app
from provisioner.errors import EngineMissing, SettingsRefused
from provisioner.platform_settings import PlatformSettings, load_platform
from stacks.platform_inputs import PlatformInputs

ROOT = Path(__file__).parents[3]
GIVEN: dict[str, Any] = {
    "account": "123456789012",
    "region": "eu-central-1",
    "backend_url": "file:///srv/platform",
}


@pytest.fixture(autouse=True)
def _environment(monkeypatch: pytest.MonkeyPatch) -> None:  # pyright: ignore[reportUnusedFunction]
    for name in [name for name in os.environ if name.startswith("REVIEWAPP_")]:
        monkeypatch.delenv(name)


def written(tmp_path: Path, **changes: Any) -> Path:
    file = tmp_path / "platform.yaml"
    file.write_text(yaml.safe_dump(GIVEN | changes))
    return file


def refused(tmp_path: Path, **changes: Any) -> list[str]:
    with pytest.raises(SettingsRefused) as caught:
        load_platform(written(tmp_path, **changes))
    return [str(refusal) for refusal in caught.value.refusals]


def test_the_environment_wins_over_the_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    file = written(tmp_path, tarball_days=3, uploaders=["acme/shop"], repositories=["acme/shop"])
    monkeypatch.setenv("REVIEWAPP_PLATFORM_SETTINGS", str(file))
    monkeypatch.setenv("REVIEWAPP_PLATFORM_TARBALL_DAYS", "7")
    monkeypatch.setenv("REVIEWAPP_PLATFORM_REPOSITORIES", "acme/shop, acme/site")
    inputs = load_platform().inputs
    assert type(inputs) is PlatformInputs
    assert (inputs.tarball_days, inputs.uploaders) == (7, ("acme/shop",))
    assert inputs.repositories == ("acme/shop", "acme/site")


def test_what_is_missing_is_named_with_its_variable() -> None:
    with pytest.raises(SettingsRefused) as caught:
        load_platform()
    assert [str(refusal) for refusal in caught.value.refusals] == [
        f"{name}: is missing: set REVIEWAPP_PLATFORM_{name.upper()}, or add it to the settings file" for name in GIVEN
    ]


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"account": 123456789012}, "account: 123456789012 must be text: put it in quotes"),
        ({"account": "1234"}, "account: '1234' must be the account's number of 12 digits, in quotes"),
        ({"region": "Frankfurt"}, "region: 'Frankfurt' must be a region of AWS, as in eu-central-1"),
        ({"name": "Apps"}, "name: 'Apps' must be at most 20 lower-case letters, digits and '-'"),
        ({"tarball_prefix": "/a"}, "tarball_prefix: '/a' must be a prefix of keys without '/' at its ends"),
        ({"tarball_days": 0}, "tarball_days: 0 must be at least 1"),
        (
            {"repositories": ["acme/*"]},
            "repositories[0]: 'acme/*' must be repositories, as in acme/shop, without patterns",
        ),
        ({"cluster": "a b"}, "cluster: 'a b' must be the name of an EKS cluster"),
        ({"cluster_issuer": "https://a/b"}, "cluster_issuer: 'https://a/b' must be an OIDC issuer without https://"),
        ({"backend_url": "s4://a:b@c"}, "backend_url: (not shown) must be a Pulumi backend"),
        ({"workers": 3}, "workers: is not a known field: remove it, or correct its name"),
    ],
)
def test_what_does_not_hold_is_refused(tmp_path: Path, changes: dict[str, Any], said: str) -> None:
    (line,) = refused(tmp_path, **changes)
    assert line.startswith(said)


def test_secrets_are_not_shown(tmp_path: Path) -> None:
    settings = load_platform(written(tmp_path, backend_url="postgres://user:hunter2@db/state"))
    assert "hunter2" not in repr(settings)


def test_the_documentation_lists_every_setting_with_its_default() -> None:
    rows: dict[str, str] = {}
    for line in (ROOT / "docs" / "aws.md").read_text().splitlines():
        cells = [cell.strip() for cell in line.strip("|").split("|")]
        if len(cells) == 3 and cells[0].startswith("`"):
            rows |= dict.fromkeys(re.findall(r"`(\w+)`", cells[0]), cells[1].strip("`\u2013"))
    shown = {
        name: "" if field.is_required() or field.default in ("", ()) else str(field.default)
        for name, field in PlatformSettings.model_fields.items()
    }
    assert {name: default for name, default in rows.items() if name in shown} == shown


def test_the_documentation_names_the_plugins_version() -> None:
    text = (ROOT / "docs" / "aws.md").read_text()
    found = re.findall(r"(?:pulumi plugin install resource aws |AWS_PROVIDER_VERSION=)([0-9.]+)", text)
    assert found == [aws_plugin().version] * 2


class TestTheCommand:
    def test_without_the_plugin_it_says_how_to_get_it(self, tmp_path: Path) -> None:
        pulumi = tmp_path / "pulumi"
        pulumi.write_text("#!/bin/sh\necho v3.274.1\n")
        pulumi.chmod(0o755)
        environment = {"PATH": "/usr/bin:/bin", "HOME": str(tmp_path), "REVIEWAPP_PULUMI": str(pulumi)}
        done = subprocess.run(
            [sys.executable, "-m", "watcher", "platform", "up", "--settings", str(written(tmp_path))],
            cwd=ROOT,
            env=environment,
            capture_output=True,
            text=True,
            timeout=60,
            check=False,
        )
        plugin = aws_plugin().version
        assert (done.returncode, done.stdout) == (1, "")
        assert done.stderr == (
            f"error: pulumi-resource-aws was not found on PATH, nor as {tmp_path}/.pulumi/plugins/"
            f"resource-aws-v{plugin}/pulumi-resource-aws: install version {plugin} with "
            f"`pulumi plugin install resource aws {plugin}`, or put it on PATH\n"
        )

    def test_without_the_extra_it_says_what_to_install(self, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr("provisioner.aws_plugin._PACKAGE", "not-there")
        with pytest.raises(EngineMissing, match=r"install `reviewapp\[aws\]`"):
            aws_plugin()

    def test_a_setting_that_does_not_hold_is_said_first(self, tmp_path: Path) -> None:
        with pytest.raises(SettingsRefused, match="region"):
            CliRunner().invoke(
                app, ["platform", "up", "--settings", str(written(tmp_path, region="x"))], catch_exceptions=False
            )


def test_the_command_line_and_the_watcher_do_without_the_sdk() -> None:
    """It takes a second and some 100 MB, and the watcher's image has none."""
    code = (
        "import json, sys\n"
        "import watcher.cli, watcher.controller, stacks.review_app, provisioner.warm_up\n"
        "from typer.testing import CliRunner\n"
        "for args in (['--help'], ['platform', '--help'], ['crd']):\n"
        "    assert CliRunner().invoke(watcher.cli.app, args).exit_code == 0\n"
        "provisioner.warm_up.warm_up()\n"
        "heavy = ('pulumi_aws', 'stacks.platform.')\n"
        "print(json.dumps([name for name in sys.modules if f'{name}.'.startswith(heavy)]))"
    )
    done = subprocess.run(
        [sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, timeout=60, check=True
    )
    assert json.loads(done.stdout.splitlines()[-1]) == []
