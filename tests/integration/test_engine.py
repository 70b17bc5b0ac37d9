"""The engine's own care: which programs it takes, and that each run ends. Needs no cluster.

Where a run has to misbehave on command, a shell script stands for the CLI; it answers `version` like the real one.
"""

from __future__ import annotations

import os
import signal
import stat
import threading
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from dev.toolchain.components import KUBERNETES_PROVIDER_VERSION
from dev.toolchain.components import PULUMI_VERSION as BUILT_VERSION
from provisioner import engine as module
from provisioner.engine import KUBERNETES, PROVIDER, PROVIDER_VERSION, PULUMI_VERSION, CommandFailed, Engine
from provisioner.errors import EngineInterrupted, EngineMissing, EngineTimeout

pytestmark = pytest.mark.engine

MakeEngine = Callable[..., Engine]


@pytest.fixture
def script(tmp_path: Path) -> Callable[[str], Path]:
    def write(body: str, name: str = "pulumi", version: str = PULUMI_VERSION) -> Path:
        file = tmp_path / "bin" / name
        file.parent.mkdir(exist_ok=True)
        file.write_text(f'#!/bin/sh\n[ "$1" = version ] && {{ echo v{version}; exit; }}\n{body}\n')
        file.chmod(file.stat().st_mode | stat.S_IXUSR)
        return file

    return write


@pytest.fixture
def engine_of(script: Callable[[str], Path]) -> MakeEngine:
    return lambda body, seconds=30.0: Engine(script(body), timeout_seconds=seconds)  # pyright: ignore[reportUnknownLambdaType, reportUnknownVariableType, reportUnknownArgumentType]


def run(engine: Engine, folder: Path, *arguments: str, **environment: str) -> str:
    return engine.run(list(arguments), str(folder), environment).stdout


def test_the_versions_are_the_ones_that_dev_builds() -> None:
    assert (PULUMI_VERSION, PROVIDER_VERSION) == (BUILT_VERSION, KUBERNETES_PROVIDER_VERSION)


def test_the_real_programs_are_found_on_path(tmp_path: Path) -> None:
    assert run(Engine(), tmp_path, "version") == PULUMI_VERSION


def test_no_pulumi(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(EngineMissing, match=rf"pulumi was not found: install pulumi {PULUMI_VERSION}"):
        Engine()
    monkeypatch.setenv("REVIEWAPP_PULUMI", "/nowhere/pulumi")
    with pytest.raises(EngineMissing, match="/nowhere/pulumi was not found"):
        Engine()


def test_another_version_of_pulumi(script: Callable[..., Path]) -> None:
    wrong = script("", version="3.0.0")
    with pytest.raises(EngineMissing, match=rf"pulumi is version 3\.0\.0, and {PULUMI_VERSION} is needed"):
        Engine(wrong)


def test_a_pulumi_that_does_not_work(tmp_path: Path) -> None:
    broken = tmp_path / "pulumi"
    broken.write_text("#!/bin/sh\nexit 3\n")
    broken.chmod(0o755)
    with pytest.raises(EngineMissing, match="version` failed"):
        Engine(broken)


def test_no_plugin(script: Callable[..., Path], monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    pulumi = script("")
    monkeypatch.setenv("PATH", "/usr/bin:/bin")
    monkeypatch.setenv("PULUMI_HOME", str(tmp_path))
    with pytest.raises(EngineMissing, match=f"{PROVIDER} was not found .*pulumi plugin install resource kubernetes"):
        Engine(pulumi)


def test_a_plugin_that_is_none(script: Callable[..., Path], monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    pulumi = script("")
    script("echo hello", name=PROVIDER)
    monkeypatch.setenv("PATH", f"{pulumi.parent}:/usr/bin:/bin")
    monkeypatch.setenv("PULUMI_HOME", str(tmp_path))
    with pytest.raises(EngineMissing, match=f"{PROVIDER} is version unknown, and {PROVIDER_VERSION} is needed"):
        Engine(pulumi)


@pytest.mark.parametrize("name", ["pulumi", PROVIDER])
def test_what_is_taken_away_later_is_named_and_missed_no_more_once_it_is_back(
    script: Callable[..., Path], tmp_path: Path, name: str
) -> None:
    engine = Engine(script("echo ran"))
    engine.providers = {KUBERNETES: script("", name=PROVIDER)}
    (tmp_path / "bin" / name).rename(tmp_path / "away")
    with pytest.raises(EngineMissing, match=f"{name} is not there any more: put it back"):
        run(engine, tmp_path)
    (tmp_path / "away").rename(tmp_path / "bin" / name)
    assert run(engine, tmp_path) == "ran"


def test_the_result_has_all_that_the_run_said(engine_of: MakeEngine, tmp_path: Path) -> None:
    engine = engine_of('echo "out: $*"; echo err >&2; exit 4')
    with pytest.raises(CommandFailed) as failed:
        run(engine, tmp_path, "stack", "ls")
    result = failed.value.result
    assert (result.code, result.stdout, result.stderr) == (4, "out: --non-interactive stack ls", "err")


def test_callbacks_get_each_line_and_may_raise(engine_of: MakeEngine, tmp_path: Path) -> None:
    engine = engine_of("echo one; echo two; echo three >&2")
    out: list[str] = []
    err: list[str] = []
    engine.run(["up"], str(tmp_path), {}, out.append, err.append)
    assert (out, err) == (["one", "two"], ["three"])

    def fail(line: str) -> None:
        raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        engine.run(["up"], str(tmp_path), {}, fail)
    engine.stop()


def test_endless_output_fills_no_memory(engine_of: MakeEngine, tmp_path: Path) -> None:
    engine = engine_of("yes pulumi | head -c 3000000; echo end")
    text = run(engine, tmp_path, "up")
    assert len(text) < 300_000
    assert text.endswith("end")


def test_the_environment_is_scrubbed(engine_of: MakeEngine, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "secret")
    monkeypatch.setenv("REVIEWAPP_PASSPHRASE", "secret")
    monkeypatch.setenv("KUBECONFIG", "/of/the/watcher")
    text = run(engine_of("env"), tmp_path, "up", PULUMI_BACKEND_URL="file:///state")
    assert "secret" not in text
    assert "KUBECONFIG=/of/the/watcher" in text
    assert "PULUMI_BACKEND_URL=file:///state" in text


def test_the_time_limit(engine_of: MakeEngine, tmp_path: Path) -> None:
    engine = engine_of("exec sleep 60", 0.3)
    began = time.monotonic()
    with pytest.raises(EngineTimeout, match=r"`pulumi up` did not end within 0\.3 s"):
        run(engine, tmp_path, "up", "--yes")
    assert time.monotonic() - began < 5


def test_the_time_limit_of_one_that_ignores_it(
    engine_of: MakeEngine, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "_GRACE_SECONDS", 0.3)
    engine = engine_of("trap '' TERM; while :; do sleep 0.05; done", 0.3)
    with pytest.raises(EngineTimeout):
        run(engine, tmp_path, "up")
    engine.stop()


def test_an_update_that_ends_in_order_is_signalled_once(engine_of: MakeEngine, tmp_path: Path) -> None:
    body = f"trap 'echo got >> {tmp_path}/signals' TERM; for i in 1 2 3 4 5 6 7 8 9; do sleep 0.1; done; exit 1"
    engine = engine_of(body, 0.3)
    with pytest.raises(EngineTimeout):
        run(engine, tmp_path, "up")
    assert (tmp_path / "signals").read_text() == "got\n"


def test_stop_ends_all_runs_and_refuses_new_ones(engine_of: MakeEngine, tmp_path: Path) -> None:
    engine = engine_of(f"touch {tmp_path}/$$.started; exec sleep 60")

    def update() -> type[Exception] | None:
        try:
            run(engine, tmp_path, "up")
        except EngineInterrupted as error:
            return type(error)
        return None

    with ThreadPoolExecutor(3) as pool:
        runs = [pool.submit(update) for _ in range(3)]
        deadline = time.monotonic() + 10
        while len(list(tmp_path.glob("*.started"))) < 3:
            assert time.monotonic() < deadline
            time.sleep(0.02)
        engine.stop()
        assert [future.result(5) for future in runs] == [EngineInterrupted] * 3
    with pytest.raises(EngineInterrupted):
        run(engine, tmp_path, "up")
    engine.stop()


def test_an_interrupted_caller_leaves_no_run(engine_of: MakeEngine, tmp_path: Path) -> None:
    engine = engine_of(f"echo $$ > {tmp_path}/pid; exec sleep 60")

    def interrupt() -> None:
        while not (tmp_path / "pid").exists() or not (tmp_path / "pid").read_text():
            time.sleep(0.02)
        os.kill(os.getpid(), 2)

    # Whoever runs the tests in the background may have them ignore it.
    before = signal.signal(signal.SIGINT, signal.default_int_handler)
    threading.Thread(target=interrupt).start()
    try:
        with pytest.raises(KeyboardInterrupt):
            run(engine, tmp_path, "up")
    finally:
        signal.signal(signal.SIGINT, before)
    assert not Path(f"/proc/{(tmp_path / 'pid').read_text().strip()}").exists()


def test_runs_are_counted_by_thread(engine_of: MakeEngine, tmp_path: Path) -> None:
    engine = engine_of("exit 0")
    run(engine, tmp_path, "up")
    with ThreadPoolExecutor(1) as pool:
        pool.submit(run, engine, tmp_path, "up").result()
        assert pool.submit(lambda: engine.runs_of_this_thread).result() == 1
    run(engine, tmp_path, "up")
    assert engine.runs_of_this_thread == 2
