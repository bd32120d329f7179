"""Endpoints whose model is a small program of the test, `code/serve` in the model's archive."""

from __future__ import annotations

import io
import json
import tarfile
import time
from collections.abc import Callable, Iterable
from typing import Any

from tests.server_process import ServerProcess

# Answers with what it was sent and with a number that no other answer has. The request says what else it shall do.
SERVE = b"""#!/usr/bin/env python
import json, os, sys, time, uuid
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

class Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def do_GET(self):
        self.answer(200, b"{}")

    def do_POST(self):
        body = self.rfile.read(int(self.headers.get("Content-Length", 0)))
        asked = json.loads(body)
        print("asked", asked.get("id"), flush=True)
        time.sleep(asked.get("sleep", 0))
        if asked.get("do") == "die":
            os._exit(3)
        headers = {name: value for name, value in self.headers.items() if name.lower().startswith("x-amzn")}
        said = {"id": asked.get("id"), "once": uuid.uuid4().hex, "accept": self.headers.get("Accept"), **headers}
        self.answer(asked.get("status", 200), json.dumps(said).encode())

    def answer(self, status, body):
        self.send_response(status)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *args):
        pass

class Server(ThreadingHTTPServer):
    request_queue_size = 128

where = os.environ.get("SAGEMAKER_BIND_TO_HOST", "127.0.0.1"), int(os.environ["SAGEMAKER_BIND_TO_PORT"])
Server(where, Handler).serve_forever()
"""


def archive(program: bytes = SERVE) -> bytes:
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w:gz") as file:
        member = tarfile.TarInfo("code/serve")
        member.size, member.mode = len(program), 0o755
        file.addfile(member, io.BytesIO(program))
    return buffer.getvalue()


def deploy(server: ServerProcess, name: str, *, instances: int = 1, **config: Any) -> str:
    """An endpoint in service. `config`: members of its endpoint configuration. Gives the default bucket's name."""
    s3, sagemaker = server.client("s3"), server.client("sagemaker")
    bucket = server.connection.bucket
    if bucket not in {each["Name"] for each in s3.list_buckets()["Buckets"]}:
        s3.create_bucket(Bucket=bucket)
    s3.put_object(Bucket=bucket, Key=f"{name}/model.tar.gz", Body=archive())
    container = {"Image": "mine", "ModelDataUrl": f"s3://{bucket}/{name}/model.tar.gz"}
    role = server.connection.role_arn
    sagemaker.create_model(ModelName=name, ExecutionRoleArn=role, PrimaryContainer=container)
    variant = {
        "VariantName": "AllTraffic",
        "ModelName": name,
        "InitialInstanceCount": instances,
        "InstanceType": "ml.t2.medium",
    }
    sagemaker.create_endpoint_config(EndpointConfigName=name, ProductionVariants=[variant], **config)
    sagemaker.create_endpoint(EndpointName=name, EndpointConfigName=name)
    until(lambda: status(server, name) != "Creating", within_s=60)
    assert status(server, name) == "InService", sagemaker.describe_endpoint(EndpointName=name)
    return bucket


def status(server: ServerProcess, name: str) -> str:
    found: str = server.client("sagemaker").describe_endpoint(EndpointName=name)["EndpointStatus"]
    return found


def variant_of(server: ServerProcess, name: str) -> dict[str, Any]:
    (found,) = server.client("sagemaker").describe_endpoint(EndpointName=name)["ProductionVariants"]
    return dict(found)


def until(holds: Callable[[], Any], *, within_s: float = 60.0, pause_s: float = 0.1) -> Any:
    """What `holds` gives once that is true."""
    deadline = time.monotonic() + within_s
    while not (found := holds()):
        assert time.monotonic() < deadline, f"not so within {within_s} s"
        time.sleep(pause_s)
    return found


def keys(server: ServerProcess, bucket: str, prefix: str) -> list[str]:
    pages: Iterable[Any] = (
        server.client("s3").get_paginator("list_objects_v2").paginate(Bucket=bucket, Prefix=prefix)
    )
    return [each["Key"] for page in pages for each in page.get("Contents", ())]


def read(server: ServerProcess, bucket: str, key: str) -> Any:
    return json.loads(server.client("s3").get_object(Bucket=bucket, Key=key)["Body"].read())


def delete(server: ServerProcess, name: str) -> None:
    server.client("sagemaker").delete_endpoint(EndpointName=name)
