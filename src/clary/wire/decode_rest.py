"""REST requests into values: path, query string, headers and payload, by shape."""

from __future__ import annotations

from typing import Any
from urllib.parse import parse_qsl, unquote_to_bytes

from botocore.model import ListShape, MapShape, OperationModel, Shape, StructureShape

from clary.errors import ClientFault, S3Fault, ValidationException
from clary.wire.decode_json import parse_json_document
from clary.wire.decode_xml import parse_xml_document
from clary.wire.http import Headers, HttpRequest
from clary.wire.route import DOCUMENT_LIMIT_BYTES, Route, read_document, unpacked
from clary.wire.scalars import BadValue, parse_scalar


def parse_rest(
    request: HttpRequest, route: Route, operation: OperationModel, *, limit: int = DOCUMENT_LIMIT_BYTES
) -> dict[str, Any]:
    """The parameters of a REST request, whose payload has at most `limit` bytes. Raises the faults `decode` names."""
    shape = operation.input_shape
    if shape is None:
        return {}
    try:
        query = _query_values(request.query)
    except UnicodeDecodeError:
        raise _bad_text(route, "The query string") from None
    found = {name: _located(request, route, query, name, member) for name, member in shape.members.items()}
    found.update(_payload(request, route, shape, limit))
    return {name: value for name, value in found.items() if value is not None}


def _located(request: HttpRequest, route: Route, query: dict[str, list[str]], name: str, shape: Shape) -> Any:
    location = shape.serialization.get("location")
    written = shape.serialization.get("name", name)
    try:
        if location == "uri":
            return _from_path(route, written)
        if location == "querystring":
            return _from_query(query, shape, written)
        if location == "header":
            return _from_header(request.headers, shape, written)
        return _from_prefix(request.headers, written) if location == "headers" else None
    except UnicodeDecodeError:
        raise _bad_text(route, f"The part {name} of the path") from None
    except BadValue as error:
        raise _bad_argument(route, written, error) from None


def _from_path(route: Route, label: str) -> str | None:
    return unquote_to_bytes(route.labels[label]).decode("utf-8") if label in route.labels else None


def _query_values(query: str) -> dict[str, list[str]]:
    found: dict[str, list[str]] = {}
    for name, value in parse_qsl(query, keep_blank_values=True, errors="strict"):
        found.setdefault(name, []).append(value)
    return found


def _from_query(query: dict[str, list[str]], shape: Shape, written: str) -> Any:
    if isinstance(shape, MapShape):
        return {name: values[0] for name, values in query.items()}
    if written not in query:
        return None
    if isinstance(shape, ListShape):
        return [parse_scalar(text, shape.member) for text in query[written]]
    return parse_scalar(query[written][0], shape)


def _from_header(headers: Headers, shape: Shape, written: str) -> Any:
    text = headers.get(written)
    if text is None:
        return None
    if isinstance(shape, ListShape):
        return [parse_scalar(part.strip(), shape.member) for part in text.split(",") if part.strip()]
    try:
        return parse_scalar(text, shape)
    except BadValue:
        # HTTP has it that a date nobody can read is a date nobody sent.
        if shape.type_name == "timestamp":
            return None
        raise


def _from_prefix(headers: Headers, prefix: str) -> dict[str, str] | None:
    lowered = prefix.lower()
    found = {name[len(lowered) :]: value for name, value in headers.items() if name.startswith(lowered)}
    return found or None


def _payload(request: HttpRequest, route: Route, shape: StructureShape, limit: int) -> dict[str, Any]:
    name = shape.serialization.get("payload")
    if name is None:
        return _body_members(request, route, shape)
    member = shape.members[name]
    if member.serialization.get("streaming"):
        return {name: request.body}
    body = read_document(request.body, limit)
    if isinstance(member, StructureShape):
        return {name: _document(body, route, member)} if body.strip() else {}
    if member.type_name == "blob":
        return {name: body}
    try:
        return {name: body.decode("utf-8")} if body else {}
    except UnicodeDecodeError:
        raise _bad_text(route, "The body") from None


def _body_members(request: HttpRequest, route: Route, shape: StructureShape) -> dict[str, Any]:
    if all("location" in member.serialization for member in shape.members.values()):
        return {}
    body = unpacked(read_document(request.body), request.headers)
    if not body.strip():
        return {}
    return {
        name: value
        for name, value in _document(body, route, shape).items()
        if "location" not in shape.members[name].serialization
    }


def _document(body: bytes, route: Route, shape: StructureShape) -> dict[str, Any]:
    return (
        parse_xml_document(body, shape) if route.protocol == "rest-xml" else parse_json_document(body, shape)
    )


def _bad_text(route: Route, where: str) -> ClientFault:
    if route.protocol == "rest-xml":
        return S3Fault(f"Couldn't parse the specified URI: {where} is not UTF-8.", code="InvalidURI")
    return ValidationException(f"{where} is not UTF-8.")


def _bad_argument(route: Route, name: str, error: BadValue) -> ClientFault:
    if route.protocol == "rest-xml":
        extra = {"ArgumentName": name}
        return S3Fault(f"The argument {name} is not valid: {error}.", code="InvalidArgument", extra=extra)
    return ValidationException(f"The value of {name} is not valid: {error}.")
