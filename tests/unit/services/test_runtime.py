"""InvokeEndpoint: what goes to a model, what comes back, and how each way to fail is told."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from dataclasses import replace
from typing import Any

import pytest

from clary.errors import ClientFault
from clary.services.operations import Context, Reply
from clary.services.runtime import invoke_endpoint, invoke_endpoint_with_response_stream
from clary.wire.http import Hangup
from tests.model_program import ModelProgram, endpoint_row

SERVERLESS = {"ServerlessConfig": {"MemorySizeInMB": 1024, "MaxConcurrency": 1}}


@pytest.fixture
def now() -> Callable[[], float]:
    return lambda: 5000.0


@pytest.fixture
def program() -> Iterator[ModelProgram]:
    with ModelProgram() as running:
        yield running


@pytest.fixture
def endpoint(context: Context, program: ModelProgram) -> None:
    addresses = {"blue": [program.address], "green": [program.address]}
    context.store.create(endpoint_row("Shop", addresses, mode="MultiModel"))


def ask(context: Context, body: bytes | dict[str, Any] = b"hello", **more: Any) -> Reply:
    data = body if isinstance(body, bytes) else json.dumps(body).encode()
    reply = invoke_endpoint(context, {"EndpointName": "Shop", "Body": data, **more})
    assert isinstance(reply, Reply)
    return reply


def refused(context: Context, body: bytes | dict[str, Any] = b"hello", **more: Any) -> ClientFault:
    with pytest.raises(ClientFault) as caught:
        ask(context, body, **more)
    return caught.value


def stream(context: Context, **task: Any) -> Reply:
    body = json.dumps({"do": "stream", **task}).encode()
    reply = invoke_endpoint_with_response_stream(context, {"EndpointName": "Shop", "Body": body})
    assert isinstance(reply, Reply)
    return reply


@pytest.mark.usefixtures("endpoint")
def test_what_the_model_is_told_and_tells(context: Context, program: ModelProgram) -> None:
    headers = {
        "X-Amzn-SageMaker-Custom-Attributes": "of the model",
        "X-Amzn-SageMaker-New-Session-Id": "s-1; Expires=2026-01-01T00:00:00Z",
        "X-Amzn-SageMaker-Closed-Session-Id": "s-0",
        "X-Clary-Note": "truncated",
        "X-Other": "not for the client",
        "Content-Type": "text/csv",
    }
    reply = ask(
        context,
        {"do": "status", "status": 200, "text": "1,2", "headers": headers},
        ContentType="application/json",
        Accept="text/csv",
        CustomAttributes="of the client",
        TargetModel="a.tar.gz",
        TargetVariant="green",
        InferenceId="i-1",
        SessionId="NEW_SESSION",
    )
    assert reply.result == {
        "Body": b"1,2",
        "ContentType": "application/json,text/csv",  # the program says it twice
        "InvokedProductionVariant": "green",
        "CustomAttributes": "of the model",
        "NewSessionId": "s-1; Expires=2026-01-01T00:00:00Z",
        "ClosedSessionId": "s-0",
    }
    assert dict(reply.headers) == {"x-clary-note": "truncated"}
    assert program.headers["x-clary-timeout"] == "60"
    own = ("host", "content-length", "x-clary-timeout")
    told = {name: value for name, value in program.headers.items() if name not in own}
    assert told == {
        "content-type": "application/json",
        "accept": "text/csv",
        "x-amzn-sagemaker-custom-attributes": "of the client",
        "x-amzn-sagemaker-target-model": "a.tar.gz",
        "x-amzn-sagemaker-inference-id": "i-1",
        "x-amzn-sagemaker-session-id": "NEW_SESSION",
    }


@pytest.mark.usefixtures("endpoint")
@pytest.mark.parametrize(
    ("status", "side"), [(301, "client"), (400, "client"), (404, "client"), (500, "server")]
)
def test_an_error_of_the_model_is_told_in_its_own_words(context: Context, status: int, side: str) -> None:
    fault = refused(
        context, {"do": "status", "status": status, "text": "what <it> said"}, TargetVariant="blue"
    )
    assert (fault.code, fault.status) == ("ModelError", 424)
    assert fault.message == (
        f'Received {side} error ({status}) from primary with message "what <it> said". See the log group '
        "/aws/sagemaker/Endpoints/Shop in account 123456789012 for more information."
    )
    assert fault.extra == {
        "OriginalStatusCode": str(status),
        "OriginalMessage": "what <it> said",
        "LogStreamArn": "arn:aws:logs:us-east-1:123456789012:log-group:/aws/sagemaker/Endpoints/Shop:"
        "log-stream:blue/blue-0",
    }


@pytest.mark.usefixtures("endpoint")
def test_a_long_complaint_is_cut(context: Context) -> None:
    fault = refused(context, {"do": "status", "status": 400, "text": "ü" * 5000})
    assert len(fault.message) < 2048 and "ü..." in fault.message


@pytest.mark.usefixtures("endpoint")
def test_no_answer_in_time_and_none_at_all(context: Context) -> None:
    hasty = replace(context, settings=replace(context.settings, invocation_timeout_s=0.1))
    late = refused(hasty, {"do": "sleep", "s": 0.5})
    assert (late.code, late.status, late.extra["OriginalStatusCode"]) == ("ModelError", 424, "0")
    assert (
        'Received server error (0) from primary with message "Your invocation timed out while waiting for a '
        "response from container primary."
    ) in late.message
    died = refused(context, {"do": "die"})
    assert (died.code, died.status, died.extra["OriginalStatusCode"]) == ("ModelError", 424, "0")
    assert "Amazon SageMaker could not get a response from the Shop endpoint." in died.message


@pytest.mark.usefixtures("endpoint")
def test_a_model_server_that_is_full(context: Context) -> None:
    fault = refused(context, {"do": "refuse", "who": ["one"]})
    assert (fault.code, fault.status) == ("ServiceUnavailable", 503)
    assert fault.message == "The model server of endpoint Shop did not take the request (queue): ask later"
    loading = refused(context, {"do": "refuse", "who": ["one"], "why": "loading"})
    assert (loading.code, loading.status) == ("ModelNotReadyException", 429)


@pytest.mark.usefixtures("endpoint")
def test_an_answer_that_is_too_large(context: Context) -> None:
    fault = refused(context, {"do": "large", "bytes": 6 * (1 << 20) + 1})
    assert fault.code == "ModelError" and "larger than 6291456 bytes" in fault.message


def test_what_a_caller_can_mend(context: Context, program: ModelProgram) -> None:
    unknown = refused(context)
    assert (unknown.code, unknown.status) == ("ValidationError", 400)
    assert unknown.message == "Endpoint Shop of account 123456789012 not found."
    context.store.create(endpoint_row("Shop", {"blue": [program.address]}))
    variant = refused(context, TargetVariant="red")
    assert variant.code == "ValidationError" and "no variant red; the endpoint has blue" in variant.message
    model = refused(context, TargetModel="a.tar.gz")
    assert model.code == "ValidationError" and "TargetModel: endpoint Shop serves one model" in model.message
    component = refused(context, InferenceComponentName="part")
    assert component.code == "ValidationError" and "InferenceComponentName" in component.message


@pytest.mark.parametrize(
    ("row", "words"),
    [
        ({"status": "Creating"}, "its status is Creating."),
        ({"status": "Failed", "reason": "no model.tar.gz"}, "Failed. FailureReason: no model.tar.gz"),
        ({"status": "Deleting"}, "its status is Deleting."),
        ({"config": {"AsyncInferenceConfig": {"OutputConfig": {}}}}, "use InvokeEndpointAsync"),
    ],
)
def test_an_endpoint_that_takes_no_such_requests(
    context: Context, program: ModelProgram, row: dict[str, Any], words: str
) -> None:
    context.store.create(endpoint_row("Shop", {"blue": [program.address]}, **row))
    fault = refused(context)
    assert fault.code == "ValidationError" and words in fault.message
    assert program.seen == []


@pytest.mark.parametrize("status", ["Updating", "RollingBack", "SystemUpdating", "UpdateRollbackFailed"])
def test_one_that_changes_goes_on_answering(context: Context, program: ModelProgram, status: str) -> None:
    context.store.create(endpoint_row("Shop", {"blue": [program.address]}, status=status))
    assert ask(context).result["Body"] == b"hello"


def test_serverless_concurrency_and_cold_starts(
    context: Context, program: ModelProgram, monkeypatch: pytest.MonkeyPatch
) -> None:
    from clary.routing import trip

    monkeypatch.setattr(trip, "WAKE_S", 0.05)
    context.store.create(endpoint_row("Shop", {"blue": []}, variant=SERVERLESS))
    cold = refused(context)
    assert (cold.code, cold.status) == ("ModelNotReadyException", 429)
    flights = context.router._flights
    assert flights.enter("Shop", "blue", now=1.0)
    full = refused(context)
    assert (full.code, full.status) == ("ThrottlingException", 429)
    assert "MaxConcurrency" in full.message
    flights.leave("Shop", "blue", now=1.0)


def test_a_serverless_endpoint_takes_and_gives_less(context: Context, program: ModelProgram) -> None:
    context.store.create(endpoint_row("Shop", {"blue": [program.address]}, variant=SERVERLESS))
    most = 4 << 20
    assert len(ask(context, b"x" * most).result["Body"]) == most
    fault = refused(context, b"x" * (most + 1))
    assert fault.code == "ValidationError" and "at most 4194304 bytes" in fault.message
    assert "larger than 4194304 bytes" in refused(context, {"do": "large", "bytes": most + 1}).message


@pytest.mark.usefixtures("endpoint")
def test_a_client_that_went_is_not_asked_for(context: Context, program: ModelProgram) -> None:
    hangup = Hangup()
    hangup.come()
    fault = refused(replace(context, request=replace(context.request, hangup=hangup)), {"do": "until_left"})
    assert fault.status == 503


@pytest.mark.usefixtures("endpoint")
def test_a_stream_of_parts(context: Context) -> None:
    reply = stream(context, pieces=["a", "ü"])
    assert list(reply.result["Body"]) == [
        {"PayloadPart": {"Bytes": b"a"}},
        {"PayloadPart": {"Bytes": "ü".encode()}},
    ]
    assert reply.result["ContentType"] == "text/plain"


@pytest.mark.usefixtures("endpoint")
def test_a_stream_that_fails_ends_with_the_fault(context: Context) -> None:
    hasty = replace(context, settings=replace(context.settings, invocation_timeout_s=0.2))
    for then, code in (("break", "StreamBroken"), ("hang", "ModelInvocationTimeExceeded")):
        part, fault = stream(hasty, pieces=["a"], then=then).result["Body"]
        assert part == {"PayloadPart": {"Bytes": b"a"}}
        assert fault["ModelStreamError"]["ErrorCode"] == code


@pytest.mark.usefixtures("endpoint")
def test_a_fault_before_a_stream_is_no_stream(context: Context) -> None:
    body = b'{"do": "status", "status": 400, "text": "no"}'
    with pytest.raises(ClientFault, match="no") as caught:
        invoke_endpoint_with_response_stream(context, {"EndpointName": "Shop", "Body": body})
    assert caught.value.code == "ModelError"
