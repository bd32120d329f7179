"""What travels with an object."""

from __future__ import annotations

from datetime import UTC, datetime

import pytest

from clary.errors import S3Fault
from clary.objects.base import Meta, Object, Segment
from clary.services.s3_meta import (
    checked_tags,
    given_headers,
    given_tags,
    sent_checksums,
    shown_checksums,
    shown_object,
)


def test_given_headers() -> None:
    assert given_headers({"Key": "k", "ACL": "private"}) == {"ContentType": "binary/octet-stream"}
    given = given_headers(
        {
            "ContentType": "a/b",
            "Metadata": {"m": "1"},
            "Expires": datetime.fromtimestamp(5, UTC),
            "CacheControl": "",
        }
    )
    assert given == {"ContentType": "a/b", "Metadata": {"m": "1"}, "Expires": 5.0}


@pytest.mark.parametrize(
    ("sent", "kept"),
    [("aws-chunked", None), ("gzip,aws-chunked", "gzip"), ("aws-chunked, gzip", "gzip"), ("a, b", "a,b")],
)
def test_the_encoding_of_the_transfer_is_not_kept(sent: str, kept: str | None) -> None:
    assert given_headers({"ContentEncoding": sent}).get("ContentEncoding") == kept


def test_too_much_metadata() -> None:
    given_headers({"Metadata": {"m": "x" * 2047}})
    with pytest.raises(S3Fault) as caught:
        given_headers({"Metadata": {"m": "x" * 2048}})
    assert caught.value.code == "MetadataTooLarge"


def test_tags() -> None:
    assert given_tags({}) == {}
    assert given_tags({"Tagging": "a=1&b=%C3%BC+x&c="}) == {"a": "1", "b": "ü x", "c": ""}
    for pairs, code in (
        ([("a", "1"), ("a", "2")], "InvalidTag"),
        ([("", "1")], "InvalidTag"),
        ([("k" * 129, "1")], "InvalidTag"),
        ([("k", "v" * 257)], "InvalidTag"),
        ([(str(n), "") for n in range(11)], "BadRequest"),
    ):
        with pytest.raises(S3Fault) as caught:
            checked_tags(pairs)
        assert caught.value.code == code


def test_checksums_by_the_names_of_the_model() -> None:
    assert shown_checksums({"crc32": "x"}, "COMPOSITE") == {"ChecksumCRC32": "x", "ChecksumType": "COMPOSITE"}
    assert shown_checksums({"crc64nvme": "x"}) == {"ChecksumCRC64NVME": "x"}
    assert shown_checksums({}, "FULL_OBJECT") == {}
    assert sent_checksums({"ChecksumSHA256": "y", "ETag": "e", "ChecksumCRC32": ""}) == {"sha256": "y"}


def test_a_shown_object() -> None:
    meta = Meta({"ContentType": "a/b", "StorageClass": "STANDARD"}, {"t": "1"})
    found = Object("b", "k", 1, "abc", 7.5, meta, (Segment("x", 1),))
    assert shown_object(found, {"ResponseContentType": "c/d", "ResponseExpires": 9.0}) == {
        "ContentType": "c/d",
        "Expires": 9.0,
        "ETag": '"abc"',
        "LastModified": 7.5,
        "AcceptRanges": "bytes",
        "Metadata": {},
        "TagCount": 1,
    }
