"""A watcher that is cut off: updates a stack, stops half way, says so on stdout, and waits to be killed.

Run as `python -m tests.integration.half_done <data folder> <state backend>`, with the inputs as JSON on stdin.
"""

from __future__ import annotations

import asyncio
import sys
import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any, cast

from provisioner.backend import Backend
from provisioner.engine import Engine
from provisioner.stack import Stacks
from stacks.inputs import StackInputs
from stacks.registration import register
from stacks.review_app import manifests
from tests import samples


class HalfDone:
    """A program that declares one object, waits until that is there, and goes on when it is let.

    Attributes:
        reached: set when the first object is there.
        go_on: to be set by whoever wants the rest.
    """

    def __init__(self) -> None:
        self.reached = threading.Event()
        self.go_on = threading.Event()

    @property
    def program(self) -> Callable[[StackInputs], None]:
        # The engine awaits what a program returns; the type of a program leaves that out.
        return cast("Callable[[StackInputs], None]", self._declare)

    async def _declare(self, inputs: StackInputs) -> None:
        manifest, *others = manifests(inputs)
        first: Any = register(manifest, [])
        await first.id.future()
        self.reached.set()
        while not self.go_on.is_set():
            await asyncio.sleep(0.01)
        for manifest in others:
            register(manifest, [])


def main() -> None:
    inputs = StackInputs.model_validate_json(sys.stdin.read())
    settings = samples.settings(data_folder=Path(sys.argv[1]), backend_url=sys.argv[2])
    backend = Backend(settings, Engine(timeout_seconds=60))
    half_done = HalfDone()

    def tell() -> None:
        half_done.reached.wait()
        sys.stdout.write("half done\n")
        sys.stdout.flush()

    threading.Thread(target=tell, daemon=True).start()
    Stacks(backend, half_done.program).up(inputs, 0)


if __name__ == "__main__":
    main()
