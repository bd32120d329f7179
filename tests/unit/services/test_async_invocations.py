from __future__ import annotations

from dataclasses import replace
from itertools import count
from typing import Any

import pytest

from clary.errors import ClientFault
from clary.objects.base import Bucket, Meta
from clary.services import async_invocations  # noqa: F401 - offers the operation
from clary.services.operations import OPERATIONS, Context
from tests.unit.hosted import ASYNC, add_endpoint


def put(context: Context, key: str, body: bytes = b"{}", **headers: Any) -> None:
    with context.objects.stage() as staged:
        staged.write(body)
        context.objects.put("data", key, staged, etag="e", modified=1.0, meta=Meta(headers))


def invoke(context: Context, name: str = "e", **request: Any) -> Any:
    reply = OPERATIONS["sagemaker-runtime", "InvokeEndpointAsync"](
        context, {"EndpointName": name, "Body": b"", **request}
    )
    assert reply.status == 202
    return reply.result


def refused(context: Context, name: str = "e", **request: Any) -> str:
    with pytest.raises(ClientFault) as caught:
        invoke(context, name, **request)
    assert (caught.value.code, caught.value.status) == ("ValidationError", 400)
    assert context.store.count("async-invocation") == 0
    return caught.value.message


@pytest.fixture
def world(context: Context) -> Context:
    ids = count(1)
    add_endpoint(context.store, now=1.0, AsyncInferenceConfig=ASYNC)
    put(context, "in/a.json", ContentType="application/json")
    return replace(context, new_id=lambda digits: f"{next(ids):0{digits}x}")


def test_a_request_is_stored_before_it_is_acknowledged(world: Context) -> None:
    told: list[int] = []
    world = replace(world, changed=lambda: told.append(world.store.count("async-invocation")))
    answer = invoke(world, InputLocation="s3://data/in/a.json", InferenceId="mine", Accept="application/json")
    number = f"{1:032x}"
    assert answer == {
        "InferenceId": "mine",
        "OutputLocation": f"s3://data/out/{number}.out",
        "FailureLocation": f"s3://data/failures/{number}-error.out",
    }
    (row,), _ = world.store.list("async-invocation")
    assert row.name == f"e.{number}"
    assert row.state["content_type"] == "application/json"
    assert row.state["expires"] == row.created + 21_600
    assert row.due == row.created
    assert told == [1]


def test_the_content_type_that_is_said_wins(world: Context) -> None:
    invoke(world, InputLocation="s3://data/in/a.json", ContentType="text/csv", RequestTTLSeconds=60)
    (row,), _ = world.store.list("async-invocation")
    assert row.state["content_type"] == "text/csv"
    assert row.state["expires"] == row.created + 60


def test_an_input_may_come_with_the_request(world: Context) -> None:
    answer = invoke(world, Body=b"\x00hello", ContentType="text/plain")
    (row,), _ = world.store.list("async-invocation")
    assert row.spec["Body"] == "AGhlbGxv"
    assert row.state["content_type"] == "text/plain"
    assert answer["InferenceId"] == f"{1:032x}"


def test_names_of_the_output_may_be_chosen(world: Context) -> None:
    answer = invoke(world, Body=b"x", S3OutputPathExtension="/by/day/", Filename="a.json")
    assert answer["OutputLocation"] == "s3://data/out/by/day/a.json"
    assert answer["FailureLocation"] == "s3://data/failures/by/day/a.json-error.out"


def test_without_a_failure_path_failures_go_beside_the_outputs(world: Context) -> None:
    config = {"OutputConfig": {"S3OutputPath": "s3://data/out"}}
    add_endpoint(world.store, "plain", now=1.0, AsyncInferenceConfig=config)
    assert invoke(world, "plain", Body=b"x")["FailureLocation"].startswith("s3://data/out/0")


def test_without_an_output_path_the_default_bucket_is_used_and_made(world: Context) -> None:
    add_endpoint(world.store, "bare", now=1.0, AsyncInferenceConfig={"OutputConfig": {}})
    where = "s3://sagemaker-us-east-1-123456789012/async-endpoint-outputs/bare/"
    assert invoke(world, "bare", Body=b"x")["OutputLocation"].startswith(where)
    assert world.objects.bucket("sagemaker-us-east-1-123456789012") is not None


@pytest.mark.parametrize(
    ("request_", "said"),
    [
        ({}, "exactly one of InputLocation and Body: neither is"),
        ({"InputLocation": "s3://data/in/a.json", "Body": b"x"}, "both are"),
        ({"InputLocation": "https://data.s3.amazonaws.com/a"}, "not of the form s3://"),
        ({"InputLocation": "s3://data/"}, "not of the form s3://"),
        ({"InputLocation": "s3://nowhere/a"}, "no bucket nowhere"),
        ({"InputLocation": "s3://data/in/b.json"}, "Upload the input before"),
        ({"Body": b"x", "S3OutputPathExtension": "x" * 1024}, "longer than 1024"),
    ],
)
def test_a_wrong_request_is_refused(world: Context, request_: dict[str, Any], said: str) -> None:
    assert said in refused(world, **request_)


def test_an_endpoint_must_be_there_asynchronous_and_in_service(world: Context) -> None:
    assert "not found" in refused(world, "nobody", Body=b"x")
    add_endpoint(world.store, "direct", now=1.0)
    assert "Use InvokeEndpoint" in refused(world, "direct", Body=b"x")
    add_endpoint(world.store, "young", now=1.0, status="Creating", AsyncInferenceConfig=ASYNC)
    assert "is Creating" in refused(world, "young", Body=b"x")
    add_endpoint(world.store, "old", now=1.0, status="Deleting", AsyncInferenceConfig=ASYNC)
    assert "is Deleting" in refused(world, "old", Body=b"x")


def test_an_endpoint_scaled_to_zero_takes_requests(world: Context) -> None:
    add_endpoint(world.store, "zero", now=1.0, instances=0, AsyncInferenceConfig=ASYNC)
    assert invoke(world, "zero", Body=b"x")["OutputLocation"]


def test_outputs_need_their_bucket(world: Context) -> None:
    config = {"OutputConfig": {"S3OutputPath": "s3://gone/out"}}
    add_endpoint(world.store, "lost", now=1.0, AsyncInferenceConfig=config)
    assert "Create the bucket gone" in refused(world, "lost", Body=b"x")
    world.objects.create_bucket(Bucket("gone", 1.0))
    assert invoke(world, "lost", Body=b"x")
