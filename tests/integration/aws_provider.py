"""Stands in for pulumi-resource-aws, which can't be had here: takes every resource, and keeps each as a file.

The engine starts it by that name. It checks nothing and knows nothing of AWS: it shows what the engine asks a provider
for, no more. Its folder is what AWS_STAND_IN names. Where AWS_ENDPOINT_URL names a server, as moto's, IAM roles and
their policies are made and deleted there too, so that it is the server's word whether that may be.
"""

from __future__ import annotations

import json
import os
import sys
import time
import uuid
from concurrent import futures
from pathlib import Path
from typing import Any

import grpc
from google.protobuf import empty_pb2, json_format, struct_pb2
from pulumi.runtime.proto import plugin_pb2, provider_pb2, provider_pb2_grpc

FOLDER = "AWS_STAND_IN"


def refuse(folder: Path, operation: str, kind: str, message: str) -> None:
    """Have an operation, `creating` or `deleting`, on resources of a kind fail with a message; no more, with none."""
    (folder / f"{operation}-{kind}.refused").write_text(message)


def _iam(operation: str, kind: str, inputs: dict[str, Any]) -> None:
    if kind not in {"Role", "RolePolicy"} or "AWS_ENDPOINT_URL" not in os.environ:
        return
    import boto3

    session: Any = boto3
    client = session.client("iam")
    if kind == "Role":
        if operation == "deleting":
            client.delete_role(RoleName=inputs["name"])
        else:
            client.create_role(
                RoleName=inputs["name"],
                Path=inputs["path"],
                AssumeRolePolicyDocument=inputs["assumeRolePolicy"],
                PermissionsBoundary=inputs["permissionsBoundary"],
            )
    elif operation == "deleting":
        client.delete_role_policy(RoleName=inputs["role"], PolicyName=inputs["name"])
    else:
        client.put_role_policy(RoleName=inputs["role"], PolicyName=inputs["name"], PolicyDocument=inputs["policy"])


def _act(operation: str, urn: str, properties: Any, context: Any) -> None:
    """Do in the server what is asked for; end the call with what that, or the test, says against it."""
    kind, name = urn.split("::", 3)[2].rpartition(":")[2], urn.split("::", 3)[3]
    refused = Path(os.environ[FOLDER]) / f"{operation}-{kind}.refused"
    message = refused.read_text() if refused.exists() else ""
    try:
        if not message:
            _iam(operation, kind, json_format.MessageToDict(properties))
    except Exception as error:  # noqa: BLE001 - the provider, too, says all that AWS does.
        message = str(error)
    if message:
        # As the real one begins.
        context.abort(grpc.StatusCode.UNKNOWN, f"1 error occurred:\n\t* {operation} IAM {kind} ({name}): {message}\n\n")


def _file(identity: str) -> Path:
    return Path(os.environ[FOLDER]) / identity


def _write(identity: str, urn: str, properties: Any) -> struct_pb2.Struct:
    _, _, kind, name = urn.split("::", 3)
    inputs: dict[str, Any] = json_format.MessageToDict(properties)
    _file(identity).write_text(json.dumps({"kind": kind.rpartition(":")[2], "name": name, "inputs": inputs}))
    outputs = struct_pb2.Struct()
    outputs.update(inputs | {"arn": f"arn:aws:stand-in:::{name}", "keyId": identity})
    return outputs


class _Provider(provider_pb2_grpc.ResourceProviderServicer):
    def __init__(self, version: str) -> None:
        self._version = version

    def GetPluginInfo(self, request: Any, context: Any) -> Any:  # noqa: N802 - the names of the calls, here and below.
        return plugin_pb2.PluginInfo(version=self._version)

    def CheckConfig(self, request: Any, context: Any) -> Any:  # noqa: N802
        return provider_pb2.CheckResponse(inputs=request.news)

    def DiffConfig(self, request: Any, context: Any) -> Any:  # noqa: N802
        return provider_pb2.DiffResponse(changes=provider_pb2.DiffResponse.DIFF_NONE)

    def Configure(self, request: Any, context: Any) -> Any:  # noqa: N802
        return provider_pb2.ConfigureResponse(supportsPreview=True)

    def Check(self, request: Any, context: Any) -> Any:  # noqa: N802
        return provider_pb2.CheckResponse(inputs=request.news)

    def Diff(self, request: Any, context: Any) -> Any:  # noqa: N802
        same = request.old_inputs == request.news
        kinds = provider_pb2.DiffResponse
        return kinds(changes=kinds.DIFF_NONE if same else kinds.DIFF_SOME)

    def Create(self, request: Any, context: Any) -> Any:  # noqa: N802
        if request.preview:
            return provider_pb2.CreateResponse(properties=request.properties)
        _act("creating", request.urn, request.properties, context)
        identity = uuid.uuid4().hex
        return provider_pb2.CreateResponse(id=identity, properties=_write(identity, request.urn, request.properties))

    def Update(self, request: Any, context: Any) -> Any:  # noqa: N802
        if request.preview:
            return provider_pb2.UpdateResponse(properties=request.news)
        return provider_pb2.UpdateResponse(properties=_write(request.id, request.urn, request.news))

    def Delete(self, request: Any, context: Any) -> Any:  # noqa: N802
        _act("deleting", request.urn, request.old_inputs, context)
        _file(request.id).unlink()
        return empty_pb2.Empty()

    def Cancel(self, request: Any, context: Any) -> Any:  # noqa: N802
        return empty_pb2.Empty()


def main(version: str) -> None:
    server = grpc.server(futures.ThreadPoolExecutor(max_workers=4))
    provider_pb2_grpc.add_ResourceProviderServicer_to_server(_Provider(version), server)
    port = server.add_insecure_port("127.0.0.1:0")
    server.start()
    print(port, flush=True)  # noqa: T201 - what the engine waits for.
    # The engine ends its plugins by a signal; where it is gone, nobody does.
    while os.getppid() != 1:
        time.sleep(0.5)


def install(folder: Path, program: str, version: str) -> None:
    """Put it into a folder, to be found there by the engine."""
    folder.mkdir(parents=True)
    plugin = folder / program
    root = Path(__file__).parents[2]
    plugin.write_text(
        f"#!{sys.executable}\nimport sys\nsys.path.insert(0, {str(root)!r})\n"
        f"from tests.integration.aws_provider import main\nmain({version!r})\n"
    )
    plugin.chmod(0o755)
