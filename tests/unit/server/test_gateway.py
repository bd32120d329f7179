"""The life of a request: what each step's faults become, in the protocol the client spoke."""

from __future__ import annotations

import io
import logging
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import boto3
import pytest
from botocore.awsrequest import AWSResponse
from botocore.config import Config
from botocore.exceptions import ClientError

from clary.domain.names import Account
from clary.errors import S3Fault, ValidationException
from clary.objects.disk import DiskObjects
from clary.routing.flights import Flights
from clary.routing.router import Router
from clary.server.gateway import Gateway, World
from clary.services.operations import Context, Reply
from clary.settings import Settings
from clary.store.base import Credential
from clary.store.sql import open_store
from clary.wire.http import Headers, HttpRequest

KEY = Credential("AKIAEXAMPLE", "a secret")


class Raw(io.BytesIO):
    def stream(self, **_: Any) -> Iterator[bytes]:
        yield self.read()


@pytest.fixture
def world(tmp_path: Path) -> Iterator[World]:
    import time

    store = open_store(f"sqlite:///{tmp_path / 'clary.db'}")
    store.put_credential(KEY)
    objects = DiskObjects(store.engine, tmp_path / "objects", new_id=lambda digits: "0" * digits)
    account = Account("123456789012", "us-east-1")
    settings = Settings(home=tmp_path)
    router = Router(store, Flights(), settings, time.time, lambda: None)
    yield World(
        *(account, settings, store, objects, time.time, lambda digits: "0" * digits, lambda: None),
        router=router,
    )
    router.close()
    store.close()


def client(service: str, gateway: Gateway, *, secret: str = KEY.secret) -> Any:
    """A boto3 client whose requests go straight to the gateway."""
    made = boto3.session.Session().client(
        service,
        endpoint_url="http://127.0.0.1:1",
        region_name="us-east-1",
        aws_access_key_id=KEY.access_key_id,
        aws_secret_access_key=secret,
        config=Config(retries={"total_max_attempts": 1, "mode": "standard"}),
    )

    def send(request: Any, **_: Any) -> AWSResponse:
        path, _, query = request.url.removeprefix("http://127.0.0.1:1").partition("?")
        body = request.body.read() if hasattr(request.body, "read") else request.body or b""
        body = body.encode() if isinstance(body, str) else body
        sent = {
            key: value.decode() if isinstance(value, bytes) else value
            for key, value in request.headers.items()
        }
        headers = Headers({"host": "127.0.0.1:1", **sent}.items())
        answer = gateway.answer(HttpRequest(request.method, path, query, headers, io.BytesIO(body)))
        assert isinstance(answer.body, bytes)
        return AWSResponse(request.url, answer.status, dict(answer.headers), Raw(answer.body))

    made.meta.events.register("before-send.*.*", send)
    return made


def refusal(call: Any, **given: Any) -> tuple[str, str, int]:
    with pytest.raises(ClientError) as caught:
        call(**given)
    error = caught.value.response
    return error["Error"]["Code"], error["Error"]["Message"], error["ResponseMetadata"]["HTTPStatusCode"]


def test_an_operation_gets_decoded_parameters_and_its_answer_comes_back(world: World) -> None:
    seen: list[Any] = []

    def stop(context: Context, request: Any) -> Any:
        seen.append((context.caller, request))
        return {}

    gateway = Gateway(world, operations={("sagemaker", "StopTrainingJob"): stop})
    client("sagemaker", gateway).stop_training_job(TrainingJobName="a")
    assert seen == [(KEY, {"TrainingJobName": "a"})]


def test_a_reply_may_set_status_and_headers(world: World) -> None:
    def head(context: Context, request: Any) -> Any:
        return Reply({}, status=206, headers=(("x-extra", "1"),))

    answer = client("s3", Gateway(world, operations={("s3", "HeadBucket"): head})).head_bucket(
        Bucket="bucket"
    )
    assert answer["ResponseMetadata"]["HTTPStatusCode"] == 206
    assert answer["ResponseMetadata"]["HTTPHeaders"]["x-extra"] == "1"


def test_an_operation_nobody_wrote_is_not_supported(world: World) -> None:
    gateway = Gateway(world, operations={})
    assert refusal(client("sagemaker", gateway).list_models)[::2] == ("UnknownOperationException", 400)
    assert refusal(client("s3", gateway).get_bucket_acl, Bucket="bucket")[::2] == ("NotImplemented", 501)
    assert (
        refusal(client("logs", gateway).list_tags_for_resource, resourceArn="a")[0]
        == "UnknownOperationException"
    )


def test_a_wrong_secret_is_refused_before_anything_is_decoded(world: World) -> None:
    gateway = Gateway(world, operations={})
    code, message, _ = refusal(client("sagemaker", gateway, secret="guess").list_models)
    assert code == "InvalidSignatureException"
    assert "guess" not in message


def test_every_fault_of_the_shape_is_in_one_message(world: World) -> None:
    def never(context: Context, request: Any) -> Any:
        raise AssertionError

    sagemaker = client("sagemaker", Gateway(world, operations={("sagemaker", "ListTrainingJobs"): never}))
    code, message, _ = refusal(sagemaker.list_training_jobs, SortBy="Color", MaxResults=101)
    assert code == "ValidationException"
    assert message.startswith("2 validation errors detected: ")
    assert "'sortBy'" in message
    assert "'maxResults'" in message


@pytest.mark.parametrize(
    ("fault", "expected"),
    [
        (ValidationException("no"), ("ValidationException", "no", 400)),
        (S3Fault("gone", code="NoSuchKey", status=404), ("NoSuchKey", "gone", 404)),
    ],
)
def test_a_fault_of_an_operation_reaches_the_client(world: World, fault: Any, expected: Any) -> None:
    def fail(context: Context, request: Any) -> Any:
        raise fault

    gateway = Gateway(world, operations={("s3", "ListBuckets"): fail, ("sagemaker", "StopTrainingJob"): fail})
    if isinstance(fault, S3Fault):
        assert refusal(client("s3", gateway).list_buckets) == expected
    else:
        assert refusal(client("sagemaker", gateway).stop_training_job, TrainingJobName="a") == expected


def test_our_own_fault_is_logged_and_tells_the_client_nothing(
    world: World, caplog: pytest.LogCaptureFixture
) -> None:
    def fail(context: Context, request: Any) -> Any:
        raise RuntimeError("internal detail")

    sagemaker = client("sagemaker", Gateway(world, operations={("sagemaker", "StopTrainingJob"): fail}))
    with caplog.at_level(logging.ERROR):
        code, message, status = refusal(sagemaker.stop_training_job, TrainingJobName="a")
    assert (code, status) == ("InternalFailure", 500)
    assert "internal detail" not in message
    assert "internal detail" in caplog.text
