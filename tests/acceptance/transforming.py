"""A small program that serves a model, and the plain boto3 calls that take objects through it."""

from __future__ import annotations

import time
import uuid
from typing import Any

from tests.acceptance import programs
from tests.acceptance.logs import log_lines
from tests.server_process import ServerProcess

BUCKET = "transforming"
GROUP = "/aws/sagemaker/TransformJobs"
FINAL = {"Completed", "Failed", "Stopped"}
PATIENCE_S = 60.0

# answers every line with the number of its letters; a text that says so is refused, slow, or the end of it
SERVE = r"""#!/usr/bin/env python
import json, os, signal, sys, time
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

class Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    wbufsize = -1
    def do_GET(self):
        self.answer(200 if self.path == "/ping" else 404, b"{}")
    def do_POST(self):
        body = self.rfile.read(int(self.headers["content-length"]))
        if b"bad" in body:
            return self.answer(400, b'{"code": 400, "message": "there is a bad word in it"}')
        if b"slow" in body:
            print("slow", os.getpid(), flush=True)
            time.sleep(600)
        lines = [str(len(line)).encode() for line in body.split(b"\n") if line]
        self.answer(200, b"\n".join(lines))
    def answer(self, status, data):
        self.send_response(status)
        self.send_header("content-length", str(len(data)))
        self.end_headers()
        self.wfile.write(data)
        self.wfile.flush()
    def log_message(self, *args):
        pass

signal.signal(signal.SIGTERM, lambda *_: os._exit(0))
place = os.environ["SAGEMAKER_BIND_TO_HOST"], int(os.environ["SAGEMAKER_BIND_TO_PORT"])
print("serving in batch:", os.environ["SAGEMAKER_BATCH"], flush=True)
ThreadingHTTPServer(place, Handler).serve_forever()
"""


def put(server: ServerProcess, files: dict[str, bytes]) -> None:
    s3 = server.client("s3")
    s3.create_bucket(Bucket=BUCKET)
    for key, body in files.items():
        s3.put_object(Bucket=BUCKET, Key=key, Body=body)


def create_model(server: ServerProcess, name: str = "letters") -> str:
    put(server, {f"{name}/model.tar.gz": programs.pack({"code/serve": SERVE})})
    sagemaker = server.client("sagemaker")
    if not sagemaker.list_models(NameContains=name)["Models"]:
        container = {"Image": "image", "ModelDataUrl": f"s3://{BUCKET}/{name}/model.tar.gz"}
        sagemaker.create_model(
            ModelName=name, ExecutionRoleArn=server.connection.role_arn, PrimaryContainer=container
        )
    return name


def submit(server: ServerProcess, files: dict[str, bytes], *, instances: int = 1, **request: Any) -> str:
    """Upload `files` below `<job>/in/` and create a job that takes them, line by line, to `<job>/out/`."""
    name = f"job-{uuid.uuid4().hex[:12]}"
    put(server, {f"{name}/in/{path}": body for path, body in files.items()})
    source = {"S3DataSource": {"S3DataType": "S3Prefix", "S3Uri": f"s3://{BUCKET}/{name}/in/"}}
    server.client("sagemaker").create_transform_job(
        **{
            "TransformJobName": name,
            "ModelName": create_model(server),
            "BatchStrategy": "SingleRecord",
            "TransformInput": {"DataSource": source, "ContentType": "text/plain", "SplitType": "Line"},
            "TransformOutput": {"S3OutputPath": f"s3://{BUCKET}/{name}/out", "AssembleWith": "Line"},
            "TransformResources": {"InstanceType": "ml.m5.large", "InstanceCount": instances},
            **request,
        }
    )
    return name


def outputs(server: ServerProcess, name: str) -> dict[str, bytes]:
    """By their paths below the output's."""
    s3, prefix = server.client("s3"), f"{name}/out/"
    listing = s3.list_objects_v2(Bucket=BUCKET, Prefix=prefix)
    return {
        entry["Key"].removeprefix(prefix): s3.get_object(Bucket=BUCKET, Key=entry["Key"])["Body"].read()
        for entry in listing.get("Contents", ())
    }


def describe(server: ServerProcess, name: str) -> dict[str, Any]:
    described: dict[str, Any] = server.client("sagemaker").describe_transform_job(TransformJobName=name)
    return described


def wait(server: ServerProcess, name: str, until: str) -> dict[str, Any]:
    deadline = time.monotonic() + PATIENCE_S
    while time.monotonic() < deadline:
        described = describe(server, name)
        if described["TransformJobStatus"] in FINAL:
            assert described["TransformJobStatus"] == until, described.get("FailureReason")
            return described
        time.sleep(0.05)
    raise AssertionError(f"{name} goes on: {messages(server, name)}")


def messages(server: ServerProcess, name: str) -> dict[str, list[str]]:
    """The lines of the job's logs, by host."""
    return log_lines(server, GROUP, name)


def wait_for_line(server: ServerProcess, name: str, text: str) -> str:
    """The first line with that text, of any host."""
    deadline = time.monotonic() + PATIENCE_S
    while time.monotonic() < deadline:
        for lines in messages(server, name).values():
            if found := next((line for line in lines if text in line), None):
                return found
        time.sleep(0.05)
    raise AssertionError(f"{name} never printed {text!r}: {messages(server, name)}, {describe(server, name)}")
