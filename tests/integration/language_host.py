"""Stands in for pulumi-language-python, which comes with the CLI's releases and can't be built from its Go module.

The CLI starts it by that name, reads its port, and asks it to run the program of a project. It does what the real one
does with a program's folder (`runpy`), in this process.
"""

from __future__ import annotations

import os
import runpy
import signal
import sys
from concurrent import futures
from pathlib import Path
from types import FrameType
from typing import Any

import grpc
from pulumi.automation._server import LanguageServer  # pyright: ignore[reportPrivateUsage]
from pulumi.runtime.proto import language_pb2_grpc, plugin_pb2


class _Host(LanguageServer):
    def __init__(self, engine: str) -> None:
        super().__init__(lambda: None)
        self._engine = engine

    def Run(self, request: Any, context: Any) -> Any:  # noqa: N802 - the name of the call.
        program = request.info.program_directory
        os.chdir(request.pwd)

        def run_program() -> None:
            runpy.run_path(program, run_name="__main__")

        self.program = run_program
        request.args[:] = [self._engine]
        return super().Run(request, context)  # pyright: ignore[reportUnknownMemberType]

    def GetPluginInfo(self, request: Any, context: Any) -> Any:  # noqa: N802
        return plugin_pb2.PluginInfo(version="3.272.0")


def main() -> None:
    server = grpc.server(futures.ThreadPoolExecutor(max_workers=4))
    language_pb2_grpc.add_LanguageRuntimeServicer_to_server(_Host(sys.argv[-1]), server)
    port = server.add_insecure_port("127.0.0.1:0")
    server.start()

    def stop(number: int, frame: FrameType | None) -> None:
        server.stop(None)

    signal.signal(signal.SIGINT, stop)
    print(port, flush=True)  # noqa: T201 - what the CLI waits for.
    server.wait_for_termination()


def install(folder: Path) -> None:
    """Put it into a folder, to be found there by the CLI."""
    host = folder / "pulumi-language-python"
    host.write_text(f"#!{sys.executable}\n{Path(__file__).read_text()}")
    host.chmod(0o755)


if __name__ == "__main__":
    main()
