"""The other side of the wire: botocore's serialisers and parsers, and values of any shape."""

from __future__ import annotations

import io
from datetime import UTC, datetime
from types import SimpleNamespace
from typing import Any
from urllib.parse import urlsplit

from botocore.awsrequest import HeadersDict, create_request_object, prepare_request_dict
from botocore.handlers import parse_get_bucket_location
from botocore.model import ListShape, MapShape, OperationModel, Shape, StructureShape
from botocore.parsers import create_parser
from botocore.serialize import create_serializer
from hypothesis import strategies as st

from clary.wire.http import FileBody, Headers, HttpRequest, HttpResponse
from clary.wire.models import service_model

OFFERED: dict[str, list[str]] = {
    "sagemaker": [
        *(f"{verb}TrainingJob" for verb in ("Create", "Describe", "Stop", "Update", "Delete")),
        *("ListTrainingJobs", "AddTags", "ListTags", "DeleteTags"),
        *(f"{verb}ProcessingJob" for verb in ("Create", "Describe", "Stop", "Delete")),
        "ListProcessingJobs",
        *(f"{verb}TransformJob" for verb in ("Create", "Describe", "Stop")),
        "ListTransformJobs",
        *(f"{verb}HyperParameterTuningJob" for verb in ("Create", "Describe", "Stop", "Delete")),
        *("ListHyperParameterTuningJobs", "ListTrainingJobsForHyperParameterTuningJob"),
        *(
            f"{verb}{noun}"
            for noun in ("Experiment", "Trial", "TrialComponent")
            for verb in ("Create", "Describe", "Update", "Delete")
        ),
        *("ListExperiments", "ListTrials", "ListTrialComponents"),
        *("AssociateTrialComponent", "DisassociateTrialComponent", "Search"),
        *(
            f"{verb}{noun}"
            for noun in ("Artifact", "Context", "Action")
            for verb in ("Create", "Describe", "Update", "Delete")
        ),
        *("ListArtifacts", "ListContexts", "ListActions"),
        *("AddAssociation", "DeleteAssociation", "ListAssociations", "QueryLineage"),
        *(
            f"{verb}{noun}"
            for noun in ("Model", "EndpointConfig", "Endpoint")
            for verb in ("Create", "Describe", "Delete")
        ),
        *("ListModels", "ListEndpointConfigs", "ListEndpoints"),
        *("UpdateEndpoint", "UpdateEndpointWeightsAndCapacities"),
    ],
    "logs": ["DescribeLogGroups", "DescribeLogStreams", "GetLogEvents", "FilterLogEvents"],
    "cloudwatch": ["GetMetricStatistics", "ListMetrics", "PutMetricData", "GetMetricData"],
    "sts": ["GetCallerIdentity", "AssumeRole", "GetSessionToken"],
    "iam": ["GetRole", "ListRoles", "SimulatePrincipalPolicy"],
    "s3": [
        *(
            "ListBuckets",
            "CreateBucket",
            "HeadBucket",
            "DeleteBucket",
            "GetBucketLocation",
            "GetBucketVersioning",
        ),
        *("PutObject", "GetObject", "HeadObject", "DeleteObject", "CopyObject", "DeleteObjects"),
        *("ListObjects", "ListObjectsV2", "ListObjectVersions"),
        *("CreateMultipartUpload", "UploadPart", "UploadPartCopy", "CompleteMultipartUpload"),
        *("AbortMultipartUpload", "ListParts", "ListMultipartUploads"),
        *("GetObjectTagging", "PutObjectTagging", "DeleteObjectTagging", "GetObjectAttributes"),
    ],
    "sagemaker-runtime": ["InvokeEndpoint", "InvokeEndpointWithResponseStream", "InvokeEndpointAsync"],
    "sagemaker-metrics": ["BatchPutMetrics", "BatchGetMetrics"],
    "application-autoscaling": [
        *("RegisterScalableTarget", "DeregisterScalableTarget", "DescribeScalableTargets"),
        *("PutScalingPolicy", "DeleteScalingPolicy", "DescribeScalingPolicies", "DescribeScalingActivities"),
        *("TagResource", "UntagResource", "ListTagsForResource"),
    ],
}

# (service, operation, protocol as botocore names it): CloudWatch's clients speak JSON now, and forms before.
CASES: list[tuple[str, str, str]] = [
    (service, name, protocol)
    for service, names in OFFERED.items()
    for name in names
    for protocol in {
        "cloudwatch": ("json", "query"),
        "sagemaker": ("json",),
        "application-autoscaling": ("json",),
        "logs": ("json",),
        "s3": ("rest-xml",),
        "sts": ("query",),
        "iam": ("query",),
    }.get(service, ("rest-json",))
]


def sent(operation: OperationModel, params: dict[str, Any], protocol: str) -> HttpRequest:
    """The request that botocore would send, with the credential scope of a signature but none of its bytes."""
    written = create_serializer(protocol, include_validation=False).serialize_to_request(params, operation)
    prepare_request_dict(written, endpoint_url="http://127.0.0.1:7370")
    request = create_request_object(written).prepare()
    signing = operation.service_model.signing_name
    credential = f"AWS4-HMAC-SHA256 Credential=AKIA/20260101/us-east-1/{signing}/aws4_request, Signature=0"
    body = request.body or b""
    body = body.encode() if isinstance(body, str) else body
    url = urlsplit(request.url)
    headers = [(name, _text(value)) for name, value in request.headers.items()]
    return HttpRequest(
        method=request.method,
        path=url.path,
        query=url.query,
        headers=Headers([*headers, ("Authorization", credential), ("Host", "127.0.0.1:7370")]),
        body=io.BytesIO(body if isinstance(body, bytes | bytearray) else body.read()),
    )


def _text(value: str | bytes) -> str:
    return value.decode("latin-1") if isinstance(value, bytes) else str(value)


def received(operation: OperationModel, response: HttpResponse, protocol: str) -> dict[str, Any]:
    """What botocore reads in a response; without the metadata it adds."""
    body = response.body
    assert not isinstance(body, FileBody)
    data = body if isinstance(body, bytes) else b"".join(body)
    answer = {
        "headers": HeadersDict(response.headers),
        "status_code": response.status,
        "body": io.BytesIO(data) if operation.has_streaming_output else data,
        "context": {"operation_name": operation.name},
    }
    parsed = dict(create_parser(protocol).parse(answer, operation.output_shape))
    if operation.name == "GetBucketLocation":
        parse_get_bucket_location(parsed, SimpleNamespace(content=data, raw=data))
    return {name: item.read() if isinstance(item, io.BytesIO) else item for name, item in parsed.items()}


def operation_of(service: str, name: str) -> OperationModel:
    return service_model(service).operation_model(name)


# --- values ---------------------------------------------------------------------------------------------------

_ANY = st.text(st.characters(exclude_categories=["Cs", "Cc"]), max_size=12)
_PRINTABLE = st.text(st.characters(min_codepoint=0x21, max_codepoint=0x7E), min_size=1, max_size=12)
_LABEL = st.text(st.characters(exclude_categories=["Cs", "Cc"]), min_size=1, max_size=12)


def values(shape: Shape, *, located: str = "", depth: int = 0) -> st.SearchStrategy[Any]:
    """Values of a shape, as a botocore user gives or gets them; timestamps are datetimes of whole milliseconds."""
    if isinstance(shape, StructureShape):
        return _structures(shape, depth)
    if isinstance(shape, ListShape):
        item = _comma_free(shape.member) if located == "header" else values(shape.member, depth=depth + 1)
        return st.lists(item, min_size=1 if located else 0, max_size=2)
    if isinstance(shape, MapShape):
        if located == "headers":
            names = st.from_regex(r"[a-z][a-z0-9-]{0,8}", fullmatch=True)
            return st.dictionaries(names, _PRINTABLE, min_size=1, max_size=3)
        return st.dictionaries(_key(shape.key), values(shape.value, depth=depth + 1), max_size=2)
    return _scalars(shape, located)


def _structures(shape: StructureShape, depth: int) -> st.SearchStrategy[dict[str, Any]]:
    required, optional = {}, {}
    for name, member in shape.members.items():
        # The HTTP layers of both sides make this header themselves.
        if name == "ContentLength" or _beyond(shape, name, depth):
            continue
        strategy = values(member, located=member.serialization.get("location", ""), depth=depth + 1)
        (required if name in shape.required_members else optional)[name] = strategy
    if shape.is_tagged_union:
        return st.one_of(*(st.fixed_dictionaries({name: strategy}) for name, strategy in optional.items()))
    return st.fixed_dictionaries(required, optional=optional)


def _beyond(shape: StructureShape, name: str, depth: int) -> bool:
    return depth > 3 and name not in shape.required_members and not shape.is_tagged_union


def _key(shape: Shape) -> st.SearchStrategy[str]:
    return st.sampled_from(shape.metadata["enum"]) if shape.metadata.get("enum") else _LABEL


def _comma_free(shape: Shape) -> st.SearchStrategy[Any]:
    return values(shape, located="header").filter(lambda value: "," not in str(value))


def _scalars(shape: Shape, located: str) -> st.SearchStrategy[Any]:
    kind = shape.type_name
    if kind == "string":
        if shape.metadata.get("enum"):
            return st.sampled_from(shape.metadata["enum"])
        return {"header": _PRINTABLE, "uri": _LABEL}.get(located, _ANY)
    if kind == "timestamp":
        step = 1 if located or shape.serialization.get("timestampFormat") == "rfc822" else 0.001
        steps = st.integers(0, 4_000_000_000) if step == 1 else st.integers(0, 4_000_000_000_000)
        return steps.map(lambda number: datetime.fromtimestamp(round(number * step, 3), UTC))
    if kind == "blob":
        return st.binary(max_size=12)
    if kind in ("integer", "long"):
        bits = 31 if kind == "integer" else 63
        return st.integers(-(2**bits), 2**bits - 1)
    return st.booleans() if kind == "boolean" else st.floats(allow_nan=False, allow_infinity=False)


def plain(value: Any, *, lossy: bool = False) -> Any:
    """The value with timestamps as epoch seconds; `lossy`: without what forms and XML cannot tell from nothing."""
    if isinstance(value, dict):
        items = {key: plain(item, lossy=lossy) for key, item in value.items()}
        return {key: item for key, item in items.items() if not lossy or item not in ({}, [])}
    if isinstance(value, list):
        items = [plain(item, lossy=lossy) for item in value]
        return [item for item in items if not lossy or item not in ({}, [])]
    return value.timestamp() if isinstance(value, datetime) else value
