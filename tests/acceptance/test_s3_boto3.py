"""S3 through an unmodified boto3 against a real server process."""

from __future__ import annotations

import base64
import hashlib
import io
import os
import random
import re
import urllib.error
import urllib.request
from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta
from itertools import count
from typing import Any

import boto3
import pytest
from boto3.s3.transfer import TransferConfig
from botocore.exceptions import ClientError

from tests.server_process import ServerProcess

MIB = 1 << 20
_names = count(1)


@pytest.fixture(scope="module")
def s3(shared_server: ServerProcess) -> Any:
    return shared_server.client("s3", config={"max_pool_connections": 20})


@pytest.fixture
def bucket(s3: Any) -> Iterator[str]:
    name = f"test-bucket-{next(_names)}"
    s3.create_bucket(Bucket=name)
    yield name


def random_bytes(size: int, seed: int = 1) -> bytes:
    return random.Random(seed).randbytes(size)


def refused(call: Callable[..., Any], /, **given: Any) -> tuple[str, int]:
    with pytest.raises(ClientError) as caught:
        call(**given)
    response = caught.value.response
    return response["Error"]["Code"], response["ResponseMetadata"]["HTTPStatusCode"]


def error(call: Callable[..., Any], /, **given: Any) -> dict[str, Any]:
    with pytest.raises(ClientError) as caught:
        call(**given)
    found: dict[str, Any] = caught.value.response["Error"]
    return found


# --- buckets


def test_the_life_of_a_bucket(s3: Any) -> None:
    assert refused(s3.head_bucket, Bucket="life-of-bucket") == ("404", 404)
    s3.create_bucket(Bucket="life-of-bucket")
    s3.create_bucket(Bucket="life-of-bucket")
    assert s3.head_bucket(Bucket="life-of-bucket")["BucketRegion"] == "us-east-1"
    assert "life-of-bucket" in [found["Name"] for found in s3.list_buckets()["Buckets"]]
    assert s3.get_bucket_location(Bucket="life-of-bucket")["LocationConstraint"] is None
    s3.put_object(Bucket="life-of-bucket", Key="k", Body=b"")
    assert refused(s3.delete_bucket, Bucket="life-of-bucket") == ("BucketNotEmpty", 409)
    s3.delete_object(Bucket="life-of-bucket", Key="k")
    s3.delete_bucket(Bucket="life-of-bucket")
    assert refused(s3.get_bucket_versioning, Bucket="life-of-bucket") == ("NoSuchBucket", 404)
    missing = error(s3.list_objects_v2, Bucket="life-of-bucket")
    assert (missing["Code"], missing["BucketName"]) == ("NoSuchBucket", "life-of-bucket")


def test_a_bucket_elsewhere(s3: Any) -> None:
    there = {"LocationConstraint": "eu-west-1"}
    s3.create_bucket(Bucket="bucket-elsewhere", CreateBucketConfiguration=there)
    assert s3.get_bucket_location(Bucket="bucket-elsewhere")["LocationConstraint"] == "eu-west-1"
    assert refused(s3.create_bucket, Bucket="bucket-elsewhere", CreateBucketConfiguration=there) == (
        "BucketAlreadyOwnedByYou",
        409,
    )


@pytest.mark.parametrize("name", ["abc_def", "Abcdef", "-abc", "a..b", "192.168.0.1", "xn--abc", "ab."])
def test_a_bad_bucket_name(s3: Any, name: str) -> None:
    assert refused(s3.create_bucket, Bucket=name) == ("InvalidBucketName", 400)


def test_creation_date_as_the_sdk_looks_for_it(shared_server: ServerProcess, s3: Any, bucket: str) -> None:
    session = boto3.session.Session(
        shared_server.access_key_id, shared_server.secret_access_key, region_name=shared_server.region
    )
    resource = session.resource("s3", endpoint_url=shared_server.url)
    assert resource.Bucket(bucket).creation_date is not None
    assert resource.Bucket("no-such-bucket").creation_date is None


def test_the_owner_expected(s3: Any, bucket: str) -> None:
    account = s3.list_buckets()["Owner"]["ID"]
    s3.head_bucket(Bucket=bucket, ExpectedBucketOwner=account)
    s3.put_object(Bucket=bucket, Key="k", Body=b"x", ExpectedBucketOwner=account)
    stranger = "0" * 11 + "1"
    assert refused(s3.head_bucket, Bucket=bucket, ExpectedBucketOwner=stranger) == ("403", 403)
    assert refused(s3.put_object, Bucket=bucket, Key="k", Body=b"y", ExpectedBucketOwner=stranger) == (
        "AccessDenied",
        403,
    )
    assert s3.get_object(Bucket=bucket, Key="k")["Body"].read() == b"x"


# --- objects


@pytest.mark.parametrize("size", [0, 1, 65536, 3 * MIB + 17])
def test_put_and_get(s3: Any, bucket: str, size: int) -> None:
    data = random_bytes(size)
    put = s3.put_object(Bucket=bucket, Key="k", Body=data)
    assert put["ETag"] == f'"{hashlib.md5(data).hexdigest()}"'
    got = s3.get_object(Bucket=bucket, Key="k", ChecksumMode="ENABLED")
    assert got["Body"].read() == data
    assert got["ContentLength"] == size
    assert got["ChecksumCRC32"] == put["ChecksumCRC32"]
    assert got["ContentType"] == "binary/octet-stream"
    head = s3.head_object(Bucket=bucket, Key="k")
    assert (head["ContentLength"], head["ETag"]) == (size, put["ETag"])


def test_what_is_given_with_an_object_comes_back(s3: Any, bucket: str) -> None:
    given = {
        "ContentType": "text/x-odd; charset=utf-8",
        "CacheControl": "max-age=7",
        "ContentDisposition": 'attachment; filename="f"',
        "ContentEncoding": "gzip",
        "ContentLanguage": "de",
        "Expires": datetime(2030, 1, 2, 3, 4, 5, tzinfo=UTC),
        "Metadata": {"one": "1", "two-words": "a b  c"},
        "ServerSideEncryption": "aws:kms",
        "SSEKMSKeyId": "key",
        "WebsiteRedirectLocation": "/there",
    }
    put = s3.put_object(Bucket=bucket, Key="k", Body=b"x", Tagging="a=1&b=%C3%BC", **given)
    assert (put["ServerSideEncryption"], put["SSEKMSKeyId"]) == ("aws:kms", "key")
    for answer in (s3.get_object(Bucket=bucket, Key="k"), s3.head_object(Bucket=bucket, Key="k")):
        assert {name: answer[name] for name in given} == given
    assert s3.get_object(Bucket=bucket, Key="k")["TagCount"] == 2
    tags = s3.get_object_tagging(Bucket=bucket, Key="k")["TagSet"]
    assert tags == [{"Key": "a", "Value": "1"}, {"Key": "b", "Value": "ü"}]


def test_the_answer_can_be_told_its_headers(s3: Any, bucket: str) -> None:
    s3.put_object(Bucket=bucket, Key="k", Body=b"x", ContentType="a/b")
    got = s3.get_object(
        Bucket=bucket,
        Key="k",
        ResponseContentType="c/d",
        ResponseContentDisposition="inline",
        ResponseExpires=datetime(2031, 1, 1, tzinfo=UTC),
    )
    assert (got["ContentType"], got["ContentDisposition"], got["Expires"].year) == ("c/d", "inline", 2031)


@pytest.mark.parametrize(
    ("asked", "expected"),
    [
        ("bytes=0-0", (0, 1)),
        ("bytes=2-5", (2, 6)),
        ("bytes=7-", (7, 10)),
        ("bytes=-3", (7, 10)),
        ("bytes=-30", (0, 10)),
        ("bytes=5-100", (5, 10)),
    ],
)
def test_a_range(s3: Any, bucket: str, asked: str, expected: tuple[int, int]) -> None:
    s3.put_object(Bucket=bucket, Key="k", Body=b"0123456789")
    start, end = expected
    got = s3.get_object(Bucket=bucket, Key="k", Range=asked)
    assert got["Body"].read() == b"0123456789"[start:end]
    assert got["ResponseMetadata"]["HTTPStatusCode"] == 206
    assert got["ContentRange"] == f"bytes {start}-{end - 1}/10"
    assert s3.head_object(Bucket=bucket, Key="k", Range=asked)["ContentLength"] == end - start


def test_ranges_that_cannot_be(s3: Any, bucket: str) -> None:
    s3.put_object(Bucket=bucket, Key="k", Body=b"0123456789")
    s3.put_object(Bucket=bucket, Key="empty", Body=b"")
    for key, asked in (("k", "bytes=10-"), ("k", "bytes=-0"), ("empty", "bytes=0-9")):
        assert refused(s3.get_object, Bucket=bucket, Key=key, Range=asked) == ("InvalidRange", 416)
    for nonsense in ("bytes=5-2", "lines=1-2", "bytes=0-1,3-4"):
        assert s3.get_object(Bucket=bucket, Key="k", Range=nonsense)["ContentLength"] == 10


def test_conditional_reads(s3: Any, bucket: str) -> None:
    etag = s3.put_object(Bucket=bucket, Key="k", Body=b"x")["ETag"]
    now = s3.head_object(Bucket=bucket, Key="k")["LastModified"]
    hour = timedelta(hours=1)
    for call in (s3.get_object, s3.head_object):
        at = {"Bucket": bucket, "Key": "k"}
        call(**at, IfMatch=etag)
        call(**at, IfNoneMatch='"other"')
        call(**at, IfModifiedSince=now - hour)
        call(**at, IfUnmodifiedSince=now)
        call(**at, IfMatch=etag, IfUnmodifiedSince=now - hour)
        assert refused(call, **at, IfNoneMatch=etag)[1] == 304
        assert refused(call, **at, IfModifiedSince=now)[1] == 304
        assert refused(call, **at, IfMatch='"other"')[1] == 412
        assert refused(call, **at, IfUnmodifiedSince=now - hour)[1] == 412
    assert error(s3.get_object, Bucket=bucket, Key="k", IfMatch='"x"')["Code"] == "PreconditionFailed"


def test_conditional_writes(s3: Any, bucket: str) -> None:
    at = {"Bucket": bucket, "Key": "k"}
    assert refused(s3.put_object, **at, Body=b"0", IfMatch='"x"') == ("NoSuchKey", 404)
    etag = s3.put_object(**at, Body=b"1", IfNoneMatch="*")["ETag"]
    assert refused(s3.put_object, **at, Body=b"2", IfNoneMatch="*") == ("PreconditionFailed", 412)
    assert refused(s3.put_object, **at, Body=b"2", IfMatch='"x"') == ("PreconditionFailed", 412)
    s3.put_object(**at, Body=b"3", IfMatch=etag)
    assert s3.get_object(**at)["Body"].read() == b"3"
    assert refused(s3.delete_object, **at, IfMatch='"x"') == ("PreconditionFailed", 412)
    s3.delete_object(**at, IfMatch="*")


def test_a_missing_key(s3: Any, bucket: str) -> None:
    missing = error(s3.get_object, Bucket=bucket, Key="no/such")
    assert (missing["Code"], missing["Key"]) == ("NoSuchKey", "no/such")
    assert refused(s3.head_object, Bucket=bucket, Key="no/such") == ("404", 404)
    s3.delete_object(Bucket=bucket, Key="no/such")


def test_keys_are_not_paths(s3: Any, bucket: str) -> None:
    keys = [
        "a",
        "a/b",
        "a/b/",
        "//x",
        "../up",
        "/lead",
        "./dot",
        "line\nbreak\r\x01\x7f",
        "sp ace+plus%41&?#",
        "ü/模型/🎈",
        "k" * 1024,
        "~*'()",
    ]
    for key in keys:
        s3.put_object(Bucket=bucket, Key=key, Body=key.encode())
    for key in keys:
        assert s3.get_object(Bucket=bucket, Key=key)["Body"].read() == key.encode()
    listed = [entry["Key"] for entry in s3.list_objects_v2(Bucket=bucket)["Contents"]]
    assert listed == sorted(keys, key=str.encode)
    assert refused(s3.put_object, Bucket=bucket, Key="k" * 1025, Body=b"") == ("KeyTooLongError", 400)


@pytest.mark.parametrize("algorithm", ["CRC32", "CRC32C", "CRC64NVME", "SHA1", "SHA256"])
def test_checksums(s3: Any, bucket: str, algorithm: str) -> None:
    data = random_bytes(100_000)
    put = s3.put_object(Bucket=bucket, Key="k", Body=data, ChecksumAlgorithm=algorithm)
    got = s3.get_object(Bucket=bucket, Key="k", ChecksumMode="ENABLED")
    assert got["Body"].read() == data
    assert got[f"Checksum{algorithm}"] == put[f"Checksum{algorithm}"]
    about = s3.get_object_attributes(
        Bucket=bucket, Key="k", ObjectAttributes=["Checksum", "ETag", "ObjectSize", "StorageClass"]
    )
    assert about["Checksum"][f"Checksum{algorithm}"] == put[f"Checksum{algorithm}"]
    assert (about["ObjectSize"], about["ETag"], about["StorageClass"]) == (
        100_000,
        put["ETag"].strip('"'),
        "STANDARD",
    )


def test_damaged_content_is_refused(s3: Any, bucket: str) -> None:
    wrong = base64.b64encode(b"\0" * 32).decode()
    assert refused(s3.put_object, Bucket=bucket, Key="k", Body=b"x", ChecksumSHA256=wrong) == (
        "BadDigest",
        400,
    )
    wrong_md5 = base64.b64encode(b"\0" * 16).decode()
    assert refused(s3.put_object, Bucket=bucket, Key="k", Body=b"x", ContentMD5=wrong_md5) == (
        "BadDigest",
        400,
    )
    assert refused(s3.head_object, Bucket=bucket, Key="k") == ("404", 404)


# --- listing


def test_listing_with_delimiter_and_pages(s3: Any, bucket: str) -> None:
    keys = [f"data/{part}/{n}.txt" for part in ("train", "té st", "val") for n in range(7)] + [
        "data/readme",
        "top",
    ]
    for key in keys:
        s3.put_object(Bucket=bucket, Key=key, Body=b"x")
    for operation in ("list_objects", "list_objects_v2"):
        for size in (1, 2, 5, 1000):
            pages = s3.get_paginator(operation).paginate(
                Bucket=bucket, Prefix="data/", Delimiter="/", PaginationConfig={"PageSize": size}
            )
            found: list[str] = []
            for page in pages:
                found += [entry["Key"] for entry in page.get("Contents", [])]
                found += [entry["Prefix"] for entry in page.get("CommonPrefixes", [])]
            assert sorted(found) == ["data/readme", "data/train/", "data/té st/", "data/val/"]
            pages = s3.get_paginator(operation).paginate(Bucket=bucket, PaginationConfig={"PageSize": size})
            assert [entry["Key"] for page in pages for entry in page["Contents"]] == sorted(keys)
    behind = s3.list_objects_v2(Bucket=bucket, StartAfter="data/val/5.txt", MaxKeys=1, FetchOwner=True)
    assert [entry["Key"] for entry in behind["Contents"]] == ["data/val/6.txt"]
    assert (behind["KeyCount"], behind["IsTruncated"]) == (1, True)
    assert behind["Contents"][0]["Owner"]["ID"] == s3.list_buckets()["Owner"]["ID"]
    assert s3.list_objects_v2(Bucket=bucket, MaxKeys=0)["IsTruncated"] is False
    assert refused(s3.list_objects_v2, Bucket=bucket, ContinuationToken="?") == ("InvalidArgument", 400)


def test_versions_show_the_one_there_is(s3: Any, bucket: str) -> None:
    s3.put_object(Bucket=bucket, Key="k", Body=b"x")
    versions = s3.list_object_versions(Bucket=bucket)["Versions"]
    assert [(found["Key"], found["VersionId"], found["IsLatest"]) for found in versions] == [
        ("k", "null", True)
    ]
    assert refused(s3.get_object, Bucket=bucket, Key="k", VersionId="abc") == ("NoSuchVersion", 404)
    named = [{"Key": "k", "VersionId": "null"}]
    s3.delete_objects(Bucket=bucket, Delete={"Objects": named})
    assert "Contents" not in s3.list_objects_v2(Bucket=bucket)


def test_delete_many(s3: Any, bucket: str) -> None:
    for number in range(5):
        s3.put_object(Bucket=bucket, Key=f"k/{number} ü&<", Body=b"x")
    names = [{"Key": f"k/{number} ü&<"} for number in range(4)] + [{"Key": "never was"}]
    deleted = s3.delete_objects(Bucket=bucket, Delete={"Objects": names})
    assert deleted["Deleted"] == names
    assert [entry["Key"] for entry in s3.list_objects_v2(Bucket=bucket)["Contents"]] == ["k/4 ü&<"]
    long = [{"Key": "k" * 1025}, {"Key": "k/4 ü&<"}]
    answer = s3.delete_objects(Bucket=bucket, Delete={"Objects": long, "Quiet": True})
    assert [(found["Key"], found["Code"]) for found in answer["Errors"]] == [("k" * 1025, "KeyTooLongError")]
    assert "Deleted" not in answer
    assert "Contents" not in s3.list_objects_v2(Bucket=bucket)


def test_a_damaged_list_of_deletes_is_refused(shared_server: ServerProcess, s3: Any, bucket: str) -> None:
    s3.put_object(Bucket=bucket, Key="k", Body=b"x")
    damaging = shared_server.client("s3")

    def damage(request: Any, **_: Any) -> None:
        for header in [name for name in request.headers if name.lower().startswith("x-amz-checksum")]:
            del request.headers[header]
            request.headers[header] = "AAAAAA=="

    damaging.meta.events.register("before-sign.s3.DeleteObjects", damage)
    named = {"Objects": [{"Key": "k"}]}
    assert refused(damaging.delete_objects, Bucket=bucket, Delete=named) == ("BadDigest", 400)
    s3.head_object(Bucket=bucket, Key="k")


# --- multipart


def test_transfer_in_parts_with_threads(s3: Any, bucket: str) -> None:
    data = random_bytes(20 * MIB + 12345)
    s3.upload_fileobj(
        io.BytesIO(data), bucket, "big", ExtraArgs={"Metadata": {"a": "b"}, "ContentType": "x/y"}
    )
    head = s3.head_object(Bucket=bucket, Key="big", ChecksumMode="ENABLED")
    parts = [hashlib.md5(data[at : at + 8 * MIB]).digest() for at in range(0, len(data), 8 * MIB)]
    assert head["ETag"] == f'"{hashlib.md5(b"".join(parts)).hexdigest()}-3"'
    assert (head["ContentType"], head["Metadata"], head["ChecksumType"]) == ("x/y", {"a": "b"}, "COMPOSITE")
    assert head["ChecksumCRC32"].endswith("-3")
    target = io.BytesIO()
    s3.download_fileobj(bucket, "big", target, Config=TransferConfig(multipart_chunksize=3 * MIB))
    assert target.getvalue() == data
    assert s3.get_object(Bucket=bucket, Key="big")["Body"].read() == data
    second = s3.get_object(Bucket=bucket, Key="big", PartNumber=2)
    assert (second["PartsCount"], second["Body"].read()) == (3, data[8 * MIB : 16 * MIB])
    assert (
        s3.get_object(Bucket=bucket, Key="big", Range=f"bytes={8 * MIB - 5}-{8 * MIB + 4}")["Body"].read()
        == (data[8 * MIB - 5 : 8 * MIB + 5])
    )


def begin(s3: Any, bucket: str, **given: Any) -> dict[str, Any]:
    upload_id = s3.create_multipart_upload(Bucket=bucket, Key="big", **given)["UploadId"]
    return {"Bucket": bucket, "Key": "big", "UploadId": upload_id}


def test_the_steps_of_an_upload(s3: Any, bucket: str) -> None:
    upload = begin(s3, bucket, ServerSideEncryption="AES256")
    one, two = random_bytes(5 * MIB, 1), random_bytes(100, 2)
    tags = {2: s3.upload_part(**upload, PartNumber=2, Body=two)["ETag"]}
    s3.upload_part(**upload, PartNumber=1, Body=b"replaced")
    tags[1] = s3.upload_part(**upload, PartNumber=1, Body=one)["ETag"]
    s3.upload_part(**upload, PartNumber=7, Body=b"not chosen")
    listed = s3.list_parts(**upload, MaxParts=2)
    assert [(part["PartNumber"], part["Size"]) for part in listed["Parts"]] == [(1, 5 * MIB), (2, 100)]
    assert listed["IsTruncated"] is True
    more = s3.list_parts(**upload, PartNumberMarker=listed["NextPartNumberMarker"])
    assert [part["PartNumber"] for part in more["Parts"]] == [7]
    uploads = s3.list_multipart_uploads(Bucket=bucket)["Uploads"]
    assert [(found["Key"], found["UploadId"]) for found in uploads] == [("big", upload["UploadId"])]
    assert refused(s3.head_object, Bucket=bucket, Key="big") == ("404", 404)
    chosen = {"Parts": [{"PartNumber": number, "ETag": tags[number]} for number in (1, 2)]}
    done = s3.complete_multipart_upload(**upload, MultipartUpload=chosen)
    assert done["Location"].endswith(f"/{bucket}/big")
    assert done["ServerSideEncryption"] == "AES256"
    assert s3.complete_multipart_upload(**upload, MultipartUpload=chosen)["ETag"] == done["ETag"]
    assert s3.get_object(Bucket=bucket, Key="big")["Body"].read() == one + two
    assert "Uploads" not in s3.list_multipart_uploads(Bucket=bucket)
    assert refused(s3.upload_part, **upload, PartNumber=3, Body=b"x") == ("NoSuchUpload", 404)


def test_completions_that_are_refused(s3: Any, bucket: str) -> None:
    upload = begin(s3, bucket)
    one = s3.upload_part(**upload, PartNumber=1, Body=b"small")["ETag"]
    two = s3.upload_part(**upload, PartNumber=2, Body=b"small too")["ETag"]
    part1, part2 = {"PartNumber": 1, "ETag": one}, {"PartNumber": 2, "ETag": two}
    for parts, code in (
        ([part2, part1], "InvalidPartOrder"),
        ([part1, part2], "EntityTooSmall"),
        ([part1, {"PartNumber": 3, "ETag": two}], "InvalidPart"),
        ([{"PartNumber": 1, "ETag": two}], "InvalidPart"),
        ([], "MalformedXML"),
    ):
        given = {"MultipartUpload": {"Parts": parts}}
        assert refused(s3.complete_multipart_upload, **upload, **given) == (code, 400)
    assert refused(s3.upload_part, **upload, PartNumber=10_001, Body=b"x") == ("InvalidArgument", 400)
    s3.abort_multipart_upload(**upload)
    assert refused(s3.abort_multipart_upload, **upload) == ("NoSuchUpload", 404)
    assert refused(s3.list_parts, **upload) == ("NoSuchUpload", 404)


def test_an_upload_may_require_that_the_key_is_new(s3: Any, bucket: str) -> None:
    s3.put_object(Bucket=bucket, Key="big", Body=b"first")
    upload = begin(s3, bucket)
    parts = [{"PartNumber": 1, "ETag": s3.upload_part(**upload, PartNumber=1, Body=b"x")["ETag"]}]
    call, given = s3.complete_multipart_upload, {"MultipartUpload": {"Parts": parts}}
    assert refused(call, **upload, **given, IfNoneMatch="*") == ("PreconditionFailed", 412)
    call(**upload, **given)


@pytest.mark.parametrize("algorithm", ["CRC32", "CRC32C", "CRC64NVME"])
def test_the_checksum_of_the_whole_of_many_parts(s3: Any, bucket: str, algorithm: str) -> None:
    one, two = random_bytes(5 * MIB, 1), random_bytes(999, 2)
    upload = begin(s3, bucket, ChecksumAlgorithm=algorithm, ChecksumType="FULL_OBJECT")
    parts = []
    for number, data in enumerate((one, two), start=1):
        sent = s3.upload_part(**upload, PartNumber=number, Body=data, ChecksumAlgorithm=algorithm)
        member = f"Checksum{algorithm}"
        parts.append({"PartNumber": number, "ETag": sent["ETag"], member: sent[member]})
    done = s3.complete_multipart_upload(
        **upload, MultipartUpload={"Parts": parts}, ChecksumType="FULL_OBJECT"
    )
    single = s3.put_object(Bucket=bucket, Key="single", Body=one + two, ChecksumAlgorithm=algorithm)
    assert done[f"Checksum{algorithm}"] == single[f"Checksum{algorithm}"]
    got = s3.get_object(Bucket=bucket, Key="big", ChecksumMode="ENABLED")
    assert got["Body"].read() == one + two


def test_parts_copied_from_objects(s3: Any, bucket: str) -> None:
    data = random_bytes(6 * MIB)
    s3.put_object(Bucket=bucket, Key="source ü+", Body=data)
    source = {"Bucket": bucket, "Key": "source ü+"}
    upload = begin(s3, bucket)
    ranges = {1: f"bytes=0-{5 * MIB - 1}", 2: f"bytes={5 * MIB}-{6 * MIB - 1}"}
    parts = []
    for number, stretch in ranges.items():
        copied = s3.upload_part_copy(**upload, PartNumber=number, CopySource=source, CopySourceRange=stretch)
        parts.append({"PartNumber": number, "ETag": copied["CopyPartResult"]["ETag"]})
    beyond = f"bytes=0-{6 * MIB}"
    assert refused(
        s3.upload_part_copy, **upload, PartNumber=3, CopySource=source, CopySourceRange=beyond
    ) == (
        "InvalidArgument",
        400,
    )
    s3.complete_multipart_upload(**upload, MultipartUpload={"Parts": parts})
    assert s3.get_object(Bucket=bucket, Key="big")["Body"].read() == data


# --- copies and tags


def test_copies(s3: Any, bucket: str) -> None:
    source = {"Bucket": bucket, "Key": "ü source/+ %"}
    s3.put_object(**source, Body=b"content", ContentType="a/b", Metadata={"m": "1"}, Tagging="t=1")
    copied = s3.copy_object(Bucket=bucket, Key="copy", CopySource=source)
    got = s3.get_object(Bucket=bucket, Key="copy", ChecksumMode="ENABLED")
    assert got["Body"].read() == b"content"
    assert (got["ContentType"], got["Metadata"], got["TagCount"]) == ("a/b", {"m": "1"}, 1)
    assert got["ETag"] == copied["CopyObjectResult"]["ETag"]
    assert "ChecksumCRC32" in got
    s3.copy_object(
        Bucket=bucket, Key="copy", CopySource=source, MetadataDirective="REPLACE", Metadata={"m": "2"},
        TaggingDirective="REPLACE", ChecksumAlgorithm="SHA256",
    )  # fmt: skip
    head = s3.head_object(Bucket=bucket, Key="copy", ChecksumMode="ENABLED")
    assert (head["ContentType"], head["Metadata"]) == ("binary/octet-stream", {"m": "2"})
    assert head["ChecksumSHA256"] == base64.b64encode(hashlib.sha256(b"content").digest()).decode()
    assert s3.get_object_tagging(Bucket=bucket, Key="copy")["TagSet"] == []


def test_copies_that_are_refused(s3: Any, bucket: str) -> None:
    source = {"Bucket": bucket, "Key": "k"}
    etag = s3.put_object(**source, Body=b"x")["ETag"]
    assert refused(s3.copy_object, **source, CopySource=source) == ("InvalidRequest", 400)
    s3.copy_object(**source, CopySource=source, MetadataDirective="REPLACE", Metadata={"now": "this"})
    assert s3.head_object(**source)["Metadata"] == {"now": "this"}
    copy = {"Bucket": bucket, "Key": "copy", "CopySource": source}
    s3.copy_object(**copy, CopySourceIfMatch=etag)
    assert refused(s3.copy_object, **copy, CopySourceIfNoneMatch=etag) == ("PreconditionFailed", 412)
    assert (
        refused(s3.copy_object, **{**copy, "CopySource": {"Bucket": bucket, "Key": "none"}})[0] == "NoSuchKey"
    )
    assert (
        refused(s3.copy_object, **{**copy, "CopySource": {"Bucket": "none-such", "Key": "k"}})[0]
        == "NoSuchBucket"
    )


def test_a_copy_of_many_parts_by_the_transfer_manager(s3: Any, bucket: str) -> None:
    data = random_bytes(11 * MIB)
    s3.upload_fileobj(io.BytesIO(data), bucket, "big")
    config = TransferConfig(multipart_threshold=8 * MIB)
    s3.copy({"Bucket": bucket, "Key": "big"}, bucket, "parts", Config=config)
    s3.copy_object(Bucket=bucket, Key="one", CopySource={"Bucket": bucket, "Key": "big"})
    assert s3.get_object(Bucket=bucket, Key="parts")["Body"].read() == data
    one = s3.get_object(Bucket=bucket, Key="one", ChecksumMode="ENABLED")
    assert one["Body"].read() == data
    assert one["ETag"] == f'"{hashlib.md5(data).hexdigest()}"'


def test_tags(s3: Any, bucket: str) -> None:
    at = {"Bucket": bucket, "Key": "k"}
    s3.put_object(**at, Body=b"x")
    s3.put_object_tagging(**at, Tagging={"TagSet": [{"Key": "a", "Value": "ü &<"}]})
    assert s3.get_object_tagging(**at)["TagSet"] == [{"Key": "a", "Value": "ü &<"}]
    s3.delete_object_tagging(**at)
    assert s3.get_object_tagging(**at)["TagSet"] == []
    many = [{"Key": str(number), "Value": ""} for number in range(11)]
    assert refused(s3.put_object_tagging, **at, Tagging={"TagSet": many}) == ("BadRequest", 400)
    twice = [{"Key": "a", "Value": "1"}, {"Key": "a", "Value": "2"}]
    assert refused(s3.put_object_tagging, **at, Tagging={"TagSet": twice}) == ("InvalidTag", 400)


# --- presigned, and what is not there


def fetch(url: str, data: bytes | None = None) -> tuple[int, bytes]:
    request = urllib.request.Request(url, data=data, method="GET" if data is None else "PUT")
    try:
        with urllib.request.urlopen(request, timeout=30) as response:
            return response.status, response.read()
    except urllib.error.HTTPError as refusal:
        with refusal:
            return refusal.code, refusal.read()


@pytest.mark.parametrize("version", [None, "s3v4"])
def test_presigned_urls(shared_server: ServerProcess, bucket: str, version: str | None) -> None:
    s3 = shared_server.client("s3", config={"signature_version": version} if version else {})
    at = {"Bucket": bucket, "Key": "a/ü +%.txt"}
    put = s3.generate_presigned_url("put_object", Params=at)
    assert ("X-Amz-Signature" in put) == (version == "s3v4")
    assert fetch(put, b"by url")[0] == 200
    shown = {"ResponseContentType": "x/y; z=ü", "ResponseContentDisposition": "inline"}
    for params in (at, at | shown):
        assert fetch(s3.generate_presigned_url("get_object", Params=params)) == (200, b"by url")
    url = s3.generate_presigned_url("get_object", Params=at)
    forged = re.sub("Signature=....", "Signature=0000", url)
    bad = [forged, url.replace("/a/", "/b/")]
    if version is None:
        bad.append(s3.generate_presigned_url("get_object", at, ExpiresIn=-5))
    for url in bad:
        status, body = fetch(url)
        assert status in (400, 403), url
        assert b"by url" not in body
    part = begin(s3, bucket)
    url = s3.generate_presigned_url("upload_part", Params={**part, "PartNumber": 1})
    assert fetch(url, b"part")[0] == 200
    assert [found["Size"] for found in s3.list_parts(**part)["Parts"]] == [4]


def test_a_presigned_url_carries_what_was_signed(s3: Any, bucket: str) -> None:
    at = {"Bucket": bucket, "Key": "k"}
    url = s3.generate_presigned_url("put_object", Params={**at, "ContentType": "a/b", "Metadata": {"m": "1"}})
    request = urllib.request.Request(url, data=b"x", method="PUT", headers={"Content-Type": "a/b"})
    with urllib.request.urlopen(request, timeout=30) as response:
        assert response.status == 200
    head = s3.head_object(**at)
    assert (head["ContentType"], head["Metadata"]) == ("a/b", {"m": "1"})


def test_what_clary_does_not_offer_says_so(s3: Any, bucket: str) -> None:
    on = {"Status": "Enabled"}
    assert refused(s3.put_bucket_versioning, Bucket=bucket, VersioningConfiguration=on) == (
        "NotImplemented",
        501,
    )
    key = os.urandom(32)
    assert refused(
        s3.put_object, Bucket=bucket, Key="k", Body=b"x", ObjectLockMode="GOVERNANCE",
        ObjectLockRetainUntilDate=datetime(2030, 1, 1, tzinfo=UTC), SSECustomerKey=key,
    ) == ("NotImplemented", 501)  # fmt: skip
