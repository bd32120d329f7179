"""Values into REST responses: headers and payload, by shape."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from email.header import Header
from typing import Any

from botocore.model import ListShape, OperationModel, Shape, StructureShape

from clary.wire.encode_json import check_members, dump_json, structure_data
from clary.wire.encode_xml import DECLARATION, S3_NAMESPACE, escape, write_document
from clary.wire.event_stream import MEDIA_TYPE, EncodedEvents
from clary.wire.http import FileBody
from clary.wire.scalars import format_scalar

_ROOTS = {
    # The names S3 gives its documents where they do not follow from the published shapes.
    "ListBuckets": "ListAllMyBucketsResult",
    "ListObjects": "ListBucketResult",
    "ListObjectsV2": "ListBucketResult",
    "ListObjectVersions": "ListVersionsResult",
    "ListParts": "ListPartsResult",
    "ListMultipartUploads": "ListMultipartUploadsResult",
    "CreateMultipartUpload": "InitiateMultipartUploadResult",
    "CompleteMultipartUpload": "CompleteMultipartUploadResult",
    "DeleteObjects": "DeleteResult",
    "GetObjectTagging": "Tagging",
    "GetBucketTagging": "Tagging",
    "GetObjectAttributes": "GetObjectAttributesResponse",
    "GetBucketVersioning": "VersioningConfiguration",
    "GetBucketAcl": "AccessControlPolicy",
    "GetObjectAcl": "AccessControlPolicy",
}

_CONTROL = re.compile(r"[\x00-\x1f\x7f]+")

_Payload = bytes | FileBody | Iterable[bytes]


def write_rest(
    operation: OperationModel, result: Mapping[str, Any], *, xml: bool
) -> tuple[list[tuple[str, str]], _Payload]:
    """The headers and body of a REST response. Raises InternalFailure for a member the shape does not have."""
    shape = operation.output_shape
    if shape is None:
        return [], b""
    check_members(result, shape)
    headers = _headers(result, shape)
    media, body = _payload(operation, result, shape, xml=xml)
    if media and not any(name.lower() == "content-type" for name, _ in headers):
        headers.append(("Content-Type", media))
    return headers, body


def _headers(result: Mapping[str, Any], shape: StructureShape) -> list[tuple[str, str]]:
    found = []
    for name, member in shape.members.items():
        value = result.get(name)
        location = member.serialization.get("location")
        written = member.serialization.get("name", name)
        if value is None:
            continue
        if location == "header":
            found.append((written, header_text(_header_value(value, member))))
        elif location == "headers":
            found.extend((written + key, _metadata_text(str(item))) for key, item in value.items())
    return found


def _header_value(value: Any, shape: Shape) -> str:
    if isinstance(shape, ListShape):
        return ",".join(format_scalar(item, shape.member, "rfc822") for item in value)
    return format_scalar(value, shape, "rfc822")


def header_text(text: str) -> str:
    """Text that cannot break out of its header: control characters become a space, UTF-8 travels as its bytes."""
    clean = _CONTROL.sub(" ", text)
    return clean if clean.isascii() else clean.encode("utf-8", "replace").decode("latin-1")


def _metadata_text(text: str) -> str:
    # S3 gives metadata beyond ASCII back in RFC 2047 form.
    return header_text(text) if text.isascii() else Header(text, "utf-8", maxlinelen=10**6).encode()


def _payload(
    operation: OperationModel, result: Mapping[str, Any], shape: StructureShape, *, xml: bool
) -> tuple[str, _Payload]:
    name = shape.serialization.get("payload")
    if name is not None:
        return _payload_member(name, result.get(name), shape.members[name], xml=xml)
    body_members = {key: m for key, m in shape.members.items() if "location" not in m.serialization}
    if not body_members:
        return "", b""
    if not xml:
        data = structure_data(result, shape)
        located = {
            m.serialization.get("name", key)
            for key, m in shape.members.items()
            if "location" in m.serialization
        }
        return "application/json", dump_json(
            {key: value for key, value in data.items() if key not in located}
        )
    if operation.name == "GetBucketLocation":
        return "application/xml", _location(result.get("LocationConstraint"))
    root = _ROOTS.get(operation.name, shape.name.removesuffix("Output") + "Result")
    return "application/xml", write_document(root, result, shape)


def _payload_member(name: str, value: Any, shape: Shape, *, xml: bool) -> tuple[str, _Payload]:
    if isinstance(shape, StructureShape):
        if value is None:
            return "", b""
        if shape.serialization.get("eventstream"):
            return MEDIA_TYPE, EncodedEvents(value, shape)
        if xml:
            return "application/xml", write_document(shape.serialization.get("name", name), value, shape)
        return "application/json", dump_json(structure_data(value, shape))
    if value is None:
        return "", b""
    return "", value.encode() if isinstance(value, str) else value


def _location(region: str | None) -> bytes:
    # The one S3 document whose root is the value itself.
    inside = escape(region or "")
    return f'{DECLARATION}<LocationConstraint xmlns="{S3_NAMESPACE}">{inside}</LocationConstraint>'.encode()
