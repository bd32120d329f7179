"""Requests to asynchronous endpoints: the row each is kept as, where its answer goes, how a failure is told. Pure."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

from clary.domain.endpoints import routes
from clary.domain.kinds import ASYNC_INVOCATION
from clary.domain.names import Account

Document = Mapping[str, Any]

DEFAULT_TTL_S = 6 * 3600
DEFAULT_TIMEOUT_S = 900
DEFAULT_AT_ONCE = 4
MOST_AT_ONCE = 100
"""Requests that one endpoint is asked at once, whatever its configuration allows: each holds a thread."""

ASYNC_ENVIRONMENT = {"SAGEMAKER_MODEL_SERVER_TIMEOUT": "3600", "SAGEMAKER_MAX_PAYLOAD_IN_MB": "1024"}
"""What a model server must take to answer whatever may be asked; the model's own Environment wins."""

MARK = "clary-invocation"
"""The metadata of an output or failure object that tells which request it answers."""


@dataclass(frozen=True, slots=True)
class Place:
    """Where an object is, or is to be."""

    bucket: str
    key: str

    @property
    def uri(self) -> str:
        return f"s3://{self.bucket}/{self.key}"


def place_of(uri: str) -> Place | None:
    """The place that an s3:// URI names, its key perhaps empty; None where it names no bucket."""
    scheme, _, rest = uri.partition("://")
    bucket, _, key = rest.partition("/")
    return Place(bucket, key) if scheme == "s3" and bucket else None


def async_config(endpoint_state: Document) -> Document | None:
    """The AsyncInferenceConfig of what is live; None for an endpoint that answers at once, or that is not live yet."""
    live = endpoint_state["live"]
    return endpoint_state["generations"][live]["config"].get("AsyncInferenceConfig") if live else None


def output_folders(account: Account, endpoint: str, config: Document) -> tuple[str, str]:
    """URIs that outputs and failures of an endpoint go under. `config` is its AsyncInferenceConfig.

    Without S3OutputPath: a prefix of the default bucket. Without S3FailurePath failures go beside the outputs: nobody
    shall wait for an answer that cannot come.
    """
    given = config.get("OutputConfig", {})
    output = given.get("S3OutputPath") or f"s3://{account.default_bucket}/async-endpoint-outputs/{endpoint}"
    return output, given.get("S3FailurePath") or output


def names_of(id: str, *, filename: str | None = None) -> tuple[str, str]:  # noqa: A002
    """The last parts of the keys of output and failure."""
    return filename or f"{id}.out", f"{filename or id}-error.out"


def under(folder: str, extension: str | None, name: str) -> str:
    """The URI of an object in a folder's URI, `extension` being a path within it."""
    parts = (folder.rstrip("/"), (extension or "").strip("/"), name)
    return "/".join(part for part in parts if part)


def row_prefix(endpoint: str) -> str:
    """With which the names of an endpoint's rows begin: an endpoint's name has no dot."""
    return f"{endpoint}."


def endpoint_of(row_name: str) -> str:
    return row_name.partition(".")[0]


def beginning(account: Account, id: str, request: Document, state: Document, *, now: float) -> dict[str, Any]:  # noqa: A002
    """The fields of the row of a request. `state`: "content_type"; "output" and "failure", places' URIs;
    "endpoint", when the endpoint was made, which tells it from a later one of its name."""
    name = row_prefix(request["EndpointName"]) + id
    ttl_s = float(request.get("RequestTTLSeconds") or DEFAULT_TTL_S)
    return {
        "kind": ASYNC_INVOCATION.name,
        "name": name,
        "arn": account.sagemaker(ASYNC_INVOCATION.name, name),
        "status": ASYNC_INVOCATION.first,
        "spec": dict(request),
        "state": {**state, "id": id, "expires": now + ttl_s, "deaths": 0, "faults": 0},
        "created": now,
        "modified": now,
        "due": now,
    }


def at_once(endpoint_state: Document) -> int:
    """How many requests the endpoint is asked at the same time: as many as each instance takes, times instances."""
    config = async_config(endpoint_state) or {}
    given = config.get("ClientConfig", {}).get("MaxConcurrentInvocationsPerInstance")
    total = 0
    for route in routes(endpoint_state):
        workers = endpoint_state.get("reports", {}).get(route.variant, {}).get("workers")
        total += int(given or max(DEFAULT_AT_ONCE, int(workers or 0))) * len(route.instances)
    return min(total, MOST_AT_ONCE)


def instance_count(endpoint_state: Document) -> int:
    """Instances that can be asked."""
    return sum(len(route.instances) for route in routes(endpoint_state))


@dataclass(frozen=True, slots=True)
class Failure:
    """Why a request has no output. `kind`: as AWS names it. `status`, `body`: the model's answer, if there is one."""

    kind: str
    reason: str
    status: int | None = None
    body: str | None = None


def failure_document(
    account: Account,
    row: Document,
    created: float,
    failure: Failure,
    *,
    inference_id: str,
    variant: str,
    now: float,
) -> dict[str, Any]:
    """What the failure object holds: AWS's notification of a failed request, with the model's answer in fields."""
    request = {"endpointName": row["EndpointName"]}
    if "InputLocation" in row:
        request["inputLocation"] = row["InputLocation"]
    told: dict[str, Any] = {
        "awsRegion": account.region,
        "eventTime": _time(now),
        "receivedTime": _time(created),
        "invocationStatus": "Failed",
        "failureReason": f"{failure.kind}: {failure.reason}",
        "requestParameters": request,
        "inferenceId": inference_id,
        "eventVersion": "1.0",
        "eventSource": "aws:sagemaker",
        "eventName": "InferenceResult",
    }
    if variant:
        told["invokedProductionVariant"] = variant
    if failure.status is not None:
        told["originalStatusCode"] = failure.status
        told["originalMessage"] = failure.body
    return told


def _time(at: float) -> str:
    return datetime.fromtimestamp(at, UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")
