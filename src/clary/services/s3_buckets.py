"""Buckets."""

from __future__ import annotations

import ipaddress
import re
from collections.abc import Mapping
from typing import Any

from clary.errors import S3Fault
from clary.objects.base import Bucket, BucketExists
from clary.services.operations import Context
from clary.services.s3_gate import owner, require_bucket, s3_operation

_HOME_REGION = "us-east-1"
_NAME = re.compile(r"[a-z0-9][a-z0-9.-]{1,61}[a-z0-9]")
_RESERVED_STARTS = ("xn--", "sthree-")
_RESERVED_ENDS = ("-s3alias", "--ol-s3", ".mrap", "--x-s3", "--table-s3")


@s3_operation("CreateBucket")
def create_bucket(context: Context, request: Mapping[str, Any]) -> Mapping[str, Any]:
    """Make a bucket; again, without a region, is no fault."""
    name = request["Bucket"]
    _check_name(name)
    region = (request.get("CreateBucketConfiguration") or {}).get("LocationConstraint") or ""
    bucket = Bucket(name, context.now(), "" if region == _HOME_REGION else region)
    try:
        context.objects.create_bucket(bucket)
    except BucketExists:
        # us-east-1 alone answers a repeated create as if it were the first
        if bucket.region:
            raise
    return {"Location": f"/{name}"}


@s3_operation("HeadBucket")
def head_bucket(context: Context, request: Mapping[str, Any]) -> Mapping[str, Any]:
    """Whether the bucket is there, and its region."""
    bucket = require_bucket(context, request["Bucket"])
    return {"BucketRegion": bucket.region or _HOME_REGION, "BucketArn": _arn(context, bucket)}


@s3_operation("DeleteBucket")
def delete_bucket(context: Context, request: Mapping[str, Any]) -> Mapping[str, Any]:
    """Delete a bucket that is empty."""
    context.objects.delete_bucket(request["Bucket"])
    return {}


@s3_operation("GetBucketLocation")
def get_bucket_location(context: Context, request: Mapping[str, Any]) -> Mapping[str, Any]:
    """The bucket's region; none for us-east-1."""
    bucket = require_bucket(context, request["Bucket"])
    return {"LocationConstraint": bucket.region} if bucket.region else {}


@s3_operation("GetBucketVersioning")
def get_bucket_versioning(context: Context, request: Mapping[str, Any]) -> Mapping[str, Any]:
    """Tools ask before they delete. No status: the bucket was never versioned."""
    require_bucket(context, request["Bucket"])
    return {}


@s3_operation("ListBuckets")
def list_buckets(context: Context, request: Mapping[str, Any]) -> Mapping[str, Any]:
    """All buckets, or those of a prefix or region, by name."""
    prefix, after = request.get("Prefix") or "", request.get("ContinuationToken") or ""
    region = request.get("BucketRegion")
    found = [
        bucket
        for bucket in context.objects.buckets()
        if bucket.name.startswith(prefix)
        and bucket.name > after
        and region in (None, bucket.region or _HOME_REGION)
    ]
    limit = request.get("MaxBuckets") or len(found)
    answer: dict[str, Any] = {
        "Buckets": [_shown(context, bucket) for bucket in found[:limit]],
        "Owner": owner(context),
    }
    if prefix:
        answer["Prefix"] = prefix
    if len(found) > limit:
        answer["ContinuationToken"] = found[limit - 1].name
    return answer


def _shown(context: Context, bucket: Bucket) -> dict[str, Any]:
    return {
        "Name": bucket.name,
        "CreationDate": bucket.created,
        "BucketRegion": bucket.region or _HOME_REGION,
        "BucketArn": _arn(context, bucket),
    }


def _arn(context: Context, bucket: Bucket) -> str:
    return f"arn:{context.account.partition}:s3:::{bucket.name}"


def _check_name(name: str) -> None:
    if (
        not _NAME.fullmatch(name)
        or ".." in name
        or name.startswith(_RESERVED_STARTS)
        or name.endswith(_RESERVED_ENDS)
        or _is_address(name)
    ):
        raise S3Fault(
            "The specified bucket is not valid: use 3 to 63 lower-case letters, digits, dots and hyphens, "
            "with a letter or digit at both ends.",
            code="InvalidBucketName",
            extra={"BucketName": name},
        )


def _is_address(name: str) -> bool:
    try:
        ipaddress.IPv4Address(name)
    except ValueError:
        return False
    return True
