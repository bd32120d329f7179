"""What clients are told when a model answers with an error, or not at all."""

from __future__ import annotations

import json
from collections.abc import Mapping

from clary.domain.names import Account
from clary.errors import ClientFault, Fault
from clary.routing.ask import REFUSED, Answer, NoAnswer

LOADING = "loading"  # of several models, the one asked for
LONGEST_QUOTE = 1500  # characters of a model's own words: a message has at most 2,048


class RuntimeValidationError(ClientFault):
    """Inspect your request and try again."""

    code = "ValidationError"


class ModelError(ClientFault):
    """The model, or the server that it runs in, answered with an error, or not at all."""

    code, status = "ModelError", 424


def model_fault(answer: Answer, body: bytes, account: Account, endpoint: str) -> Fault:
    """The model answered with an error's status."""
    text = _quote(body.decode("utf-8", "replace"))
    side = "client" if answer.status < 500 else "server"
    return _model_error(
        f'Received {side} error ({answer.status}) from primary with message "{text}".',
        (account, endpoint, answer.variant, answer.instance),
        status=answer.status,
        original=text,
    )


def refusal_fault(answer: Answer, body: bytes, endpoint: str) -> Fault:
    """The model's server turned the request away before it did anything for it."""
    why = answer.headers[REFUSED]
    message = f"The model server of endpoint {endpoint} did not take the request ({why}): {_words(body)}"
    if why == LOADING:
        return ClientFault(message, code="ModelNotReadyException", status=429)
    return ClientFault(message, code="ServiceUnavailable", status=503)


def fault_of(error: NoAnswer, account: Account, endpoint: str) -> Fault:
    """Nothing came of asking the endpoint."""
    where = account, endpoint, error.variant, error.instance
    match error.kind:
        case "timeout":
            text = (
                "Your invocation timed out while waiting for a response from container primary. Review the latency "
                f"metrics for each container in Amazon CloudWatch, resolve the issue, and try again. ({error.message})"
            )
            return _model_error(
                f'Received server error (0) from primary with message "{text}"', where, original=text
            )
        case "died":
            text = (
                f"Amazon SageMaker could not get a response from the {endpoint} endpoint. This can occur when CPU or "
                f"memory utilization is high, or when the model's server ended: {_quote(error.message)}."
            )
            return _model_error(text, where, original=text)
        case "too large":
            text = f"The model's answer does not fit: {error.message}. Answer with less, or raise CLARY_PAYLOAD_MIB."
            return _model_error(
                f'Received server error (0) from primary with message "{text}"', where, original=text
            )
        case "no variant":
            return RuntimeValidationError(f"TargetVariant of endpoint {endpoint}: {error.message}.")
        case "gone":
            return RuntimeValidationError(f"The request ended with its endpoint: {error.message}.")
        case "throttled":
            message = f"Rate exceeded: {error.message}. Try again, or raise MaxConcurrency."
            return ClientFault(message, code="ThrottlingException", status=429)
        case "not ready":
            return ClientFault(f"{error.message}.", code="ModelNotReadyException", status=429)
        case "refused" | "left":
            return ClientFault(f"{error.message}.", code="ServiceUnavailable", status=503)


def stream_fault(error: NoAnswer, endpoint: str) -> Mapping[str, str]:
    """The members of a ModelStreamError."""
    if error.kind == "timeout":
        message = f"The model of endpoint {endpoint} sent nothing more: {error.message}."
        return {"Message": message, "ErrorCode": "ModelInvocationTimeExceeded"}
    message = f"The stream of endpoint {endpoint} broke: {error.message}."
    return {"Message": message, "ErrorCode": "StreamBroken"}


def _model_error(
    message: str, where: tuple[Account, str, str, str], *, original: str, status: int = 0
) -> ModelError:
    account, endpoint, variant, instance = where
    group = f"/aws/sagemaker/Endpoints/{endpoint}"
    stream = account.log_stream(group, f"{variant}/{instance}")
    return ModelError(
        f"{message} See the log group {group} in account {account.id} for more information.",
        extra={"OriginalStatusCode": str(status), "OriginalMessage": original, "LogStreamArn": stream},
    )


def _words(body: bytes) -> str:
    """What an error document says to people."""
    text = body.decode("utf-8", "replace")
    try:
        document = json.loads(text)
    except ValueError:
        return _quote(text)
    return _quote(str(document["message"]) if isinstance(document, dict) and "message" in document else text)


def _quote(text: str) -> str:
    return text if len(text) <= LONGEST_QUOTE else text[:LONGEST_QUOTE] + "..."
