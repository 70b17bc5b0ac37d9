"""moto's stand-in for AWS, as a server in this process."""

from __future__ import annotations

from collections.abc import Generator
from contextlib import contextmanager

from moto.server import ThreadedMotoServer


@contextmanager
def moto_server(address: str = "127.0.0.1") -> Generator[str]:
    """Run it during the block; yield its URL."""
    server = ThreadedMotoServer(address, 0, verbose=False)
    server.start()
    try:
        yield "http://{}:{}".format(*server.get_host_and_port())
    finally:
        server.stop()
