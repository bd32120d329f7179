"""Copies inside the object store: whole objects, and stretches of them as parts of an upload."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any
from urllib.parse import unquote

from clary.errors import S3Fault
from clary.objects.base import Meta, Object, Opened, Staged
from clary.services.operations import Context
from clary.services.s3_conditions import check_copy_source, write_condition
from clary.services.s3_content import duplicate
from clary.services.s3_gate import check_key, check_part_number, quoted, require_bucket, s3_operation
from clary.services.s3_meta import given_headers, given_tags, shown_checksums, shown_encryption
from clary.services.s3_multipart import part_algorithms
from clary.services.s3_ranges import copy_stretch
from clary.wire.checksums import ALGORITHMS

_CHANGES_ON_THE_SPOT = ("StorageClass", "WebsiteRedirectLocation", "ServerSideEncryption", "SSEKMSKeyId")


@s3_operation("CopyObject")
def copy_object(context: Context, request: Mapping[str, Any]) -> Mapping[str, Any]:
    """Copy an object within Clary, with its headers and tags unless they are replaced."""
    bucket, key = request["Bucket"], request["Key"]
    require_bucket(context, bucket)
    source = copy_source(request)
    _check_changes_something(request, same=source == (bucket, key))
    condition = write_condition(request)
    with context.objects.open(*source) as opened:
        check_copy_source(request, opened.object)
        staged, etag, checksums = _staged_copy(context, opened, request.get("ChecksumAlgorithm"))
        with staged:
            meta = _copied_meta(request, opened.object.meta, checksums)
            put = context.objects.put(
                bucket, key, staged, etag=etag, modified=context.now(), meta=meta, condition=condition
            )
    return {"CopyObjectResult": _result(put), **shown_encryption(meta)}


@s3_operation("UploadPartCopy")
def upload_part_copy(context: Context, request: Mapping[str, Any]) -> Mapping[str, Any]:
    """Take a stretch of another object for a part of an upload."""
    number = check_part_number(request)
    upload = context.objects.upload(request["Bucket"], request["Key"], request["UploadId"])
    with context.objects.open(*copy_source(request)) as opened, context.objects.stage() as staged:
        check_copy_source(request, opened.object)
        stretch = copy_stretch(request.get("CopySourceRange"), opened.object)
        chunks = opened.chunks(stretch.offset, stretch.length)
        body = duplicate(chunks, staged, also=part_algorithms(upload))
        part = context.objects.put_part(
            upload,
            number,
            staged,
            etag=body.md5_hex,
            modified=context.now(),
            checksums=body.checksums,
        )
    result = {
        "ETag": quoted(part.etag),
        "LastModified": part.modified,
        **shown_checksums(part.checksums),
    }
    return {"CopyPartResult": result, **shown_encryption(upload.meta)}


def copy_source(request: Mapping[str, Any]) -> tuple[str, str]:
    """Bucket and key out of x-amz-copy-source. Raises S3Fault InvalidArgument or NoSuchVersion."""
    path, _, query = request["CopySource"].partition("?")
    bucket, slash, key = unquote(path).removeprefix("/").partition("/")
    if not bucket or not slash or not key:
        raise S3Fault(
            "Copy Source must mention the source bucket and key: sourcebucket/sourcekey",
            code="InvalidArgument",
            extra={"ArgumentName": "x-amz-copy-source", "ArgumentValue": request["CopySource"]},
        )
    version = query.removeprefix("versionId=")
    if version not in ("", "null"):
        raise S3Fault("The specified version does not exist.", code="NoSuchVersion", status=404)
    check_key(key)
    return bucket, key


def _staged_copy(
    context: Context, source: Opened, algorithm: str | None
) -> tuple[Staged, str, Mapping[str, str]]:
    """The content staged again, its ETag and its checksums."""
    found = source.object
    wanted = _algorithms(algorithm, found.meta)
    plain = not found.upload and found.meta.checksum_type == "FULL_OBJECT"
    if plain and wanted <= set(found.meta.checksums):
        return context.objects.stage_copy(source), found.etag, found.meta.checksums
    staged = context.objects.stage()
    try:
        body = duplicate(source.chunks(0, found.size), staged, also=wanted)
    except BaseException:
        staged.__exit__(None, None, None)
        raise
    return staged, body.md5_hex, body.checksums


def _algorithms(asked: str | None, meta: Meta) -> set[str]:
    wanted = {asked.lower()} if asked else set(meta.checksums)
    if not wanted <= ALGORITHMS:
        raise S3Fault(
            "Checksum algorithm provided is unsupported. Please try again with any of the valid types: "
            + ", ".join(sorted(name.upper() for name in ALGORITHMS)),
            code="InvalidRequest",
        )
    return wanted


def _copied_meta(request: Mapping[str, Any], source: Meta, checksums: Mapping[str, str]) -> Meta:
    given = given_headers(request)
    if request.get("MetadataDirective") == "REPLACE":
        headers = given
    else:
        headers = {**source.headers, **{name: given[name] for name in _CHANGES_ON_THE_SPOT if name in given}}
    tags = given_tags(request) if request.get("TaggingDirective") == "REPLACE" else source.tags
    return Meta(headers, tags, checksums)


def _check_changes_something(request: Mapping[str, Any], *, same: bool) -> None:
    replaced = request.get("MetadataDirective") == "REPLACE"
    if same and not replaced and not any(request.get(name) for name in _CHANGES_ON_THE_SPOT):
        raise S3Fault(
            "This copy request is illegal because it is trying to copy an object to itself without changing the "
            "object's metadata, storage class, website redirect location or encryption attributes.",
            code="InvalidRequest",
        )


def _result(put: Object) -> dict[str, Any]:
    return {
        "ETag": quoted(put.etag),
        "LastModified": put.modified,
        **shown_checksums(put.meta.checksums, put.meta.checksum_type),
    }
