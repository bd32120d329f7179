"""Endpoints asked by unmodified boto3, through a real server; instances are small programs of the test."""

from __future__ import annotations

import json
import threading
import time
from collections.abc import Callable, Iterator
from typing import Any

import pytest
from botocore.exceptions import ClientError

from clary.store.sql import open_store
from tests.model_program import ModelProgram, endpoint_row
from tests.server_process import ServerProcess

Deploy = Callable[..., ModelProgram]


@pytest.fixture
def deploy(shared_server: ServerProcess) -> Iterator[Deploy]:
    """Makes an endpoint of one instance by its row, and gives the instance."""
    yield from deployer(shared_server)


def deployer(server: ServerProcess) -> Iterator[Deploy]:
    options = dict(zip(server.options[::2], server.options[1::2], strict=True))
    store = open_store(options.get("--database-url", f"sqlite:///{server.home / 'clary.db'}"))
    programs: list[ModelProgram] = []

    def make(name: str, **row: Any) -> ModelProgram:
        program = ModelProgram()
        programs.append(program)
        store.create(endpoint_row(name, {"AllTraffic": [program.address]}, **row))
        return program

    yield make
    for program in programs:
        program.close()
    store.close()


def refusal(call: Callable[[], Any]) -> Any:
    with pytest.raises(ClientError) as caught:
        call()
    return caught.value.response


def test_an_answer_comes_back_as_the_model_gave_it(shared_server: ServerProcess, deploy: Deploy) -> None:
    program = deploy("echo")
    client = shared_server.client("sagemaker-runtime")
    for body in (b"", b"\x00\xff raw", "Grüße".encode(), b"x" * 3_000_000):
        answer = client.invoke_endpoint(
            EndpointName="echo", Body=body, ContentType="application/x-thing", CustomAttributes="a=1"
        )
        assert answer["Body"].read() == body
        assert answer["ContentType"] == "application/x-thing"
        assert answer["InvokedProductionVariant"] == "AllTraffic"
    assert program.headers["x-amzn-sagemaker-custom-attributes"] == "a=1"


def test_errors_of_the_model_and_of_the_caller(shared_server: ServerProcess, deploy: Deploy) -> None:
    deploy("faulty")
    client = shared_server.client("sagemaker-runtime")

    def ask(**task: Any) -> Any:
        return refusal(lambda: client.invoke_endpoint(EndpointName="faulty", Body=json.dumps(task)))

    model = ask(do="status", status=400, text="no such field")
    assert model["Error"]["Code"] == "ModelError"
    assert model["ResponseMetadata"]["HTTPStatusCode"] == 424
    assert (
        'Received client error (400) from primary with message "no such field"' in model["Error"]["Message"]
    )
    assert (model["OriginalStatusCode"], model["OriginalMessage"]) == (400, "no such field")
    assert model["LogStreamArn"].endswith(
        "log-group:/aws/sagemaker/Endpoints/faulty:log-stream:AllTraffic/AllTraffic-0"
    )
    died = ask(do="die")
    assert died["Error"]["Code"] == "ModelError" and died["OriginalStatusCode"] == 0
    nobody = refusal(lambda: client.invoke_endpoint(EndpointName="nobody", Body=b""))
    assert nobody["Error"]["Code"] == "ValidationError"
    assert nobody["Error"]["Message"].endswith("not found.")
    large = refusal(lambda: client.invoke_endpoint(EndpointName="faulty", Body=b"x" * (6 * (1 << 20) + 1)))
    assert large["Error"]["Code"] == "ValidationError" and "6291456" in large["Error"]["Message"]


def test_a_stream_comes_piece_by_piece(shared_server: ServerProcess, deploy: Deploy) -> None:
    deploy("talker")
    client = shared_server.client("sagemaker-runtime")

    def ask(**task: Any) -> Any:
        body = json.dumps({"do": "stream", **task})
        return client.invoke_endpoint_with_response_stream(EndpointName="talker", Body=body)

    answer = ask(pieces=["Once ", "upon ", "a time"], s=0.05)
    assert answer["ContentType"] == "text/plain"
    assert [event["PayloadPart"]["Bytes"] for event in answer["Body"]] == [b"Once ", b"upon ", b"a time"]
    broken = ask(pieces=["Once "], then="break")
    events = iter(broken["Body"])
    assert next(events)["PayloadPart"]["Bytes"] == b"Once "
    with pytest.raises(ClientError, match=r"StreamBroken|broke"):
        next(events)


def test_a_client_that_goes_frees_its_place(shared_server: ServerProcess, deploy: Deploy) -> None:
    waiting, talking = deploy("waiting"), deploy("talking")
    hasty = shared_server.client("sagemaker-runtime", config={"read_timeout": 1})
    with pytest.raises(Exception, match=r"timed out|Read timeout"):
        hasty.invoke_endpoint(EndpointName="waiting", Body=b'{"do": "until_left"}')
    assert waiting.left.wait(10)
    stream = shared_server.client("sagemaker-runtime").invoke_endpoint_with_response_stream(
        EndpointName="talking", Body=json.dumps({"do": "stream", "pieces": ["a"], "then": "hang"})
    )
    next(iter(stream["Body"]))
    stream["Body"].close()
    assert talking.left.wait(10)


def test_what_is_wrong_with_a_request_is_said_by_name(shared_server: ServerProcess, deploy: Deploy) -> None:
    deploy("strict")
    client = shared_server.client("sagemaker-runtime")

    def ask(**more: Any) -> str:
        error = refusal(lambda: client.invoke_endpoint(EndpointName="strict", Body=b"x", **more))["Error"]
        assert error["Code"] == "ValidationError"
        return str(error["Message"])

    assert "at 'customAttributes' failed" in ask(CustomAttributes="x" * 1025)
    assert "at 'targetModel' failed" in ask(TargetModel="x" * 1025)
    assert "no variant Other; the endpoint has AllTraffic" in ask(TargetVariant="Other")
    attributes = "a,b;c=" + "x" * 1018
    assert (
        client.invoke_endpoint(EndpointName="strict", Body=b"x", CustomAttributes=attributes)["Body"].read()
        == b"x"
    )


def test_what_was_asked_is_measured_and_captured(shared_server: ServerProcess, deploy: Deploy) -> None:
    s3, watch = shared_server.client("s3"), shared_server.client("cloudwatch")
    s3.create_bucket(Bucket="captured")
    capture = {
        "EnableCapture": True,
        "InitialSamplingPercentage": 100,
        "DestinationS3Uri": "s3://captured/to",
        "CaptureOptions": [{"CaptureMode": "Input"}, {"CaptureMode": "Output"}],
        "CaptureContentTypeHeader": {"CsvContentTypes": ["text/csv"]},
    }
    deploy("watched", config={"DataCaptureConfig": capture})
    client = shared_server.client("sagemaker-runtime")
    begun = time.time()
    for number in range(20):
        body = f"{number},x".encode()
        client.invoke_endpoint(
            EndpointName="watched", Body=body, ContentType="text/csv", InferenceId=f"i-{number}"
        )
    body = json.dumps({"do": "status", "status": 400})
    refusal(lambda: client.invoke_endpoint(EndpointName="watched", Body=body))

    def statistic(metric: str, name: str) -> float:
        points = watch.get_metric_statistics(
            Namespace="AWS/SageMaker",
            MetricName=metric,
            Dimensions=[
                {"Name": "EndpointName", "Value": "watched"},
                {"Name": "VariantName", "Value": "AllTraffic"},
            ],
            StartTime=begun - 60,
            EndTime=begun + 120,
            Period=3600,
            Statistics=[name],
        )["Datapoints"]
        return float(sum(point[name] for point in points))

    deadline = time.monotonic() + 60
    while statistic("Invocations", "Sum") < 21 and time.monotonic() < deadline:
        time.sleep(0.2)
    assert statistic("Invocations", "Sum") == 21
    assert statistic("Invocation4XXErrors", "Sum") == 1
    assert 0 < statistic("ModelLatency", "Minimum") <= statistic("ModelLatency", "Maximum") < 60e6
    assert statistic("ModelLatency", "SampleCount") == 21

    lines: list[Any] = []
    while len(lines) < 21 and time.monotonic() < deadline:
        time.sleep(0.2)
        keys = [entry["Key"] for entry in s3.list_objects_v2(Bucket="captured").get("Contents", [])]
        texts = [s3.get_object(Bucket="captured", Key=key)["Body"].read() for key in keys]
        lines = [json.loads(line) for text in texts for line in text.splitlines()]
    assert all(key.startswith("to/watched/AllTraffic/20") for key in keys)
    seen = {
        line["eventMetadata"].get("inferenceId"): line["captureData"]["endpointOutput"]["data"]
        for line in lines
    }
    assert {name: text for name, text in seen.items() if name} == {
        f"i-{number}": f"{number},x" for number in range(20)
    }


def test_a_server_that_ends_waits_for_no_model(server: ServerProcess) -> None:
    deployed = deployer(server)
    program = next(deployed)("waiting")
    client = server.client("sagemaker-runtime", config={"retries": {"total_max_attempts": 1}})
    codes: list[str] = []

    def ask() -> None:
        try:
            client.invoke_endpoint(EndpointName="waiting", Body=b'{"do": "until_left"}')
        except ClientError as error:
            codes.append(error.response["Error"]["Code"])

    thread = threading.Thread(target=ask)
    thread.start()
    while not program.seen:
        time.sleep(0.01)
    server.stop()  # raises if it takes half a minute
    thread.join()
    assert codes == ["ServiceUnavailable"]
    next(deployed, None)


def test_payloads_are_as_large_as_the_setting_says(server: ServerProcess) -> None:
    server.stop()
    server.environment["CLARY_PAYLOAD_MIB"] = "20"
    server.restart()
    deployed = deployer(server)
    next(deployed)("large")
    client = server.client("sagemaker-runtime")
    body = b"x" * (20 * (1 << 20))
    assert client.invoke_endpoint(EndpointName="large", Body=body)["Body"].read() == body
    for size in (1, 1 << 20, 10 << 20):
        fault = refusal(
            lambda size=size: client.invoke_endpoint(EndpointName="large", Body=body + b"x" * size)
        )
        assert fault["Error"]["Code"] == "ValidationError" and "20971520 bytes" in fault["Error"]["Message"]
    next(deployed, None)
