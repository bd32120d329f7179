"""20,000 requests while the endpoint is updated and its workers are killed: each is answered once and rightly, or
refused with a documented error."""

from __future__ import annotations

import concurrent.futures
import io
import json
import tarfile
import threading
import time
from collections import Counter
from collections.abc import Iterator, Sequence
from concurrent.futures import FIRST_EXCEPTION, Future, ThreadPoolExecutor
from dataclasses import dataclass, field
from itertools import count
from typing import Any

import pytest
from botocore.exceptions import ClientError

from tests.acceptance.workers import kill_a_worker
from tests.server_process import ServerProcess

pytestmark = [pytest.mark.slow, pytest.mark.timeout(480)]

REQUESTS = 20_000
CALLERS = 12

ECHO = b"""
import os

def model_fn(model_dir):
    return os.environ["WORD"]

def predict_fn(data, model):
    return {"id": data["id"], "word": model}
"""


@dataclass
class Tally:
    """What became of the requests. `sent` and `ended` are monotonic seconds."""

    answers: list[tuple[float, float, str]] = field(default_factory=list)
    wrong: list[Any] = field(default_factory=list)
    refused: Counter[str] = field(default_factory=Counter)
    lock: threading.Lock = field(default_factory=threading.Lock)

    @property
    def done(self) -> int:
        return len(self.answers) + len(self.wrong) + self.refused.total()


def archive() -> bytes:
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w:gz") as file:
        member = tarfile.TarInfo("code/inference.py")
        member.size = len(ECHO)
        file.addfile(member, io.BytesIO(ECHO))
    return buffer.getvalue()


def prepare(server: ServerProcess, word: str, bucket: str) -> None:
    """A model that answers with a word, and a configuration of the same name with two instances of it."""
    sagemaker, role = server.client("sagemaker"), server.connection.role_arn
    environment = {"WORD": word, "SAGEMAKER_MODEL_SERVER_WORKERS": "2"}
    container = {
        "Image": "mine",
        "ModelDataUrl": f"s3://{bucket}/echo/model.tar.gz",
        "Environment": environment,
    }
    sagemaker.create_model(ModelName=word, ExecutionRoleArn=role, PrimaryContainer=container)
    variant = {
        "VariantName": "main",
        "ModelName": word,
        "InitialInstanceCount": 2,
        "InstanceType": "ml.m5.large",
    }
    sagemaker.create_endpoint_config(EndpointConfigName=word, ProductionVariants=[variant])


def wait(
    server: ServerProcess, name: str, status: str = "InService", within_s: float = 120.0
) -> dict[str, Any]:
    deadline = time.monotonic() + within_s
    while True:
        described = server.client("sagemaker").describe_endpoint(EndpointName=name)
        if described["EndpointStatus"] == status:
            return described  # type: ignore[no-any-return]
        assert described["EndpointStatus"] != "Failed", described["FailureReason"]
        assert time.monotonic() < deadline, described
        time.sleep(0.2)


@pytest.fixture
def endpoint(server: ServerProcess) -> Iterator[str]:
    bucket = server.connection.bucket
    server.client("s3").create_bucket(Bucket=bucket)
    server.client("s3").put_object(Bucket=bucket, Key="echo/model.tar.gz", Body=archive())
    for word in ("first", "second"):
        prepare(server, word, bucket)
    server.client("sagemaker").create_endpoint(EndpointName="echo", EndpointConfigName="first")
    wait(server, "echo")
    yield "echo"
    server.client("sagemaker").delete_endpoint(EndpointName="echo")


def call(server: ServerProcess, tally: Tally, numbers: Iterator[int]) -> None:
    runtime = server.client("sagemaker-runtime", config={"max_pool_connections": CALLERS})  # one attempt
    while (number := next(numbers)) < REQUESTS:
        sent = time.monotonic()
        try:
            answer = runtime.invoke_endpoint(
                EndpointName="echo", ContentType="application/json", Body=json.dumps({"id": number})
            )
            body = json.loads(answer["Body"].read())
        except ClientError as error:
            with tally.lock:
                tally.refused[f"{error.response['Error']['Code']}: {error.response['Error']['Message']}"] += 1
            continue
        with tally.lock:
            if body.get("id") == number and body["word"] in {"first", "second"}:
                tally.answers.append((sent, time.monotonic(), body["word"]))
            else:
                tally.wrong.append((number, body))


def until(tally: Tally, part: float, futures: Sequence[Future[None]]) -> None:
    while tally.done < REQUESTS * part:
        done, _ = concurrent.futures.wait(futures, timeout=0.05, return_when=FIRST_EXCEPTION)
        for future in done:
            future.result()


def test_every_request_is_answered_once_and_rightly_or_refused(server: ServerProcess, endpoint: str) -> None:
    tally, numbers = Tally(), count()
    lock = threading.Lock()

    def drawn() -> Iterator[int]:
        while True:
            with lock:
                number = next(numbers)
            yield number

    with ThreadPoolExecutor(CALLERS) as callers:
        futures = [callers.submit(call, server, tally, drawn()) for _ in range(CALLERS)]
        until(tally, 0.2, futures)
        kill_a_worker(server.home)
        until(tally, 0.4, futures)
        asked = time.monotonic()
        server.client("sagemaker").update_endpoint(EndpointName=endpoint, EndpointConfigName="second")
        wait(server, endpoint)
        settled = time.monotonic()
        until(tally, 0.8, futures)
        kill_a_worker(server.home)
        for future in futures:
            future.result()
    print(f"{len(tally.answers)} answered, refused: {dict(tally.refused)}")
    assert tally.wrong == []
    assert tally.done == REQUESTS
    assert {word for _, ended, word in tally.answers if ended < asked} == {"first"}
    assert {word for sent, _, word in tally.answers if sent > settled} == {"second"}
    # of two workers killed, each had one request at most in its hands
    assert tally.refused.total() <= 2
    assert all(reason.startswith("ModelError") for reason in tally.refused)
