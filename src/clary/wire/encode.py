"""A result as the response of its operation, whatever the protocol.

The payload of an event stream is `event_stream.Events`.

Values are as `decode` gives them (timestamps: epoch seconds or an aware datetime). None leaves a member out. A name
that the output's shape does not have is our own mistake and raises InternalFailure.
"""

from __future__ import annotations

import os
from collections.abc import Iterable, Mapping
from typing import Any

from clary.errors import InternalFailure
from clary.wire.encode_json import write_json
from clary.wire.encode_rest import write_rest
from clary.wire.encode_xml import write_query_result
from clary.wire.http import FileBody, HttpResponse
from clary.wire.route import Route

_BODILESS = (204, 304)


def encode(
    route: Route,
    result: Mapping[str, Any],
    *,
    request_id: str = "",
    status: int | None = None,
    headers: Iterable[tuple[str, str]] = (),
) -> HttpResponse:
    """The response to a request whose route has an operation.

    `status` and `headers` add to, and win over, what the model fixes. A payload of bytes, FileBody or an iterable
    of bytes is passed through. Content-Length is set whenever the length is known.
    """
    operation = route.operation
    if operation is None:
        raise InternalFailure(f"no operation to encode for: {route.action!r}")
    shape = operation.output_shape
    if shape is None and any(value is not None for value in result.values()):
        raise InternalFailure(f"{operation.name} has no output, and so has no member {', '.join(result)}")
    code = status or int(operation.http.get("responseCode", 200))
    own: list[tuple[str, str]] = []
    body: bytes | FileBody | Iterable[bytes]
    if route.protocol in ("rest-json", "rest-xml"):
        own, body = write_rest(operation, result, xml=route.protocol == "rest-xml")
    elif route.protocol == "query":
        own, body = [("Content-Type", "text/xml")], write_query_result(operation, result, request_id)
    else:
        own = [("Content-Type", f"application/x-amz-json-{route.json_version}")]
        body = b"" if shape is None else write_json(result, shape)
    if code in _BODILESS:
        _release(body)
        body = b""
    merged = _merge(own, headers)
    response = HttpResponse(code, merged, body)
    return response if operation.http.get("method") == "HEAD" else encode_length(response)


def encode_length(response: HttpResponse) -> HttpResponse:
    """The response with its Content-Length set, where it has one that is known and not set yet."""
    named = any(name.lower() == "content-length" for name, _ in response.headers)
    if named or response.status in _BODILESS:
        return response
    if isinstance(response.body, bytes):
        response.headers.append(("Content-Length", str(len(response.body))))
    elif isinstance(response.body, FileBody):
        response.headers.append(("Content-Length", str(response.body.length)))
    return response


def _release(body: bytes | FileBody | Iterable[bytes]) -> None:
    """Close the file of a body that nobody is going to send."""
    if isinstance(body, FileBody):
        os.close(body.fd)


def _merge(own: Iterable[tuple[str, str]], more: Iterable[tuple[str, str]]) -> list[tuple[str, str]]:
    more = list(more)
    replaced = {name.lower() for name, _ in more}
    return [pair for pair in own if pair[0].lower() not in replaced] + more
