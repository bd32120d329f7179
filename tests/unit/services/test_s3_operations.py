"""S3 operations over a real object store: what real clients do not show, or only slowly."""

from __future__ import annotations

import os
import secrets
import tracemalloc
from collections.abc import Callable, Mapping
from dataclasses import replace
from io import BytesIO
from typing import Any

import pytest

from clary.errors import S3Fault
from clary.objects.base import NoSuchKey, OutOfSpace
from clary.services import s3  # noqa: F401
from clary.services.operations import OPERATIONS, Context, Reply
from clary.wire.http import FileBody, Headers, HttpRequest
from tests.unit.objects.test_blobs import largest_file

MIB = 1 << 20


@pytest.fixture
def bucket() -> str:
    return "bucket"


@pytest.fixture
def now() -> Callable[[], float]:
    return lambda: 1000.0


@pytest.fixture
def new_id() -> Callable[[int], str]:
    return lambda digits: secrets.token_hex(digits // 2)


@pytest.fixture
def context(context: Context) -> Context:
    return replace(context, request=HttpRequest("PUT", "/bucket/key", "", Headers(), BytesIO()))


def call(context: Context, name: str, **request: Any) -> Mapping[str, Any]:
    answer = OPERATIONS["s3", name](context, {"Bucket": "bucket", **request})
    return answer.result if isinstance(answer, Reply) else answer


def refused(context: Context, name: str, **request: Any) -> S3Fault:
    with pytest.raises(S3Fault) as caught:
        call(context, name, **request)
    return caught.value


def blobs(context: Context) -> int:
    return len(list(context.settings.objects.glob("??/*")))


class Endless:
    """A body of so many bytes that never lie in memory together."""

    def __init__(self, size: int) -> None:
        self.left = size
        self.largest = 0

    def read(self, size: int = -1, /) -> bytes:
        assert size > 0, "read the whole at once"
        self.largest = max(self.largest, size)
        count = min(size, self.left)
        self.left -= count
        return bytes(count)


def test_a_put_streams(context: Context) -> None:
    body = Endless(64 * MIB)
    tracemalloc.start()
    try:
        call(context, "PutObject", Key="k", Body=body)
        peak = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
    assert peak < 8 * MIB
    assert body.largest >= 65536
    assert call(context, "HeadObject", Key="k")["ContentLength"] == 64 * MIB


def test_a_get_hands_out_the_file_itself(context: Context) -> None:
    call(context, "PutObject", Key="k", Body=b"0123456789")
    answer = OPERATIONS["s3", "GetObject"](context, {"Bucket": "bucket", "Key": "k", "Range": "bytes=2-4"})
    assert isinstance(answer, Reply)
    body = answer.result["Body"]
    assert isinstance(body, FileBody)
    try:
        assert (answer.status, os.pread(body.fd, body.length, body.offset)) == (206, b"234")
    finally:
        os.close(body.fd)


def test_a_full_disk_is_told_and_leaves_nothing(context: Context) -> None:
    call(context, "PutObject", Key="k", Body=b"old")
    with largest_file(4 * MIB), pytest.raises(OutOfSpace):
        call(context, "PutObject", Key="k", Body=Endless(16 * MIB))
    assert call(context, "HeadObject", Key="k")["ContentLength"] == 3
    assert blobs(context) == 1


def test_damaged_content_leaves_nothing(context: Context) -> None:
    headers = Headers([("x-amz-checksum-crc32", "AAAAAA==")])
    damaged = replace(context, request=replace(context.request, headers=headers))
    assert refused(damaged, "PutObject", Key="k", Body=b"x").code == "BadDigest"
    upload = call(context, "CreateMultipartUpload", Key="k")["UploadId"]
    assert (
        refused(damaged, "UploadPart", Key="k", UploadId=upload, PartNumber=1, Body=b"x").code == "BadDigest"
    )
    assert blobs(context) == 0


def test_a_write_that_cannot_be_is_refused_before_its_body_is_read(context: Context) -> None:
    call(context, "PutObject", Key="k", Body=b"old")
    for request, code in (
        ({"Key": "k", "IfNoneMatch": "*"}, "PreconditionFailed"),
        ({"Key": "k", "IfMatch": "x"}, "PreconditionFailed"),
        ({"Key": "k", "Bucket": "none-such"}, "NoSuchBucket"),
        ({"Key": "k" * 1025}, "KeyTooLongError"),
        ({"Key": "k", "SSECustomerAlgorithm": "AES256"}, "NotImplemented"),
        ({"Key": "k", "ExpectedBucketOwner": "000000000000"}, "AccessDenied"),
        ({"Key": "k", "Metadata": {"m": "x" * 3000}}, "MetadataTooLarge"),
    ):
        body = Endless(10)
        assert refused(context, "PutObject", Body=body, **request).code == code
        assert body.left == 10


def test_checksums_of_parts_must_be_of_the_upload_s_kind(context: Context) -> None:
    upload = call(context, "CreateMultipartUpload", Key="k", ChecksumAlgorithm="SHA256")
    assert (upload["ChecksumAlgorithm"], upload["ChecksumType"]) == ("SHA256", "COMPOSITE")
    at = {"Key": "k", "UploadId": upload["UploadId"]}
    part = call(context, "UploadPart", **at, PartNumber=1, Body=b"x")
    assert "ChecksumSHA256" in part
    headers = Headers([("x-amz-checksum-crc32", "jNwWgw==")])
    other = replace(context, request=replace(context.request, headers=headers))
    assert refused(other, "UploadPart", **at, PartNumber=2, Body=b"x").code == "InvalidRequest"
    done = {"Parts": [{"PartNumber": 1, "ETag": part["ETag"], "ChecksumSHA256": "wrong"}]}
    assert refused(context, "CompleteMultipartUpload", **at, MultipartUpload=done).code == "InvalidPart"
    done = {"Parts": [{"PartNumber": 1, "ETag": part["ETag"]}]}
    wrong = {"MultipartUpload": done, "MpuObjectSize": 7}
    assert refused(context, "CompleteMultipartUpload", **at, **wrong).code == "InvalidRequest"
    wrong = {"MultipartUpload": done, "ChecksumSHA256": "AAAA-1"}
    assert refused(context, "CompleteMultipartUpload", **at, **wrong).code == "BadDigest"
    answer = call(context, "CompleteMultipartUpload", **at, MultipartUpload=done)
    assert answer["ChecksumSHA256"].endswith("-1")


@pytest.mark.parametrize(
    "request_",
    [
        {"ChecksumAlgorithm": "SHA256", "ChecksumType": "FULL_OBJECT"},
        {"ChecksumAlgorithm": "CRC64NVME", "ChecksumType": "COMPOSITE"},
        {"ChecksumType": "FULL_OBJECT"},
        {"ChecksumAlgorithm": "XXHASH64"},
    ],
)
def test_checksums_an_upload_cannot_have(context: Context, request_: dict[str, str]) -> None:
    assert refused(context, "CreateMultipartUpload", Key="k", **request_).code == "InvalidRequest"


def test_uploads_in_pages(context: Context) -> None:
    keys = ["a", "a", "b/1", "b/2", "c/1", "d"]
    for key in keys:
        call(context, "CreateMultipartUpload", Key=key)
    for limit in (1, 2, 3, 1000):
        found: list[str] = []
        marker: dict[str, Any] = {}
        while True:
            page = call(context, "ListMultipartUploads", MaxUploads=limit, **marker)
            found += [upload["Key"] for upload in page["Uploads"]]
            if not page["IsTruncated"]:
                break
            marker = {"KeyMarker": page["NextKeyMarker"], "UploadIdMarker": page["NextUploadIdMarker"]}
        assert found == keys
        found, marker = [], {}
        while True:
            page = call(context, "ListMultipartUploads", MaxUploads=limit, Delimiter="/", **marker)
            found += [upload["Key"] for upload in page["Uploads"]]
            found += [group["Prefix"] for group in page["CommonPrefixes"]]
            if not page["IsTruncated"]:
                break
            marker = {"KeyMarker": page["NextKeyMarker"], "UploadIdMarker": page["NextUploadIdMarker"]}
        assert sorted(found) == ["a", "a", "b/", "c/", "d"]


def test_limits_of_listings(context: Context) -> None:
    for name, member in (("ListObjectsV2", "MaxKeys"), ("ListMultipartUploads", "MaxUploads")):
        assert refused(context, name, **{member: -1}).code == "InvalidArgument"
        assert call(context, name, **{member: 5000})[member] == 1000
    assert refused(context, "ListObjects", EncodingType="base64").code == "InvalidArgument"


def test_buckets_in_pages(context: Context) -> None:
    for name in ("bucket-b", "bucket-a", "other"):
        call(context, "CreateBucket", Bucket=name)
    page = call(context, "ListBuckets", Prefix="bucket", MaxBuckets=2)
    assert [found["Name"] for found in page["Buckets"]] == ["bucket", "bucket-a"]
    rest = call(
        context, "ListBuckets", Prefix="bucket", MaxBuckets=2, ContinuationToken=page["ContinuationToken"]
    )
    assert [found["Name"] for found in rest["Buckets"]] == ["bucket-b"]
    assert "ContinuationToken" not in rest


@pytest.mark.parametrize("source", ["bucket", "/bucket/", "", "bucket/", "/"])
def test_a_copy_names_its_source(context: Context, source: str) -> None:
    assert refused(context, "CopyObject", Key="k", CopySource=source).code == "InvalidArgument"


def test_a_copy_of_a_version_there_is_not(context: Context) -> None:
    call(context, "PutObject", Key="a", Body=b"x")
    call(context, "CopyObject", Key="b", CopySource="bucket/a?versionId=null")
    assert refused(context, "CopyObject", Key="b", CopySource="bucket/a?versionId=x").code == "NoSuchVersion"


def test_deletes_with_conditions(context: Context) -> None:
    etag = call(context, "PutObject", Key="k", Body=b"x")["ETag"]
    for wrong in ({"IfMatchSize": 2}, {"IfMatchLastModifiedTime": 999.0}, {"IfMatch": "no"}):
        assert refused(context, "DeleteObject", Key="k", **wrong).code == "PreconditionFailed"
    asked = [{"Key": "k", "ETag": "no"}, {"Key": "none", "ETag": "no"}]
    answer = call(context, "DeleteObjects", Delete={"Objects": asked})
    assert [error["Code"] for error in answer["Errors"]] == ["PreconditionFailed"]
    call(context, "DeleteObject", Key="k", IfMatchSize=1, IfMatchLastModifiedTime=1000.0, IfMatch=etag)
    with pytest.raises(NoSuchKey):
        call(context, "HeadObject", Key="k")
    too_many = [{"Key": str(n)} for n in range(1001)]
    for asked in ([], too_many):
        assert refused(context, "DeleteObjects", Delete={"Objects": asked}).code == "MalformedXML"
