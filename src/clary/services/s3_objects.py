"""Putting, getting and deleting objects."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from clary.errors import ClientFault, S3Fault
from clary.objects.base import Condition, Meta, NoSuchKey, Object, unconditional
from clary.services.operations import Context, Reply
from clary.services.s3_conditions import is_unmodified, refuse, write_condition
from clary.services.s3_content import receive
from clary.services.s3_gate import check_key, epoch_s, quoted, require_bucket, s3_operation
from clary.services.s3_meta import (
    given_headers,
    given_tags,
    shown_checksums,
    shown_encryption,
    shown_object,
)
from clary.services.s3_ranges import Stretch, asked_stretch

MAX_DELETES = 1000


@s3_operation("PutObject")
def put_object(context: Context, request: Mapping[str, Any]) -> Mapping[str, Any]:
    """Store an object, checked against the digests sent with it; on disk before the answer."""
    bucket, key = request["Bucket"], request["Key"]
    require_bucket(context, bucket)
    headers, tags, condition = given_headers(request), given_tags(request), write_condition(request)
    refuse_early(context, bucket, key, condition)
    with context.objects.stage() as staged:
        body = receive(request, context.request.headers, staged)
        meta = Meta(headers, tags, body.checksums)
        put = context.objects.put(
            bucket,
            key,
            staged,
            etag=body.md5_hex,
            modified=context.now(),
            meta=meta,
            condition=condition,
        )
    return {
        "ETag": quoted(put.etag),
        **shown_checksums(meta.checksums, meta.checksum_type),
        **shown_encryption(meta),
    }


def refuse_early(context: Context, bucket: str, key: str, condition: Condition) -> None:
    """Ask a write's condition before its content is read; the store asks again when it counts."""
    if condition is unconditional:
        return
    try:
        current = context.objects.head(bucket, key)
    except NoSuchKey:
        condition(None)
    else:
        condition(current)


@s3_operation("GetObject")
def get_object(context: Context, request: Mapping[str, Any]) -> Mapping[str, Any] | Reply:
    """An object's content, or a range or a part of it, on conditions."""
    with context.objects.open(request["Bucket"], request["Key"]) as opened:
        found = opened.object
        if is_unmodified(request, found):
            return _unmodified(found)
        stretch = asked_stretch(request, found)
        answer = _described(found, stretch, request)
        return Reply(
            {**answer, "Body": opened.body(stretch.offset, stretch.length)},
            status=206 if stretch.partial else None,
        )


@s3_operation("HeadObject")
def head_object(context: Context, request: Mapping[str, Any]) -> Mapping[str, Any] | Reply:
    """All that GetObject tells, but the content."""
    found = context.objects.head(request["Bucket"], request["Key"])
    if is_unmodified(request, found):
        return _unmodified(found)
    stretch = asked_stretch(request, found)
    return Reply(_described(found, stretch, request), status=206 if stretch.partial else None)


@s3_operation("DeleteObject")
def delete_object(context: Context, request: Mapping[str, Any]) -> Mapping[str, Any]:
    """Delete an object; one that is not there is no fault."""
    context.objects.delete(request["Bucket"], request["Key"], condition=_delete_condition(request))
    return {}


@s3_operation("DeleteObjects")
def delete_objects(context: Context, request: Mapping[str, Any]) -> Mapping[str, Any]:
    """Delete up to 1,000 objects; each is told for itself."""
    asked = request["Delete"].get("Objects") or []
    if not 1 <= len(asked) <= MAX_DELETES:
        raise S3Fault(
            f"The XML you provided was not well-formed: name 1 to {MAX_DELETES} objects to delete.",
            code="MalformedXML",
        )
    require_bucket(context, request["Bucket"])
    failed = _delete_each(context, request["Bucket"], asked)
    answer: dict[str, Any] = {}
    if not request["Delete"].get("Quiet"):
        answer["Deleted"] = [
            {name: entry[name] for name in ("Key", "VersionId") if entry.get(name)}
            for number, entry in enumerate(asked)
            if number not in failed
        ]
    if failed:
        answer["Errors"] = [
            {"Key": asked[number]["Key"], "Code": fault.code, "Message": fault.message}
            for number, fault in failed.items()
        ]
    return answer


@s3_operation("GetObjectAttributes")
def get_object_attributes(context: Context, request: Mapping[str, Any]) -> Mapping[str, Any]:
    """Size, ETag, checksum, storage class and number of parts of an object."""
    found = context.objects.head(request["Bucket"], request["Key"])
    every: dict[str, Any] = {
        "ETag": found.etag,
        "StorageClass": found.meta.headers.get("StorageClass", "STANDARD"),
        "ObjectSize": found.size,
    }
    if found.meta.checksums:
        every["Checksum"] = shown_checksums(found.meta.checksums, found.meta.checksum_type)
    if found.upload:
        every["ObjectParts"] = {"TotalPartsCount": len(found.segments)}
    asked = request.get("ObjectAttributes") or []
    return {"LastModified": found.modified, **{name: every[name] for name in asked if name in every}}


def _described(found: Object, stretch: Stretch, request: Mapping[str, Any]) -> dict[str, Any]:
    shown = {**shown_object(found, request), "ContentLength": stretch.length}
    if stretch.partial:
        shown["ContentRange"] = stretch.content_range(found.size)
    elif request.get("ChecksumMode") == "ENABLED":
        shown |= shown_checksums(found.meta.checksums, found.meta.checksum_type)
    if stretch.parts is not None:
        shown["PartsCount"] = stretch.parts
    return shown


def _unmodified(found: Object) -> Reply:
    return Reply({"ETag": quoted(found.etag), "LastModified": found.modified}, status=304)


def _delete_each(context: Context, bucket: str, asked: Sequence[Mapping[str, Any]]) -> dict[int, ClientFault]:
    """Delete what may be deleted; the faults of the others by their place in the list."""
    failed: dict[int, ClientFault] = {}
    plain: list[str] = []
    for number, entry in enumerate(asked):
        try:
            if entry.get("VersionId", "null") not in ("", "null"):
                raise S3Fault("The specified version does not exist.", code="NoSuchVersion", status=404)
            check_key(entry["Key"])
            condition = _delete_condition(
                {
                    "IfMatch": entry.get("ETag"),
                    "IfMatchSize": entry.get("Size"),
                    "IfMatchLastModifiedTime": entry.get("LastModifiedTime"),
                }
            )
            if condition is unconditional:
                plain.append(entry["Key"])
            else:
                context.objects.delete(bucket, entry["Key"], condition=condition)
        except ClientFault as fault:
            failed[number] = fault
    context.objects.delete_many(bucket, plain)
    return failed


def _delete_condition(request: Mapping[str, Any]) -> Condition:
    etag, size, modified = (request.get(f"IfMatch{what}") for what in ("", "Size", "LastModifiedTime"))
    if etag is None and size is None and modified is None:
        return unconditional
    by_etag = write_condition({"IfMatch": etag})

    def condition(current: Object | None) -> None:
        if current is None:
            return
        by_etag(current)
        if size is not None and current.size != size:
            refuse("x-amz-if-match-size")
        if modified is not None and int(current.modified) != int(epoch_s(modified)):
            refuse("x-amz-if-match-last-modified-time")

    return condition
