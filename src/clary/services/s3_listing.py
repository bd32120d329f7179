"""Listings: of objects in three dialects, of uploads under way and of their parts."""

from __future__ import annotations

import base64
import binascii
from collections.abc import Callable, Mapping
from typing import Any
from urllib.parse import quote

from clary.errors import S3Fault
from clary.objects.base import Entry, Listing, Upload
from clary.services.operations import Context
from clary.services.s3_gate import owner, quoted, s3_operation
from clary.services.s3_meta import shown_checksums

MAX_KEYS = 1000


@s3_operation("ListObjectsV2")
def list_objects_v2(context: Context, request: Mapping[str, Any]) -> Mapping[str, Any]:
    """Objects by key, with a token."""
    token, start = request.get("ContinuationToken"), request.get("StartAfter") or ""
    after = _from_token(token) if token else start
    listing, limit = _listed(context, request, after)
    encode = _encoder(request)
    shown = [_entry(entry, encode) for entry in listing.entries]
    if request.get("FetchOwner"):
        shown = [{**entry, "Owner": owner(context)} for entry in shown]
    answer = {
        **_echoed(request, encode),
        **_groups(listing, encode),
        "Name": request["Bucket"],
        "MaxKeys": limit,
        "KeyCount": len(listing.entries) + len(listing.prefixes),
        "IsTruncated": listing.next is not None,
        "Contents": shown,
    }
    if start:
        answer["StartAfter"] = encode(start)
    if token:
        answer["ContinuationToken"] = token
    if listing.next is not None:
        answer["NextContinuationToken"] = _to_token(listing.next)
    return answer


@s3_operation("ListObjects")
def list_objects(context: Context, request: Mapping[str, Any]) -> Mapping[str, Any]:
    """Objects by key in the older dialect, with a marker."""
    marker = request.get("Marker") or ""
    listing, limit = _listed(context, request, marker)
    encode = _encoder(request)
    answer = {
        **_echoed(request, encode),
        **_groups(listing, encode),
        "Name": request["Bucket"],
        "Marker": encode(marker),
        "MaxKeys": limit,
        "IsTruncated": listing.next is not None,
        "Contents": [{**_entry(entry, encode), "Owner": owner(context)} for entry in listing.entries],
    }
    # without a delimiter the last key is the next marker, and S3 leaves it out
    if listing.next is not None and request.get("Delimiter"):
        answer["NextMarker"] = encode(listing.next)
    return answer


@s3_operation("ListObjectVersions")
def list_object_versions(context: Context, request: Mapping[str, Any]) -> Mapping[str, Any]:
    """Every object has one version, named null."""
    marker = request.get("KeyMarker") or ""
    listing, limit = _listed(context, request, marker)
    encode = _encoder(request)
    version = {"VersionId": "null", "IsLatest": True, "Owner": owner(context)}
    answer = {
        **_echoed(request, encode),
        **_groups(listing, encode),
        "Name": request["Bucket"],
        "KeyMarker": encode(marker),
        "MaxKeys": limit,
        "IsTruncated": listing.next is not None,
        "Versions": [{**_entry(entry, encode), **version} for entry in listing.entries],
    }
    if listing.next is not None:
        answer |= {"NextKeyMarker": encode(listing.next), "NextVersionIdMarker": "null"}
    return answer


@s3_operation("ListMultipartUploads")
def list_multipart_uploads(context: Context, request: Mapping[str, Any]) -> Mapping[str, Any]:
    """Uploads under way, by key and then by age."""
    prefix, delimiter = request.get("Prefix") or "", request.get("Delimiter") or ""
    key_marker, id_marker = request.get("KeyMarker") or "", request.get("UploadIdMarker") or ""
    limit = _limit(request, "MaxUploads")
    encode = _encoder(request)
    found = _behind(context.objects.uploads(request["Bucket"], prefix=prefix), key_marker, id_marker)
    shown: list[Upload] = []
    groups: dict[str, None] = {}
    last: Upload | None = None
    truncated = False
    for upload in found:
        at = upload.key.find(delimiter, len(prefix)) if delimiter else -1
        group = upload.key[: at + len(delimiter)] if at >= 0 else None
        if group is not None and (group in groups or key_marker.startswith(group)):
            last = upload
            continue
        if len(shown) + len(groups) == limit:
            truncated = limit > 0
            break
        last = upload
        if group is None:
            shown.append(upload)
        else:
            groups[group] = None
    answer: dict[str, Any] = {
        **_echoed(request, encode),
        "Bucket": request["Bucket"],
        "KeyMarker": encode(key_marker),
        "UploadIdMarker": id_marker,
        "MaxUploads": limit,
        "IsTruncated": truncated,
        "Uploads": [_upload(context, upload, encode) for upload in shown],
        "CommonPrefixes": [{"Prefix": encode(group)} for group in groups],
    }
    if truncated and last is not None:
        answer |= {"NextKeyMarker": encode(last.key), "NextUploadIdMarker": last.id}
    return answer


@s3_operation("ListParts")
def list_parts(context: Context, request: Mapping[str, Any]) -> Mapping[str, Any]:
    """The parts of an upload that have arrived."""
    upload = context.objects.upload(request["Bucket"], request["Key"], request["UploadId"])
    marker, limit = int(request.get("PartNumberMarker") or 0), _limit(request, "MaxParts")
    behind = [part for part in context.objects.parts(upload) if part.number > marker]
    shown = behind[:limit]
    answer: dict[str, Any] = {
        "Bucket": upload.bucket,
        "Key": upload.key,
        "UploadId": upload.id,
        "PartNumberMarker": marker,
        "NextPartNumberMarker": shown[-1].number if shown else 0,
        "MaxParts": limit,
        "IsTruncated": 0 < limit < len(behind),
        "Initiator": owner(context),
        "Owner": owner(context),
        "StorageClass": upload.meta.headers.get("StorageClass", "STANDARD"),
        "Parts": [
            {
                "PartNumber": part.number,
                "LastModified": part.modified,
                "ETag": quoted(part.etag),
                "Size": part.size,
                **shown_checksums(part.checksums),
            }
            for part in shown
        ],
    }
    if upload.algorithm:
        answer |= {"ChecksumAlgorithm": upload.algorithm.upper(), "ChecksumType": upload.meta.checksum_type}
    return answer


def _listed(context: Context, request: Mapping[str, Any], after: str) -> tuple[Listing, int]:
    limit = _limit(request, "MaxKeys")
    listing = context.objects.list(
        request["Bucket"],
        prefix=request.get("Prefix") or "",
        delimiter=request.get("Delimiter") or "",
        after=after,
        limit=limit,
    )
    return listing, limit


def _limit(request: Mapping[str, Any], member: str) -> int:
    limit = int(request.get(member, MAX_KEYS))
    if limit < 0:
        raise S3Fault(
            f"Argument {member} must be an integer between 0 and 2147483647",
            code="InvalidArgument",
            extra={"ArgumentName": member, "ArgumentValue": str(limit)},
        )
    return min(limit, MAX_KEYS)


def _encoder(request: Mapping[str, Any]) -> Callable[[str], str]:
    kind = request.get("EncodingType")
    if kind and kind != "url":
        raise S3Fault(
            "Invalid Encoding Method specified in Request: give url or leave it out.",
            code="InvalidArgument",
            extra={"ArgumentName": "encoding-type", "ArgumentValue": kind},
        )
    return _percent_encoded if kind else str


def _percent_encoded(text: str) -> str:
    return quote(text, safe="/*")


def _echoed(request: Mapping[str, Any], encode: Callable[[str], str]) -> dict[str, Any]:
    answer = {"Prefix": encode(request.get("Prefix") or "")}
    if request.get("Delimiter"):
        answer["Delimiter"] = encode(request["Delimiter"])
    if request.get("EncodingType"):
        answer["EncodingType"] = request["EncodingType"]
    return answer


def _groups(listing: Listing, encode: Callable[[str], str]) -> dict[str, Any]:
    return {"CommonPrefixes": [{"Prefix": encode(prefix)} for prefix in listing.prefixes]}


def _entry(entry: Entry, encode: Callable[[str], str]) -> dict[str, Any]:
    return {
        "Key": encode(entry.key),
        "LastModified": entry.modified,
        "ETag": quoted(entry.etag),
        "Size": entry.size,
        "StorageClass": "STANDARD",
    }


def _upload(context: Context, upload: Upload, encode: Callable[[str], str]) -> dict[str, Any]:
    shown = {
        "UploadId": upload.id,
        "Key": encode(upload.key),
        "Initiated": upload.created,
        "StorageClass": upload.meta.headers.get("StorageClass", "STANDARD"),
        "Owner": owner(context),
        "Initiator": owner(context),
    }
    if upload.algorithm:
        shown |= {"ChecksumAlgorithm": upload.algorithm.upper(), "ChecksumType": upload.meta.checksum_type}
    return shown


def _behind(uploads: Any, key_marker: str, id_marker: str) -> list[Upload]:
    """The uploads that come after the markers: those of later keys, and those of the key after that upload."""
    marker = key_marker.encode()
    same = [upload for upload in uploads if upload.key == key_marker]
    ids = [upload.id for upload in same]
    rest = same[ids.index(id_marker) + 1 :] if id_marker in ids else []
    return rest + [upload for upload in uploads if upload.key.encode() > marker]


def _to_token(key: str) -> str:
    return base64.urlsafe_b64encode(key.encode()).decode("ascii")


def _from_token(token: str) -> str:
    try:
        return base64.b64decode(token, altchars=b"-_", validate=True).decode()
    except (binascii.Error, ValueError):
        raise S3Fault(
            "The continuation token provided is incorrect",
            code="InvalidArgument",
            extra={"ArgumentName": "continuation-token"},
        ) from None
