"""What every S3 operation checks before it does anything, and small terms that all of them share."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from datetime import datetime
from functools import wraps
from typing import Any

from clary.errors import S3Fault
from clary.objects.base import MAX_KEY_BYTES, Bucket, KeyTooLong, NoSuchBucket
from clary.services.operations import Context, Operation, Reply, operation

MAX_PARTS = 10_000

_NOT_OFFERED = {
    "SSECustomerAlgorithm": "encryption with keys of the customer (SSE-C)",
    "CopySourceSSECustomerAlgorithm": "encryption with keys of the customer (SSE-C)",
    "ObjectLockMode": "object lock",
    "ObjectLockLegalHoldStatus": "object lock",
    "ObjectLockEnabledForBucket": "object lock",
    "WriteOffsetBytes": "appending to an object",
}


def s3_operation(name: str) -> Callable[[Operation], Operation]:
    """Offer an S3 operation behind the checks of the account, the key and the features that Clary has."""

    def register(function: Operation) -> Operation:
        @wraps(function)
        def gated(context: Context, request: Mapping[str, Any]) -> Mapping[str, Any] | Reply:
            _check_owner(context, request)
            _check_offered(request)
            if "Key" in request:
                check_key(request["Key"])
            return function(context, request)

        return operation("s3", name)(gated)

    return register


def check_key(key: str) -> None:
    size = len(key.encode("utf-8", "surrogatepass"))
    if size > MAX_KEY_BYTES:
        raise KeyTooLong(extra={"Size": str(size), "MaxSizeAllowed": str(MAX_KEY_BYTES)})


def check_part_number(request: Mapping[str, Any]) -> int:
    number = int(request["PartNumber"])
    if not 1 <= number <= MAX_PARTS:
        raise S3Fault(
            f"Part number must be an integer between 1 and {MAX_PARTS}, inclusive",
            code="InvalidArgument",
            extra={"ArgumentName": "partNumber", "ArgumentValue": str(number)},
        )
    return number


def require_bucket(context: Context, name: str) -> Bucket:
    bucket = context.objects.bucket(name)
    if bucket is None:
        raise NoSuchBucket(extra={"BucketName": name})
    return bucket


def quoted(etag: str) -> str:
    return f'"{etag}"'


def epoch_s(value: float | datetime) -> float:
    return value.timestamp() if isinstance(value, datetime) else float(value)


def owner(context: Context) -> dict[str, str]:
    return {"ID": context.account.id, "DisplayName": "clary"}


def _check_owner(context: Context, request: Mapping[str, Any]) -> None:
    for member in ("ExpectedBucketOwner", "ExpectedSourceBucketOwner"):
        if request.get(member, context.account.id) != context.account.id:
            raise S3Fault("Access Denied", code="AccessDenied", status=403)


def _check_offered(request: Mapping[str, Any]) -> None:
    for member, feature in _NOT_OFFERED.items():
        if request.get(member):
            raise S3Fault(f"Clary does not offer {feature}.", code="NotImplemented", status=501)
    if request.get("VersionId", "null") != "null":
        raise S3Fault(
            "The specified version does not exist. Clary keeps one version of an object, named null.",
            code="NoSuchVersion",
            status=404,
            extra={"VersionId": str(request["VersionId"])},
        )
