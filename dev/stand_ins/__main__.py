"""Run the stand-ins until told to end: each looks at what is there, several times a second."""

from __future__ import annotations

import signal
import sys
import threading
from pathlib import Path

from dev.console import say
from dev.stand_ins.cnpg import CloudNativePG
from dev.stand_ins.kubedb import KubeDB
from dev.stand_ins.volumes import Provisioner
from provisioner.errors import ReviewAppError
from watcher.cluster import Cluster

_PAUSE_SECONDS = 0.2


def main() -> None:
    """Run them; the argument is the folder of the volumes."""
    cluster = Cluster.from_environment()
    stand_ins = (Provisioner(cluster, Path(sys.argv[1])), KubeDB(cluster), CloudNativePG(cluster))
    ended = threading.Event()

    def end(number: int, frame: object) -> None:
        del number, frame
        ended.set()

    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, end)
    say("stand-ins run")
    while not ended.wait(_PAUSE_SECONDS):
        for stand_in in stand_ins:
            try:
                stand_in.look()
            except ReviewAppError as error:
                say(f"{type(stand_in).__name__}: {error}")


main()
