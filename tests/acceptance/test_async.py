"""Asynchronous inference through a real server: boto3, version 2 of the SDK, and servers that are killed."""

from __future__ import annotations

import json
import os
import random
import signal
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import pytest
from botocore.exceptions import ClientError

from tests.acceptance.running import Run, run_program, run_v3_program
from tests.acceptance.served import archive, delete, deploy, keys, read, until
from tests.acceptance.test_crash import processes_of
from tests.server_process import ServerProcess

pytestmark = pytest.mark.timeout(240)


def config(server: ServerProcess, at_once: int | None = None) -> dict[str, Any]:
    bucket = server.connection.bucket
    output = {"S3OutputPath": f"s3://{bucket}/out", "S3FailurePath": f"s3://{bucket}/failed"}
    client = {"MaxConcurrentInvocationsPerInstance": at_once} if at_once else {}
    return {"AsyncInferenceConfig": {"OutputConfig": output, "ClientConfig": client}}


def send(server: ServerProcess, name: str, id: Any, **given: Any) -> dict[str, Any]:  # noqa: A002
    runtime = server.client("sagemaker-runtime")
    task = {key: given.pop(key) for key in ("sleep", "status", "do") if key in given}
    body = json.dumps({"id": id, **task})
    return dict(runtime.invoke_endpoint_async(EndpointName=name, Body=body, **given))


def parts(uri: str) -> tuple[str, str]:
    where = urlsplit(uri)
    return where.netloc, where.path.lstrip("/")


@pytest.fixture(scope="module")
def endpoint(shared_server: ServerProcess) -> Iterator[str]:
    deploy(shared_server, "later", **config(shared_server))
    yield "later"
    delete(shared_server, "later")


def test_answers_are_objects(shared_server: ServerProcess, endpoint: str) -> None:
    s3 = shared_server.client("s3")
    bucket = shared_server.connection.bucket
    s3.put_object(Bucket=bucket, Key="in/1", Body=b'{"id": 1, "sleep": 0.5}', ContentType="application/json")
    runtime = shared_server.client("sagemaker-runtime")
    answer = runtime.invoke_endpoint_async(
        EndpointName=endpoint,
        InputLocation=f"s3://{bucket}/in/1",
        InferenceId="mine",
        Accept="application/json",
        CustomAttributes="a=1",
    )
    assert answer["ResponseMetadata"]["HTTPStatusCode"] == 202
    assert answer["InferenceId"] == "mine"
    place, failure = parts(answer["OutputLocation"]), parts(answer["FailureLocation"])
    assert place[1].startswith("out/") and failure[1].startswith("failed/")
    for where, key in (place, failure):
        with pytest.raises(ClientError) as caught:
            s3.head_object(Bucket=where, Key=key)
        assert caught.value.response["ResponseMetadata"]["HTTPStatusCode"] == 404
    said = until(lambda: place[1] in keys(shared_server, bucket, "out/") and read(shared_server, *place))
    assert (said["id"], said["accept"]) == (1, "application/json")
    assert said["X-Amzn-SageMaker-Inference-Id"] == "mine"
    assert said["X-Amzn-SageMaker-Custom-Attributes"] == "a=1"
    assert s3.head_object(Bucket=place[0], Key=place[1])["ContentType"] == "application/json"


def test_failures_are_objects_too(shared_server: ServerProcess, endpoint: str) -> None:
    bad = send(shared_server, endpoint, "bad", status=400, InferenceId="bad")
    died = send(shared_server, endpoint, "fatal", do="die")
    slow = send(shared_server, endpoint, "slow", sleep=30, InvocationTimeoutSeconds=1)

    def told(answer: dict[str, Any]) -> Any:
        place = parts(answer["FailureLocation"])
        return until(
            lambda: place[1] in keys(shared_server, place[0], "failed/") and read(shared_server, *place)
        )

    seen = told(bad)
    assert seen["invocationStatus"] == "Failed"
    assert (seen["inferenceId"], seen["originalStatusCode"]) == ("bad", 400)
    assert seen["failureReason"].startswith("ModelError: Received client error (400) from ")
    assert told(slow)["failureReason"].startswith("ModelError: ")
    assert "tried 2 times" in told(died)["failureReason"]
    outputs = keys(shared_server, shared_server.connection.bucket, "out/")
    assert not any(parts(each["OutputLocation"])[1] in outputs for each in (bad, died, slow))


def test_refusals_say_what_to_do(shared_server: ServerProcess, endpoint: str) -> None:
    runtime = shared_server.client("sagemaker-runtime")

    def refused(**given: Any) -> str:
        with pytest.raises(ClientError) as caught:
            runtime.invoke_endpoint_async(EndpointName=endpoint, **given)
        assert caught.value.response["Error"]["Code"] == "ValidationError"
        return str(caught.value.response["Error"]["Message"])

    assert "exactly one of InputLocation and Body" in refused()
    assert "no such object" in refused(InputLocation=f"s3://{shared_server.connection.bucket}/nothing")
    assert "requestTTLSeconds" in refused(Body=b"x", RequestTTLSeconds=21_601)
    assert "128000" in refused(Body=b"x" * 128_001)
    with pytest.raises(ClientError, match=r"[Aa]sync"):
        runtime.invoke_endpoint(EndpointName=endpoint, Body=b"{}")


def test_the_backlog_is_a_metric(shared_server: ServerProcess, endpoint: str) -> None:
    now = time.time()

    def found() -> Any:
        answer = shared_server.client("cloudwatch").get_metric_statistics(
            Namespace="AWS/SageMaker",
            MetricName="ApproximateBacklogSize",
            Dimensions=[{"Name": "EndpointName", "Value": endpoint}],
            StartTime=now - 3600,
            EndTime=now + 3600,
            Period=60,
            Statistics=["Maximum"],
        )
        return answer["Datapoints"]

    assert until(found)


@pytest.fixture(scope="module")
def v2(shared_server: ServerProcess, tmp_path_factory: pytest.TempPathFactory) -> Run:
    user = tmp_path_factory.mktemp("async-v2") / "user"
    return run_program(
        "async_v2.py",
        shared_server.home,
        user,
        prepare=lambda: (user / "model.tar.gz").write_bytes(archive()),
    )


@pytest.mark.slow
def test_the_sdk_gets_answers_and_failures(v2: Run) -> None:
    assert v2.report["predicted"]["id"] == 1
    assert v2.report["later"]["id"] == 2
    assert v2.report["not yet"] == "ObjectNotExistedError"
    assert v2.report["failure"]["kind"] == "AsyncInferenceModelError"
    assert "Received server error (500)" in v2.report["failure"]["message"]
    assert v2.report["failure later"] == v2.report["failure"]["kind"]


@pytest.mark.slow
def test_version_3_of_the_sdk(shared_server: ServerProcess, tmp_path: Path) -> None:
    user = tmp_path / "user"
    seen = run_v3_program(
        "async_v3.py",
        shared_server.home,
        user,
        prepare=lambda: (user / "model.tar.gz").write_bytes(archive()),
    ).report
    assert (seen["id"], seen["output"]["id"]) == ("mine", 1)
    assert seen["failure"]["originalStatusCode"] == 400
    assert "/v3/out/" in seen["places"][0]


class TestDeath:
    """What was acknowledged is answered once, whatever dies."""

    MANY = 50

    def outputs(self, server: ServerProcess) -> dict[str, Any]:
        bucket = server.connection.bucket
        return {key: read(server, bucket, key) for key in keys(server, bucket, "out/")}

    def check(self, server: ServerProcess, sent: dict[str, int]) -> None:
        until(lambda: len(keys(server, server.connection.bucket, "out/")) >= len(sent), within_s=90)
        seen = self.outputs(server)
        assert {key: said["id"] for key, said in seen.items()} == sent
        assert keys(server, server.connection.bucket, "failed/") == []
        time.sleep(1)
        assert self.outputs(server) == seen

    def send_all(self, server: ServerProcess, **task: Any) -> dict[str, int]:
        sent = {}
        for number in range(self.MANY):
            answer = send(server, "later", number, **task)
            sent[parts(answer["OutputLocation"])[1]] = number
        return sent

    def test_of_the_server(self, server: ServerProcess) -> None:
        deploy(server, "later", **config(server, 5))
        sent = self.send_all(server, sleep=0.3)
        until(lambda: len(keys(server, server.connection.bucket, "out/")) >= 5)
        for moment in (0.0, 0.35, 0.8):
            time.sleep(moment)
            before = self.outputs(server)
            assert len(before) < self.MANY
            server.kill(signal.SIGKILL)
            server.restart()
            after = self.outputs(server)
            assert {key: after[key] for key in before} == before
        self.check(server, sent)
        delete(server, "later")
        until(lambda: processes_of(server.home) == [])

    def test_of_the_instance(self, server: ServerProcess) -> None:
        deploy(server, "later", **config(server, 5))
        sent = self.send_all(server, sleep=0.2)
        until(lambda: len(keys(server, server.connection.bucket, "out/")) >= 5)
        folder = next((server.home / "jobs" / "endpoint-instance").glob("later.*"))
        os.kill(json.loads((folder / "agent.json").read_text())["pid"], signal.SIGKILL)
        self.check(server, sent)

    @pytest.mark.slow
    def test_of_the_server_at_random_moments(self, server: ServerProcess) -> None:
        deploy(server, "later", **config(server, 8))
        sent = self.send_all(server, sleep=0.5)
        moments = random.Random(7)
        for _ in range(8):
            time.sleep(moments.uniform(0.0, 0.7))
            server.kill(signal.SIGKILL)
            server.restart()
        self.check(server, sent)
