"""What travels with an object's content: headers given at upload, tags, checksums; and how answers show them."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from datetime import datetime
from typing import Any
from urllib.parse import parse_qsl

from clary.errors import S3Fault
from clary.objects.base import Meta, Object
from clary.services.s3_gate import epoch_s, quoted
from clary.wire.checksums import ALGORITHMS

MAX_METADATA_BYTES = 2048
MAX_TAGS = 10

_OVERRIDES = (
    "CacheControl",
    "ContentDisposition",
    "ContentEncoding",
    "ContentLanguage",
    "ContentType",
    "Expires",
)
_ENCRYPTION = ("ServerSideEncryption", "SSEKMSKeyId", "BucketKeyEnabled")
_KEPT = (*_OVERRIDES, *_ENCRYPTION, "Metadata", "StorageClass", "WebsiteRedirectLocation")


def given_headers(request: Mapping[str, Any]) -> dict[str, Any]:
    """The members of an upload request that come back with the object. Raises S3Fault MetadataTooLarge."""
    headers = {name: request[name] for name in _KEPT if request.get(name) not in (None, "", {})}
    headers["ContentType"] = headers.get("ContentType", "binary/octet-stream")
    encodings = [token.strip() for token in headers.pop("ContentEncoding", "").split(",")]
    encoding = ",".join(token for token in encodings if token and token != "aws-chunked")
    if encoding:
        headers["ContentEncoding"] = encoding
    if isinstance(headers.get("Expires"), datetime):
        headers["Expires"] = epoch_s(headers["Expires"])
    metadata = headers.get("Metadata", {})
    size = sum(len(name.encode()) + len(value.encode()) for name, value in metadata.items())
    if size > MAX_METADATA_BYTES:
        raise S3Fault(
            "Your metadata headers exceed the maximum allowed metadata size",
            code="MetadataTooLarge",
            extra={"Size": str(size), "MaxSizeAllowed": str(MAX_METADATA_BYTES)},
        )
    return headers


def given_tags(request: Mapping[str, Any]) -> dict[str, str]:
    """The tags in an upload's x-amz-tagging header, a query string. Raises S3Fault InvalidTag or InvalidArgument."""
    return checked_tags(parse_qsl(request.get("Tagging") or "", keep_blank_values=True))


def checked_tags(pairs: Iterable[tuple[str, str]]) -> dict[str, str]:
    tags: dict[str, str] = {}
    for key, value in pairs:
        if key in tags:
            raise S3Fault(
                "Cannot provide multiple Tags with the same key", code="InvalidTag", extra={"TagKey": key}
            )
        if not 1 <= len(key) <= 128:
            raise S3Fault("The TagKey you have provided is invalid", code="InvalidTag", extra={"TagKey": key})
        if len(value) > 256:
            raise S3Fault(
                "The TagValue you have provided is invalid", code="InvalidTag", extra={"TagKey": key}
            )
        tags[key] = value
    if len(tags) > MAX_TAGS:
        raise S3Fault(f"Object tags cannot be greater than {MAX_TAGS}", code="BadRequest")
    return tags


def shown_checksums(checksums: Mapping[str, str], kind: str | None = None) -> dict[str, str]:
    """Checksums by the names of the model's members (ChecksumCRC32, ...), with ChecksumType when there are any."""
    shown = {member(algorithm): value for algorithm, value in checksums.items()}
    return {**shown, "ChecksumType": kind} if shown and kind else shown


def sent_checksums(document: Mapping[str, Any]) -> dict[str, str]:
    """The Checksum* members of a part or of a request by algorithm."""
    return {name: document[member(name)] for name in sorted(ALGORITHMS) if document.get(member(name))}


def member(algorithm: str) -> str:
    return f"Checksum{algorithm.upper()}"


def shown_encryption(meta: Meta) -> dict[str, Any]:
    return {name: meta.headers[name] for name in _ENCRYPTION if name in meta.headers}


def shown_object(found: Object, request: Mapping[str, Any]) -> dict[str, Any]:
    """The members that GetObject and HeadObject have in common, but for those that depend on the range."""
    shown: dict[str, Any] = {
        **found.meta.headers,
        "ETag": quoted(found.etag),
        "LastModified": found.modified,
        "AcceptRanges": "bytes",
        "Metadata": found.meta.headers.get("Metadata", {}),
    }
    if shown.get("StorageClass") == "STANDARD":
        del shown["StorageClass"]
    if found.meta.tags:
        shown["TagCount"] = len(found.meta.tags)
    for name in _OVERRIDES:
        override = request.get(f"Response{name}")
        if override is not None:
            shown[name] = override
    return shown
