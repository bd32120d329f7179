"""Asking an endpoint: InvokeEndpoint, whole and as a stream."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from clary.domain.endpoints import container_of
from clary.domain.kinds import ENDPOINT
from clary.errors import Fault
from clary.routing.ask import REFUSED, Answer, Ask, NoAnswer
from clary.services.operations import Context, Reply, operation
from clary.services.runtime_faults import (
    RuntimeValidationError,
    fault_of,
    model_fault,
    refusal_fault,
    stream_fault,
)
from clary.store.base import Resource

# Members of a request that go to the model's server, by the header in which they do. No other header does.
PASSED: Mapping[str, str] = {
    "ContentType": "Content-Type",
    "Accept": "Accept",
    "CustomAttributes": "X-Amzn-SageMaker-Custom-Attributes",
    "TargetModel": "X-Amzn-SageMaker-Target-Model",
    "TargetContainerHostname": "X-Amzn-SageMaker-Target-Container-Hostname",
    "InferenceId": "X-Amzn-SageMaker-Inference-Id",
    "EnableExplanations": "X-Amzn-SageMaker-Enable-Explanations",
    "SessionId": "X-Amzn-SageMaker-Session-Id",
    "PrefixAwareId": "X-Amzn-SageMaker-Prefix-Aware-Id",
}
OWN = "x-clary-"  # headers of Clary's model server, such as notes, reach the client as they are

SERVERLESS_BYTES = 4 << 20  # of a request
SERVING = frozenset({"InService", "Updating", "SystemUpdating", "RollingBack", "UpdateRollbackFailed"})


@operation("sagemaker-runtime", "InvokeEndpoint")
def invoke_endpoint(context: Context, request: Mapping[str, Any]) -> Reply:
    """The model's answer, as it came. Raises ValidationError, ModelError, ServiceUnavailable and their like."""
    answer = _invoke(context, request, stream=False)
    body = answer.body
    assert isinstance(body, bytes)
    return Reply(
        {
            "Body": body,
            "ContentType": answer.headers.get("content-type"),
            "InvokedProductionVariant": answer.variant,
            "CustomAttributes": answer.headers.get("x-amzn-sagemaker-custom-attributes"),
            "NewSessionId": answer.headers.get("x-amzn-sagemaker-new-session-id"),
            "ClosedSessionId": answer.headers.get("x-amzn-sagemaker-closed-session-id"),
        },
        headers=_own_headers(answer),
    )


@operation("sagemaker-runtime", "InvokeEndpointWithResponseStream")
def invoke_endpoint_with_response_stream(context: Context, request: Mapping[str, Any]) -> Reply:
    """The model's answer, piece by piece as it is made. A fault after the first piece is an event of the stream."""
    answer = _invoke(context, request, stream=True)
    pieces = iter([answer.body]) if isinstance(answer.body, bytes) else answer.body
    return Reply(
        {
            "Body": PayloadParts(pieces, request["EndpointName"]),
            "ContentType": answer.headers.get("content-type"),
            "InvokedProductionVariant": answer.variant,
            "CustomAttributes": answer.headers.get("x-amzn-sagemaker-custom-attributes"),
        },
        headers=_own_headers(answer),
    )


class PayloadParts:
    """The pieces of an answer as the events of a ResponseStream."""

    def __init__(self, pieces: Iterator[bytes], endpoint: str) -> None:
        self._pieces = pieces
        self._endpoint = endpoint
        self._is_broken = False

    def __iter__(self) -> Iterator[Mapping[str, Any]]:
        return self

    def __next__(self) -> Mapping[str, Any]:
        if self._is_broken:
            raise StopIteration
        try:
            return {"PayloadPart": {"Bytes": next(self._pieces)}}
        except NoAnswer as error:
            self._is_broken = True
            return {"ModelStreamError": stream_fault(error, self._endpoint)}

    def close(self) -> None:
        close = getattr(self._pieces, "close", None)
        if close is not None:
            close()


def serving_endpoint(context: Context, name: str) -> Resource:
    """The endpoint, which has a generation that answers. Raises RuntimeValidationError."""
    endpoint = context.store.get(ENDPOINT.name, name)
    if endpoint is None:
        raise RuntimeValidationError(f"Endpoint {name} of account {context.account.id} not found.")
    if endpoint.status not in SERVING or endpoint.state["live"] is None:
        reason = endpoint.state.get("reason")
        because = f" FailureReason: {reason}" if reason else ""
        raise RuntimeValidationError(
            f"Endpoint {name} of account {context.account.id} takes no requests: its status is "
            f"{endpoint.status}.{because}"
        )
    return endpoint


def passed_headers(request: Mapping[str, Any]) -> dict[str, str]:
    """The headers that the model's server gets."""
    return {header: request[member] for member, header in PASSED.items() if request.get(member) is not None}


def is_asynchronous(endpoint: Resource) -> bool:
    """Whether the generation that answers is one for asynchronous inference."""
    live = endpoint.state["generations"][endpoint.state["live"]]
    return bool(live["config"].get("AsyncInferenceConfig"))


def has_many_models(endpoint: Resource) -> bool:
    live = endpoint.state["generations"][endpoint.state["live"]]
    return any(container_of(model).get("Mode") == "MultiModel" for model in live["models"].values())


def is_serverless(endpoint: Resource) -> bool:
    live = endpoint.state["generations"][endpoint.state["live"]]
    return any(variant.get("ServerlessConfig") for variant in live["config"]["ProductionVariants"])


def _invoke(context: Context, request: Mapping[str, Any], *, stream: bool) -> Answer:
    name = request["EndpointName"]
    endpoint = serving_endpoint(context, name)
    if is_asynchronous(endpoint):
        raise RuntimeValidationError(
            f"Endpoint {name} of account {context.account.id} is an asynchronous endpoint: "
            "use InvokeEndpointAsync, or deploy the model without AsyncInferenceConfig."
        )
    if request.get("InferenceComponentName"):
        raise RuntimeValidationError(
            "InferenceComponentName: Clary has no inference components; leave it out."
        )
    if request.get("TargetModel") and not has_many_models(endpoint):
        raise RuntimeValidationError(
            f"TargetModel: endpoint {name} serves one model; leave it out, or deploy a model whose Mode is MultiModel."
        )
    if len(request["Body"]) > SERVERLESS_BYTES and is_serverless(endpoint):
        raise RuntimeValidationError(
            f"Body: endpoint {name} is serverless and takes at most {SERVERLESS_BYTES} bytes; "
            f"there are {len(request['Body'])}."
        )
    ask = Ask(
        body=request["Body"],
        headers=passed_headers(request),
        variant=request.get("TargetVariant"),
        timeout_s=context.settings.invocation_timeout_s,
        stream=stream,
        hangup=context.request.hangup,
        came=context.request.came,
    )
    try:
        answer = context.router.invoke(endpoint, ask)
    except NoAnswer as error:
        raise fault_of(error, context.account, name) from None
    if answer.status >= 300:
        raise _fault(context, name, answer)
    return answer


def _fault(context: Context, name: str, answer: Answer) -> Fault:
    body = answer.body
    if not isinstance(body, bytes):
        body = b"".join(body)
    if answer.status == 503 and REFUSED in answer.headers:
        return refusal_fault(answer, body, name)
    return model_fault(answer, body, context.account, name)


def _own_headers(answer: Answer) -> tuple[tuple[str, str], ...]:
    return tuple((name, value) for name, value in answer.headers.items() if name.startswith(OWN))
