"""Faults as error documents in the client's protocol."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from botocore.model import Shape, StructureShape

from clary.errors import ClientFault, Fault, S3Fault, UnknownOperationException
from clary.wire.encode import encode_length
from clary.wire.encode_json import dump_json
from clary.wire.encode_xml import DECLARATION, escape
from clary.wire.http import HttpResponse
from clary.wire.models import Protocol
from clary.wire.route import Route

_QUERY_CODES = {"ValidationException": "ValidationError", "UnknownOperationException": "InvalidAction"}
# what a service calls a request that is wrong in itself
_RUNTIME_CODES = {"ValidationException": "ValidationError", "RequestEntityTooLarge": "ValidationError"}
_S3_CODES = {
    "InternalFailure": "InternalError",
    "ValidationException": "InvalidRequest",
    "RequestEntityTooLarge": "MaxMessageLengthExceeded",
}


def unknown_operation(route: Route) -> ClientFault:
    """The fault for a request to an operation that nobody wrote, as the route's protocol words it."""
    if route.protocol == "rest-xml":
        message = f"Clary does not support the S3 operation {route.action}."
        return S3Fault(message, code="NotImplemented", status=501)
    named = f"{route.service}:{route.action}" if route.action else f"an unnamed operation of {route.service}"
    return UnknownOperationException(f"Clary does not support {named}.")


def encode_fault(
    route: Route | Protocol,
    fault: Fault,
    *,
    request_id: str,
    resource: str = "",
    head: bool = False,
    headers: Iterable[tuple[str, str]] = (),
) -> HttpResponse:
    """The error response. `resource` is what an S3 error names (the path); `head` leaves the body out."""
    at = route if isinstance(route, Route) else Route("", route)
    if at.service == "sagemaker-runtime" and fault.code in _RUNTIME_CODES:
        fault = Fault(fault.message, code=_RUNTIME_CODES[fault.code], status=400, extra=fault.extra)
    shape = _error_shape(at, fault.code)
    if at.protocol == "rest-xml":
        own, body = _s3(fault, request_id, resource)
    elif at.protocol == "query":
        own, body = _query(at, fault, shape, request_id)
    else:
        own, body = _json(at, fault, shape)
    own.append(("x-amzn-RequestId", request_id))
    if head or fault.status in (204, 304):
        kept = [pair for pair in own if pair[0] != "Content-Type"]
        return HttpResponse(fault.status, [*kept, *headers], b"")
    return encode_length(HttpResponse(fault.status, [*own, *headers], body))


def _error_shape(route: Route, code: str) -> StructureShape | None:
    for shape in route.operation.error_shapes if route.operation else ():
        if code in (shape.name, shape.metadata.get("error", {}).get("code")):
            return shape
    return None


def _json(route: Route, fault: Fault, shape: StructureShape | None) -> tuple[list[tuple[str, str]], bytes]:
    code = shape.name if shape is not None else fault.code
    document: dict[str, Any] = {"__type": code, "message": fault.message}
    members = shape.members if shape is not None else {}
    if "Message" in members:
        document["Message"] = fault.message
    for name, text in fault.extra.items():
        document[name] = _typed(text, members.get(name))
    if route.protocol == "rest-json":
        own = [("Content-Type", "application/json"), ("x-amzn-ErrorType", code)]
    else:
        own = [("Content-Type", f"application/x-amz-json-{route.json_version}"), ("x-amzn-ErrorType", code)]
    if route.query_mode:
        side = "Sender" if fault.status < 500 else "Receiver"
        own.append(("x-amzn-query-error", f"{_query_code(fault.code, shape)};{side}"))
    return own, dump_json(document)


def _typed(text: str, shape: Shape | None) -> Any:
    return int(text) if shape is not None and shape.type_name in ("integer", "long") else text


def _query_code(code: str, shape: StructureShape | None) -> str:
    if shape is not None:
        return str(shape.metadata.get("error", {}).get("code", shape.name))
    return _QUERY_CODES.get(code, code)


def _query(
    route: Route, fault: Fault, shape: StructureShape | None, request_id: str
) -> tuple[list[tuple[str, str]], bytes]:
    model = route.operation.service_model if route.operation else None
    namespace = escape(model.metadata.get("xmlNamespace", "")) if model else ""
    side = "Sender" if fault.status < 500 else "Receiver"
    members = "".join(f"<{name}>{escape(text)}</{name}>" for name, text in fault.extra.items())
    document = (
        f'<ErrorResponse xmlns="{namespace}"><Error><Type>{side}</Type>'
        f"<Code>{escape(_query_code(fault.code, shape))}</Code><Message>{escape(fault.message)}</Message>{members}"
        f"</Error><RequestId>{escape(request_id)}</RequestId></ErrorResponse>"
    )
    return [("Content-Type", "text/xml")], document.encode()


def _s3(fault: Fault, request_id: str, resource: str) -> tuple[list[tuple[str, str]], bytes]:
    members = {
        "Code": _S3_CODES.get(fault.code, fault.code),
        "Message": fault.message,
        **fault.extra,
        "Resource": resource,
        "RequestId": request_id,
    }
    inside = "".join(f"<{name}>{escape(text)}</{name}>" for name, text in members.items())
    own = [("Content-Type", "application/xml"), ("x-amz-request-id", request_id)]
    return own, f"{DECLARATION}<Error>{inside}</Error>".encode()
