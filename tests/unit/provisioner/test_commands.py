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
from typer.testing import CliRunner, Result

from provisioner.commands import app
from provisioner.errors import SettingsRefused
from provisioner.manifest_text import as_yaml
from provisioner.settings import Settings
from tests import samples

ROOT = Path(__file__).parents[3]


@pytest.fixture(autouse=True)
def _environment(monkeypatch: pytest.MonkeyPatch) -> None:  # pyright: ignore[reportUnusedFunction]
    for name in [name for name in os.environ if name.startswith("REVIEWAPP_")]:
        monkeypatch.delenv(name)


@pytest.fixture
def settings(tmp_path: Path) -> Path:
    file = tmp_path / "settings.yaml"
    file.write_text("app_domain: review.example.com\nregistry: registry.example.com\n")
    return file


def run(*arguments: str | Path, text: str | None = None) -> Result:
    return CliRunner().invoke(app, [str(argument) for argument in arguments], input=text, catch_exceptions=False)


def render(settings: Path, *files: str | Path, text: str | None = None, options: tuple[str, ...] = ()) -> Result:
    named = [part for file in files for part in ("-f", file)]
    return run("render", *named, "--settings", settings, *options, text=text)


def kinds(result: Result) -> list[str]:
    return [manifest["kind"] for manifest in yaml.safe_load_all(result.stdout)]


EVERYTHING = [
    "Secret",
    "NetworkPolicy",
    "NetworkPolicy",
    "Secret",
    "Secret",
    "Postgres",
    "Job",
    "Deployment",
    "Service",
    "Ingress",
]


def review_app(**changes: Any) -> dict[str, Any]:
    manifest = samples.review_app()
    manifest["spec"] |= changes
    return manifest


class TestRender:
    def test_it_prints_what_the_stack_declares(self, settings: Path) -> None:
        result = render(settings, samples.REVIEW_APP)
        assert (result.exit_code, result.stderr) == (0, "")
        assert kinds(result) == EVERYTHING
        assert "value number one" not in result.stdout
        assert "dmFsdWUgbnVtYmVyIG9uZQ==" not in result.stdout

    def test_from_standard_input(self, settings: Path) -> None:
        result = render(settings, "-", text=samples.REVIEW_APP.read_text())
        assert kinds(result) == EVERYTHING

    def test_several_at_once_in_their_order(self, settings: Path, tmp_path: Path) -> None:
        several = tmp_path / "several.json"
        several.write_text(json.dumps({"kind": "List", "items": [review_app(pr="1"), review_app(pr="2")]}))
        result = render(settings, several, samples.REVIEW_APP)
        assert kinds(result) == EVERYTHING * 3
        names = [manifest["metadata"]["name"] for manifest in yaml.safe_load_all(result.stdout)]
        assert [name for name in names if re.fullmatch(r"shop-\d+", name)] == [
            *["shop-1"] * 4,
            *["shop-2"] * 4,
            *["shop-42"] * 4,
        ]

    def test_what_is_printed_is_what_kubectl_and_we_read_alike(self, settings: Path) -> None:
        result = render(settings, samples.REVIEW_APP, options=("--built", "--show-secrets"))
        (deployment,) = (m for m in yaml.safe_load_all(result.stdout) if m["kind"] == "Deployment")
        assert deployment["spec"]["replicas"] == 1

    def test_each_error_is_a_line_and_nothing_else_is_printed(self, settings: Path, tmp_path: Path) -> None:
        file = tmp_path / "apps.yaml"
        hostile = review_app(pr="0", repo="a/b")
        hostile["spec"]["config"]["namespace"] = "kube\nsystem"
        reserved = review_app()
        reserved["spec"]["config"]["namespace"] = "kube-system"
        file.write_text(
            "---\n".join(map(as_yaml, (review_app(), hostile, {"kind": "Secret"}, reserved))) + "---\na: [\n"
        )
        result = render(settings, file, "nowhere.yaml")
        assert (result.exit_code, result.stdout) == (2, "")
        lines = [line.removeprefix(f"{tmp_path}/") for line in result.stderr.splitlines()]
        first, second, third, end = (
            1 + len("---\n".join(as_yaml(m) for m in taken).splitlines()) + 1
            for taken in (
                (review_app(),),
                (review_app(), hostile),
                (review_app(), hostile, {"kind": "Secret"}),
                (review_app(), hostile, {"kind": "Secret"}, reserved),
            )
        )
        assert lines == [
            f"apps.yaml:{first}: spec.repo: 'a/b' must be a name as forges have it: letters, digits, '.', '_' and '-'",
            f"apps.yaml:{first}: spec.pr: '0' must be a pull request's number, as in \"42\"",
            f"apps.yaml:{first}: spec.config.namespace: 'kube\\nsystem' must be a DNS label: "
            "lower-case letters, digits and '-'",
            f"apps.yaml:{second}: apiVersion: must be reviewtron.k8s.revelry.co/v1: nothing else is taken",
            f"apps.yaml:{second}: kind: 'Secret' must be ReviewApp: nothing else is taken",
            f"apps.yaml:{third}: spec.config.namespace: 'kube-system' is not open to review apps: "
            "name the app's own namespace",
            f"apps.yaml:{end + 1}: text: is not YAML (did not find expected node content): correct it",
            "nowhere.yaml: text: can't be read (No such file or directory): correct the path",
        ]

    def test_an_item_of_a_list_is_named(self, settings: Path) -> None:
        listed = {"kind": "ReviewAppList", "items": [review_app(), review_app(pr="x")]}
        result = render(settings, "-", text=as_yaml(listed))
        assert result.stderr == (
            "standard input: items[1].spec.pr: 'x' must be a pull request's number, as in \"42\"\n"
        )

    def test_without_settings_it_says_which_are_missing(self) -> None:
        with pytest.raises(SettingsRefused) as refused:
            run("render", "-f", samples.REVIEW_APP)
        assert [refusal.field for refusal in refused.value.refusals] == ["app_domain", "registry"]

    def test_settings_from_the_environment_alone(self, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setenv("REVIEWAPP_APP_DOMAIN", "review.example.com")
        monkeypatch.setenv("REVIEWAPP_REGISTRY", "registry.example.com")
        assert kinds(run("render", "-f", samples.REVIEW_APP)) == EVERYTHING


class TestSettings:
    def test_a_line_for_each(self, settings: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setenv("REVIEWAPP_WORKERS", "7")
        monkeypatch.setenv("REVIEWAPP_PASSPHRASE", "a passphrase of a test")
        result = run("settings", "--settings", settings)
        assert result.exit_code == 0
        assert "a passphrase of a test" not in result.stdout
        header, *lines = (re.split(r" {3,}", line) for line in result.stdout.splitlines())
        assert header == ["SETTING", "VALUE", "FROM", "MEANING"]
        assert [line[0] for line in lines] == list(Settings.model_fields)
        assert [
            "workers",
            "7",
            "environment",
            "How many stacks are updated at once; each takes about 250 MiB while it is.",
        ] in lines
        assert ["registry_insecure", "false", "default", "Whether the registry speaks plain HTTP."] in lines
        assert ["passphrase", "(not shown)", "environment", "Encrypts the secrets in Pulumi's state."] in lines

    @pytest.mark.parametrize("form", ["json", "yaml"])
    def test_for_programs(self, settings: Path, monkeypatch: pytest.MonkeyPatch, form: str) -> None:
        monkeypatch.setenv("REVIEWAPP_PASSPHRASE", "a passphrase of a test")
        result = run("settings", "--settings", settings, "-o", form)
        listed = {setting.pop("name"): setting for setting in yaml.safe_load(result.stdout)}
        assert listed["workers"] == {
            "value": 4,
            "source": "default",
            "description": "How many stacks are updated at once; each takes about 250 MiB while it is.",
        }
        assert (listed["registry"]["value"], listed["registry"]["source"]) == ("registry.example.com", "file")
        assert (listed["tls_secret"]["value"], listed["tls_secret"]["source"]) == (None, "default")

    def test_what_does_not_hold_is_shown_and_said(self, settings: Path) -> None:
        settings.write_text("app_domain: '*.example.com'\n")
        command = [sys.executable, "-m", "watcher", "settings", "--settings", str(settings)]
        done = subprocess.run(command, capture_output=True, text=True, timeout=60, check=False)
        assert done.returncode == 1
        assert "*.example.com" in done.stdout
        assert done.stderr.splitlines() == [
            "error: app_domain: '*.example.com' must be a DNS name: DNS labels with a '.' between",
            "error: registry: is missing: set REVIEWAPP_REGISTRY, or add it to the settings file",
            "error: passphrase: is missing: set REVIEWAPP_PASSPHRASE, or add it to the settings file",
        ]
