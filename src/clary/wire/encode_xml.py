"""Values into XML documents, by shape: S3's bodies and the query protocol's results."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

from botocore.model import ListShape, MapShape, OperationModel, Shape, StructureShape

from clary.wire.encode_json import check_members
from clary.wire.scalars import format_scalar

DECLARATION = '<?xml version="1.0" encoding="UTF-8"?>\n'
S3_NAMESPACE = "http://s3.amazonaws.com/doc/2006-03-01/"

# What XML 1.0 cannot carry in any form, even as a character reference, and halves of surrogate pairs.
_UNSPEAKABLE = re.compile("[\x00-\x08\x0b\x0c\x0e-\x1f\ud800-\udfff\ufffe\uffff]")
_ESCAPES = {"&": "&amp;", "<": "&lt;", ">": "&gt;", '"': "&quot;", "\r": "&#13;", "\t": "&#9;", "\n": "&#10;"}
_TO_ESCAPE = re.compile('[&<>"\r\t\n]')


def escape(text: str) -> str:
    """Text for an element or an attribute, never ill-formed.

    A control character that XML 1.0 has no way to write becomes U+FFFD: clients that list keys with such characters
    ask for `encoding-type=url`, and a body that no parser takes would help nobody.
    """
    spoken = _UNSPEAKABLE.sub("\ufffd", text)
    return _TO_ESCAPE.sub(lambda found: _ESCAPES[found.group()], spoken)


def write_query_result(operation: OperationModel, result: Mapping[str, Any], request_id: str) -> bytes:
    """`<OpResponse><OpResult>...</OpResult><ResponseMetadata>...`. Raises InternalFailure for an unknown member."""
    namespace = escape(operation.service_model.metadata.get("xmlNamespace", ""))
    out = [f'<{operation.name}Response xmlns="{namespace}">']
    shape = operation.output_shape
    if shape is not None:
        wrapper = shape.serialization.get("resultWrapper", f"{operation.name}Result")
        out.append(f"<{wrapper}>")
        write_members(out, result, shape)
        out.append(f"</{wrapper}>")
    out.append(f"<ResponseMetadata><RequestId>{escape(request_id)}</RequestId></ResponseMetadata>")
    out.append(f"</{operation.name}Response>")
    return "".join(out).encode()


def write_document(root: str, result: Mapping[str, Any], shape: StructureShape) -> bytes:
    """An S3 document: the members of the shape that travel in the body."""
    out = [DECLARATION, f'<{root} xmlns="{S3_NAMESPACE}">']
    write_members(out, result, shape)
    out.append(f"</{root}>")
    return "".join(out).encode()


def write_members(out: list[str], result: Mapping[str, Any], shape: StructureShape) -> None:
    """Append the elements of a structure's members. Raises InternalFailure for a member the shape lacks."""
    check_members(result, shape)
    for name, member in shape.members.items():
        value = result.get(name)
        traits = member.serialization
        if value is None or "location" in traits or traits.get("xmlAttribute"):
            continue
        written = traits.get("name", name)
        if isinstance(member, ListShape) and traits.get("flattened"):
            for item in value:
                _write(out, member.member.serialization.get("name", written), item, member.member)
        elif isinstance(member, MapShape) and traits.get("flattened"):
            _write_entries(out, written, value, member)
        else:
            _write(out, written, value, member)


def _write(out: list[str], tag: str, value: Any, shape: Shape) -> None:
    if value is None:
        return
    out.append(f"<{tag}{_attributes(value, shape)}>")
    if isinstance(shape, StructureShape):
        write_members(out, value, shape)
    elif isinstance(shape, ListShape):
        for item in value:
            _write(out, shape.member.serialization.get("name", "member"), item, shape.member)
    elif isinstance(shape, MapShape):
        _write_entries(out, "entry", value, shape)
    else:
        out.append(escape(format_scalar(value, shape, "iso8601")))
    out.append(f"</{tag}>")


def _write_entries(out: list[str], tag: str, value: Mapping[str, Any], shape: MapShape) -> None:
    for key, item in value.items():
        out.append(f"<{tag}>")
        _write(out, shape.key.serialization.get("name", "key"), key, shape.key)
        _write(out, shape.value.serialization.get("name", "value"), item, shape.value)
        out.append(f"</{tag}>")


def _attributes(value: Any, shape: Shape) -> str:
    if not isinstance(shape, StructureShape):
        return ""
    written = []
    namespace = shape.serialization.get("xmlNamespace", {})
    if namespace.get("prefix"):  # one without a prefix is the document's own
        written.append(f' xmlns:{namespace["prefix"]}="{escape(namespace["uri"])}"')
    for name, member in shape.members.items():
        if member.serialization.get("xmlAttribute") and value.get(name) is not None:
            written.append(f' {member.serialization["name"]}="{escape(str(value[name]))}"')
    return "".join(written)
