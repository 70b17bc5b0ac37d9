"""Tests that leave the watcher as it is run side by side: nearly all of their time they wait for builds and Pods.

The first of them that is due starts all that are to run, each in a thread and with a repository of its own; each then
reports its own outcome in its own place. Not for a test that stops the watcher, changes its settings or counts what
is not its own.
"""

from __future__ import annotations

import inspect
from collections.abc import Callable, Iterable
from concurrent.futures import Future, ThreadPoolExecutor
from pathlib import Path
from typing import Any

Test = Callable[..., None]
Outcomes = dict[Test, Future[None]]

# Two cores, of which the tests of another process have one.
_AT_ONCE = 5

_tests: dict[Test, Test] = {}


def side_by_side(test: Test) -> Test:
    """Mark a test. It may take `repository`, `pull_request`, `commits`, `cluster`, `watcher` and `tmp_path`."""

    def report(outcomes: Outcomes) -> None:
        outcomes[report].result()

    report.__name__ = test.__name__
    report.__doc__ = test.__doc__
    _tests[report] = test
    return report


def is_marked(function: Any) -> bool:
    """Whether it runs side by side with others."""
    return function in _tests


def run(functions: Iterable[Test], new_repository: Callable[[str], Any], folder: Path, **fixtures: Any) -> Outcomes:
    """Run those of the functions that are marked, to the last; return what came of each."""
    with ThreadPoolExecutor(_AT_ONCE) as threads:
        marked = [function for function in functions if is_marked(function)]
        return {
            function: threads.submit(_run, _tests[function], new_repository, folder / str(number), fixtures)
            for number, function in enumerate(marked)
        }


def _run(test: Test, new_repository: Callable[[str], Any], folder: Path, fixtures: dict[str, Any]) -> None:
    wanted = inspect.signature(test).parameters
    with new_repository(test.__name__) as repository:
        own: dict[str, Any] = {"repository": repository}
        if "pull_request" in wanted:
            own["pull_request"] = repository.pull_request()
        if "tmp_path" in wanted:
            folder.mkdir()
            own["tmp_path"] = folder
        have = fixtures | own
        test(**{name: have[name] for name in wanted})
