from __future__ import annotations

import os
from pathlib import Path

import pytest

from provisioner.errors import SettingsRefused
from provisioner.settings import Settings
from provisioner.settings_sources import as_they_stand, load, load_stack_settings
from tests import samples

REQUIRED = {
    "REVIEWAPP_APP_DOMAIN": "review.example.com",
    "REVIEWAPP_REGISTRY": "registry.example.com/apps",
    "REVIEWAPP_PASSPHRASE": "correct horse battery staple",
}


@pytest.fixture(autouse=True)
def _environment(monkeypatch: pytest.MonkeyPatch) -> None:  # pyright: ignore[reportUnusedFunction]
    for name in [name for name in os.environ if name.startswith("REVIEWAPP_")]:
        monkeypatch.delenv(name, raising=False)


@pytest.fixture
def file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    path = tmp_path / "settings.yaml"
    path.write_text("app_domain: file.example.com\nregistry: registry.example.com\nworkers: 7\n")
    monkeypatch.setenv("REVIEWAPP_SETTINGS", str(path))
    monkeypatch.setenv("REVIEWAPP_PASSPHRASE", REQUIRED["REVIEWAPP_PASSPHRASE"])
    return path


def refused() -> dict[str, tuple[str, str]]:
    with pytest.raises(SettingsRefused) as caught:
        load()
    return {refusal.field: (refusal.value, refusal.remedy) for refusal in caught.value.refusals}


def test_from_the_environment_alone(monkeypatch: pytest.MonkeyPatch) -> None:
    for name, value in REQUIRED.items():
        monkeypatch.setenv(name, value)
    monkeypatch.setenv("REVIEWAPP_WORKERS", "")
    settings = load()
    assert (settings.app_domain, settings.registry) == ("review.example.com", "registry.example.com/apps")
    assert (settings.workers, settings.namespace, settings.build_namespace) == (
        4,
        "reviewapp-system",
        "reviewapp-builds",
    )


def test_the_environment_wins_over_the_file(file: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    assert (load().app_domain, load().workers) == ("file.example.com", 7)
    monkeypatch.setenv("REVIEWAPP_WORKERS", "2")
    assert (load().app_domain, load().workers) == ("file.example.com", 2)


def test_all_that_is_missing_is_named() -> None:
    assert refused() == {
        name: ("", f"is missing: set REVIEWAPP_{name.upper()}, or add it to the settings file")
        for name in ("app_domain", "registry", "passphrase")
    }


def test_what_stacks_declare_takes_no_passphrase(file: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    file.write_text("app_domain: a.example.com\nregistry: r.example.com\nworkers: many\n")
    monkeypatch.delenv("REVIEWAPP_PASSPHRASE")
    assert load_stack_settings().app_domain == "a.example.com"
    file.write_text("app_domain: a.example.com\nregistry: r.example.com\nworker: 3\n")
    with pytest.raises(SettingsRefused, match="worker: is not a known field"):
        load_stack_settings()


def test_the_file_that_is_named_wins_over_that_of_the_variable(
    file: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    other = tmp_path / "other.yaml"
    other.write_text("app_domain: other.example.com\nregistry: r.example.com\nworkers: 3\n")
    monkeypatch.setenv("REVIEWAPP_WORKERS", "2")
    assert (load(other).app_domain, load(other).workers) == ("other.example.com", 2)
    with pytest.raises(SettingsRefused, match=r"--settings: .*nowhere.* can't be read"):
        load(tmp_path / "nowhere")


def test_each_setting_as_it_stands(file: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    file.write_text("app_domain: a.example.com\nworkers: many\ns3_endpoint_url: http://me:hunter2@s3.example.com\n")
    monkeypatch.setenv("REVIEWAPP_BACKEND_URL", "postgres://me:hunter2@db/state?password=hunter2")
    settings = {setting.name: (setting.value, setting.source) for setting in as_they_stand()}
    assert settings.keys() == Settings.model_fields.keys()
    assert {name: settings[name] for name in ("app_domain", "registry", "workers", "namespace", "tls_secret")} == {
        "app_domain": ("a.example.com", "file"),
        "registry": (None, "missing"),
        "workers": ("many", "file"),
        "namespace": ("reviewapp-system", "default"),
        "tls_secret": (None, "default"),
    }
    assert settings["passphrase"] == ("(not shown)", "environment")
    assert settings["backend_url"] == ("postgres://…@db/state…", "environment")
    assert settings["s3_endpoint_url"] == ("http://…@s3.example.com", "file")


@pytest.mark.parametrize(
    ("line", "field", "value", "remedy"),
    [
        ("app_domain: a..b", "app_domain", "'a..b'", "must be a DNS name: DNS labels with a '.' between"),
        ("app_domain: '*.b'", "app_domain", "'*.b'", "must be a DNS name: DNS labels with a '.' between"),
        (
            f"app_domain: {'a.' * 110}b",
            "app_domain",
            f"'{'a.' * 30}…'",
            "must be at most 213 characters long: shorten it",
        ),
        ("registry: http://r", "registry", "'http://r'", "must be host[:port][/path] in lower case, no scheme"),
        ("tls_secret: wildcard", "tls_secret", "'wildcard'", "must be namespace/name of a Secret"),
        (
            "namespace: kube_x",
            "namespace",
            "'kube_x'",
            "must be a DNS label: at most 63 lower-case letters, digits and '-'",
        ),
        ("workers: 0", "workers", "0", "must be at least 1"),
        ("workers: many", "workers", "'many'", "must be a whole number"),
        ("registry_insecure: perhaps", "registry_insecure", "'perhaps'", "must be true or false"),
        ("backend_url: https://u:p@h", "backend_url", "(not shown)", "must be a Pulumi backend, as in s3://bucket"),
        ("worker: 3", "worker", "", "is not a known field: remove it, or correct its name"),
        ("1: 3", "['1']", "", "is not a known field: remove it, or correct its name"),
        ("passphrase:", "passphrase", "", "must not be null: remove it, or give it a value"),
    ],
)
def test_a_value_that_does_not_hold(
    file: Path, monkeypatch: pytest.MonkeyPatch, line: str, field: str, value: str, remedy: str
) -> None:
    if field == "passphrase":
        monkeypatch.delenv("REVIEWAPP_PASSPHRASE")
    file.write_text(f"app_domain: a.example.com\nregistry: r.example.com\n{line}\n")
    assert refused() == {field: (value, remedy)}


def test_a_short_passphrase_is_refused_and_not_shown(file: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("REVIEWAPP_PASSPHRASE", "hunter2")
    assert refused() == {"passphrase": ("(not shown)", "must be at least 16 characters long")}
    with pytest.raises(ValueError, match="passphrase") as caught:
        samples.settings(passphrase="hunter2")
    assert "hunter2" not in str(caught.value)


def test_settings_do_not_show_their_secrets() -> None:
    settings = samples.settings(backend_url="postgres://user:hunter2@db/state")
    assert "a passphrase of a test" not in repr(settings)
    assert "hunter2" not in repr(settings)


@pytest.mark.parametrize(
    ("content", "remedy"),
    [
        ("a: [", "is not YAML (line 2): correct it"),
        ("- a", "must be a mapping of settings: one `name: value` a line"),
        ("just text", "must be a mapping of settings: one `name: value` a line"),
    ],
)
def test_a_file_that_is_none(file: Path, content: str, remedy: str) -> None:
    file.write_text(content + "\n")
    assert refused() == {"REVIEWAPP_SETTINGS": (str(file), remedy)}


def test_a_file_that_is_not_text(file: Path) -> None:
    file.write_bytes(b"\xff\xfe\x00")
    assert refused() == {"REVIEWAPP_SETTINGS": (str(file), "is not YAML: correct it")}


def test_a_file_that_is_not_there(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("REVIEWAPP_SETTINGS", str(tmp_path / "nowhere.yaml"))
    ((_, remedy),) = refused().values()
    assert remedy == "can't be read (No such file or directory): correct the path, or unset it"


def test_an_empty_file_says_nothing(file: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    file.write_text("")
    for name, value in REQUIRED.items():
        monkeypatch.setenv(name, value)
    assert load() == Settings(
        app_domain="review.example.com", registry="registry.example.com/apps", passphrase=load().passphrase
    )
