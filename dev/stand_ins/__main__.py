"""Run the stand-ins until told to end: each looks at what is there, several times a second.

What one that was killed has left is let go of by `KubeDB.let_go`, and cleared away at the next start.
"""

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
    kubedb = KubeDB(cluster)
    stand_ins = (Provisioner(cluster, Path(sys.argv[1])), kubedb, CloudNativePG(cluster))
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
    # What it held would be there for ever, and its namespace with it.
    kubedb.let_go()


main()
