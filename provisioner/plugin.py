"""Find provider plugins, and ask one for its version by the protocol of engines: it has no flag for that."""

from __future__ import annotations

import os
import shutil
import subprocess
import threading
from dataclasses import dataclass
from pathlib import Path

import grpc
from google.protobuf.empty_pb2 import Empty
from pulumi.runtime.proto.plugin_pb2 import PluginInfo

_SECONDS = 15.0
# https://github.com/pulumi/pulumi/blob/master/proto/pulumi/provider.proto
_GET_PLUGIN_INFO = "/pulumirpc.ResourceProvider/GetPluginInfo"


@dataclass(frozen=True)
class Plugin:
    """A provider plugin of one version: what is installed by `pulumi plugin install resource NAME VERSION`."""

    name: str
    version: str

    @property
    def program(self) -> str:
        """Name of its program, on PATH or in its folder."""
        return f"pulumi-resource-{self.name}"

    @property
    def folder(self) -> str:
        """Name of its folder below `plugins` of a PULUMI_HOME."""
        return f"resource-{self.name}-v{self.version}"

    @property
    def installed(self) -> Path:
        """Where `pulumi plugin install` puts it."""
        home = Path(os.environ.get("PULUMI_HOME") or Path.home() / ".pulumi")
        return home / "plugins" / self.folder / self.program

    def find(self) -> Path | None:
        """Return its program, of whatever version; None if there is none."""
        if self.installed.is_file():
            return self.installed
        found = shutil.which(self.program)
        return Path(found) if found else None


def plugin_version(plugin: Path) -> str | None:
    """Return the version that a plugin says it has, without a leading `v`; None if it does not say.

    Starts the plugin and ends it again, which takes about half a second.
    """
    try:
        process = subprocess.Popen(
            [plugin, "127.0.0.1:0"], stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True
        )
    except OSError:
        return None
    limit = threading.Timer(_SECONDS, process.kill)
    with process:
        try:
            limit.start()
            # The first line that a plugin writes is the port on which it serves.
            port = process.stdout.readline().strip() if process.stdout else ""
            if not port.isdigit():
                return None
            with grpc.insecure_channel(f"127.0.0.1:{port}") as channel:
                ask = channel.unary_unary(
                    _GET_PLUGIN_INFO,
                    request_serializer=Empty.SerializeToString,
                    response_deserializer=PluginInfo.FromString,
                )
                return ask(Empty(), timeout=_SECONDS, wait_for_ready=True).version.removeprefix("v")
        except grpc.RpcError:
            return None
        finally:
            limit.cancel()
            process.kill()
