"""Multipart uploads."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from itertools import pairwise
from typing import Any
from urllib.parse import quote

from clary.errors import S3Fault
from clary.objects.base import Assembly, Meta, NoSuchKey, NoSuchUpload, Object, Part, Upload
from clary.services.operations import Context
from clary.services.s3_conditions import write_condition
from clary.services.s3_content import receive
from clary.services.s3_gate import check_part_number, quoted, require_bucket, s3_operation
from clary.services.s3_meta import (
    given_headers,
    given_tags,
    member,
    sent_checksums,
    shown_checksums,
    shown_encryption,
)
from clary.wire.checksums import ALGORITHMS, composite, full_object, multipart_etag

MIN_PART_BYTES = 5 << 20
_COMBINABLE = frozenset({"crc32", "crc32c", "crc64nvme"})


@s3_operation("CreateMultipartUpload")
def create_multipart_upload(context: Context, request: Mapping[str, Any]) -> Mapping[str, Any]:
    """Begin an upload in parts."""
    require_bucket(context, request["Bucket"])
    algorithm = (request.get("ChecksumAlgorithm") or "").lower()
    kind = _checksum_type(algorithm, request.get("ChecksumType"))
    meta = Meta(given_headers(request), given_tags(request), {}, kind)
    upload = Upload(context.new_id(48), request["Bucket"], request["Key"], context.now(), meta, algorithm)
    context.objects.create_upload(upload)
    answer = {"Bucket": upload.bucket, "Key": upload.key, "UploadId": upload.id, **shown_encryption(meta)}
    return answer | _shown_algorithm(upload)


@s3_operation("UploadPart")
def upload_part(context: Context, request: Mapping[str, Any]) -> Mapping[str, Any]:
    """Store a part of an upload, checked as PutObject's content is."""
    number = check_part_number(request)
    upload = context.objects.upload(request["Bucket"], request["Key"], request["UploadId"])
    with context.objects.stage() as staged:
        body = receive(request, context.request.headers, staged, also=part_algorithms(upload))
        _check_algorithm(upload, body.checksums)
        part = context.objects.put_part(
            upload,
            number,
            staged,
            etag=body.md5_hex,
            modified=context.now(),
            checksums=body.checksums,
        )
    return {
        "ETag": quoted(part.etag),
        **shown_checksums(part.checksums),
        **shown_encryption(upload.meta),
    }


@s3_operation("CompleteMultipartUpload")
def complete_multipart_upload(context: Context, request: Mapping[str, Any]) -> Mapping[str, Any]:
    """Make the object of the parts named; asked again after a lost answer, the answer is the same."""
    bucket, key = request["Bucket"], request["Key"]
    try:
        upload = context.objects.upload(bucket, key, request["UploadId"])
    except NoSuchUpload:
        # A client that lost the answer asks again: the object that came of this upload is the answer.
        done = _completed_before(context, request)
        if done is None:
            raise
        return _completed(context, done)
    done = context.objects.complete_upload(
        upload, _assembler(upload, request), modified=context.now(), condition=write_condition(request)
    )
    return _completed(context, done)


@s3_operation("AbortMultipartUpload")
def abort_multipart_upload(context: Context, request: Mapping[str, Any]) -> Mapping[str, Any]:
    """Forget an upload and its parts."""
    upload = context.objects.upload(request["Bucket"], request["Key"], request["UploadId"])
    context.objects.abort_upload(upload)
    return {}


def part_algorithms(upload: Upload) -> tuple[str, ...]:
    return (upload.algorithm,) if upload.algorithm else ()


def _checksum_type(algorithm: str, asked: str | None) -> str:
    if algorithm and algorithm not in ALGORITHMS:
        raise S3Fault(
            f"Checksum algorithm {algorithm.upper()} is not supported. Use one of "
            + ", ".join(sorted(name.upper() for name in ALGORITHMS)),
            code="InvalidRequest",
        )
    if asked and not algorithm:
        raise S3Fault(
            "The x-amz-checksum-type header can only be used with the x-amz-checksum-algorithm header.",
            code="InvalidRequest",
        )
    kind = asked or ("FULL_OBJECT" if algorithm == "crc64nvme" else "COMPOSITE")
    impossible = algorithm not in _COMBINABLE if kind == "FULL_OBJECT" else algorithm == "crc64nvme"
    if algorithm and impossible:
        raise S3Fault(
            f"The {kind} checksum type cannot be used with the {algorithm} checksum algorithm.",
            code="InvalidRequest",
        )
    return kind


def _shown_algorithm(upload: Upload) -> dict[str, Any]:
    if not upload.algorithm:
        return {}
    return {"ChecksumAlgorithm": upload.algorithm.upper(), "ChecksumType": upload.meta.checksum_type}


def _check_algorithm(upload: Upload, checksums: Mapping[str, str]) -> None:
    other = set(checksums) - {upload.algorithm}
    if upload.algorithm and other:
        raise S3Fault(
            f"Checksum Type mismatch occurred, expected checksum Type: {upload.algorithm}, "
            f"actual checksum Type: {other.pop()}",
            code="InvalidRequest",
        )


def _assembler(upload: Upload, request: Mapping[str, Any]) -> Callable[[Sequence[Part]], Assembly]:
    asked = (request.get("MultipartUpload") or {}).get("Parts") or []
    if not asked or any("PartNumber" not in entry or not entry.get("ETag") for entry in asked):
        raise S3Fault(
            "The XML you provided was not well-formed or did not validate against our published schema: "
            "give each part's PartNumber and ETag.",
            code="MalformedXML",
        )
    numbers = [entry["PartNumber"] for entry in asked]
    if any(later <= earlier for earlier, later in pairwise(numbers)):
        raise S3Fault(
            "The list of parts was not in ascending order. The parts list must be specified in order by part number.",
            code="InvalidPartOrder",
        )

    def assemble(parts: Sequence[Part]) -> Assembly:
        stored = {part.number: part for part in parts}
        chosen = [_chosen(stored.get(entry["PartNumber"]), entry, upload) for entry in asked]
        _check_sizes(chosen, request.get("MpuObjectSize"))
        checksums = _object_checksums(upload, chosen)
        _check_whole(request, checksums)
        meta = Meta(upload.meta.headers, upload.meta.tags, checksums, upload.meta.checksum_type)
        return Assembly(chosen, multipart_etag([part.etag for part in chosen]), meta)

    return assemble


def _chosen(part: Part | None, entry: Mapping[str, Any], upload: Upload) -> Part:
    etag = entry["ETag"].strip().strip('"')
    sent = sent_checksums(entry)
    if (
        part is None
        or part.etag != etag
        or any(part.checksums.get(name, sent[name]) != sent[name] for name in sent)
    ):
        raise S3Fault(
            "One or more of the specified parts could not be found. The part may not have been uploaded, or the "
            "specified entity tag may not match the part's entity tag.",
            code="InvalidPart",
            extra={"UploadId": upload.id, "PartNumber": str(entry["PartNumber"]), "ETag": etag},
        )
    return part


def _check_sizes(parts: Sequence[Part], announced: int | None) -> None:
    for part in parts[:-1]:
        if part.size < MIN_PART_BYTES:
            raise S3Fault(
                "Your proposed upload is smaller than the minimum allowed size: only the last part may have less "
                f"than {MIN_PART_BYTES} bytes.",
                code="EntityTooSmall",
                extra={
                    "ProposedSize": str(part.size),
                    "MinSizeAllowed": str(MIN_PART_BYTES),
                    "PartNumber": str(part.number),
                    "ETag": part.etag,
                },
            )
    size = sum(part.size for part in parts)
    if announced is not None and announced != size:
        raise S3Fault(
            f"The provided x-amz-mp-object-size header value {announced} does not match what was computed: {size}",
            code="InvalidRequest",
        )


def _object_checksums(upload: Upload, parts: Sequence[Part]) -> dict[str, str]:
    name = upload.algorithm
    if not name:
        return {}
    if upload.meta.checksum_type == "FULL_OBJECT":
        return {name: full_object(name, [(part.checksums[name], part.size) for part in parts])}
    return {name: composite(name, [part.checksums[name] for part in parts])}


def _check_whole(request: Mapping[str, Any], checksums: Mapping[str, str]) -> None:
    for name, value in sent_checksums(request).items():
        # of a composite checksum clients send the part before the dash, or all of it
        if name in checksums and value not in (checksums[name], checksums[name].partition("-")[0]):
            raise S3Fault(
                f"The {name.upper()} you specified did not match the calculated checksum.",
                code="BadDigest",
                extra={member(name): checksums[name]},
            )


def _completed_before(context: Context, request: Mapping[str, Any]) -> Object | None:
    try:
        found = context.objects.head(request["Bucket"], request["Key"])
    except NoSuchKey:
        return None
    return found if found.upload == request["UploadId"] else None


def _completed(context: Context, done: Object) -> dict[str, Any]:
    scheme = "https" if context.request.secure else "http"
    host = context.request.headers.get("host", "localhost")
    return {
        "Location": f"{scheme}://{host}/{done.bucket}/{quote(done.key)}",
        "Bucket": done.bucket,
        "Key": done.key,
        "ETag": quoted(done.etag),
        **shown_checksums(done.meta.checksums, done.meta.checksum_type),
        **shown_encryption(done.meta),
    }
