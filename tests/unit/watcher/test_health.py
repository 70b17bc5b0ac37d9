"""What the kubelet is told: each way in which a watcher can be alive and yet of no use."""

from __future__ import annotations

import socket
from dataclasses import dataclass, field
from typing import cast

import httpx
import pytest

from watcher.cluster import JOBS, Resource
from watcher.controller import Controller
from watcher.health import problems, serve
from watcher.replica import Replica

NOW = 10_000.0


@dataclass
class StandInInformer:
    """As much of an informer as its health is told from."""

    resource: Resource = JOBS
    alive: bool = True
    last_contact: float = NOW - 5
    is_synced: bool = True

    def wait_synced(self, seconds: float) -> bool:
        return self.is_synced


@dataclass
class StandInElector:
    """As much of an elector."""

    has_died: bool = False
    last_step: float = NOW - 1


@dataclass
class StandInReplica:
    """As much of a watcher."""

    informers: list[StandInInformer] = field(default_factory=lambda: [StandInInformer()])
    elector: StandInElector = field(default_factory=StandInElector)
    controller: Controller | None = None
    is_ready: bool = True


class Stuck(Controller):
    """A controller of which one worker has not come back."""

    def __init__(self) -> None:
        pass

    def problems(self, now: float) -> list[str]:
        return [f"a worker has been at shop-7 for {now - 1_000:.0f} s"]


def said(replica: StandInReplica) -> list[str]:
    return problems(cast(Replica, replica), NOW)


def test_one_that_is_well_says_nothing() -> None:
    assert said(StandInReplica()) == []


@pytest.mark.parametrize(
    ("replica", "problem"),
    [
        (StandInReplica([StandInInformer(alive=False)]), "informer jobs has died"),
        (StandInReplica([StandInInformer(last_contact=NOW - 700)]), "nothing was heard of jobs for 700 s"),
        (StandInReplica(elector=StandInElector(has_died=True)), "the elector has died"),
        (
            StandInReplica(elector=StandInElector(last_step=NOW - 90)),
            "the elector has not looked at the Lease for 90 s",
        ),
        (StandInReplica(controller=Stuck()), "a worker has been at shop-7 for 9000 s"),
    ],
)
def test_what_a_restart_would_mend_is_said(replica: StandInReplica, problem: str) -> None:
    assert said(replica) == [problem]


def test_probes_are_answered() -> None:
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        port = listener.getsockname()[1]
    informer = StandInInformer(last_contact=0.0, is_synced=False)
    replica = StandInReplica([informer], StandInElector(last_step=0.0), is_ready=False)
    serve(cast(Replica, replica), port)

    def get(path: str) -> tuple[int, str]:
        answer = httpx.get(f"http://127.0.0.1:{port}/{path}", timeout=5)
        return answer.status_code, answer.text.strip()

    assert get("readyz") == (500, "no list of jobs yet")
    informer.is_synced = True
    assert get("readyz") == (500, "about to begin")
    replica.is_ready = True
    assert get("readyz") == (200, "ok")
    replica.elector.has_died = True
    status, text = get("livez")
    assert status == 500
    assert "the elector has died" in text
    assert get("metrics")[0] == 200
    assert get("elsewhere") == (404, "there is /livez, /readyz and /metrics")
