"""A request as a dictionary of its operation's parameters, whatever the protocol.

Values: str, bool, int, float, bytes (decoded), timestamps as float seconds since the epoch, lists and dictionaries.
A streaming payload is the request's Body, still unread. Members that were not sent, were sent as null, or that the
model does not have are absent. Types are checked here; limits, patterns and required members by `validate`.
"""

from __future__ import annotations

from typing import Any

from clary.wire.decode_json import parse_json_document
from clary.wire.decode_query import parse_form
from clary.wire.decode_rest import parse_rest
from clary.wire.http import HttpRequest
from clary.wire.route import DOCUMENT_LIMIT_BYTES, Route, read_document, unpacked


def decode(request: HttpRequest, route: Route, *, limit: int = DOCUMENT_LIMIT_BYTES) -> dict[str, Any]:
    """The parameters of a request whose route has an operation. `limit` bytes of a REST payload are taken.

    Raises SerializationException or MalformedInput (JSON, forms), S3Fault MalformedXML, InvalidArgument or
    InvalidURI (S3), ClientFault 413 for a document over the size limit, and what the body's own checks raise.
    """
    operation = route.operation
    if operation is None:
        raise ValueError(f"no operation to decode for: {route.action!r}")
    if route.protocol in ("rest-json", "rest-xml"):
        return parse_rest(request, route, operation, limit=limit)
    body = unpacked(read_document(request.body), request.headers)
    shape = operation.input_shape
    if route.protocol == "query":
        return parse_form(body, request.query, shape)
    return parse_json_document(body, shape)
