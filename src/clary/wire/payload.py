"""What a signed request says of its body (x-amz-content-sha256), and the body wrapped so that this is held to.

<64 hex digits>                              the SHA-256 of the body, compared at its end
UNSIGNED-PAYLOAD                             nothing; only the length is checked
STREAMING-AWS4-HMAC-SHA256-PAYLOAD[-TRAILER] aws-chunked, each chunk signed
STREAMING-UNSIGNED-PAYLOAD-TRAILER           aws-chunked, with checksums behind the content
"""

from __future__ import annotations

import io
import re
from hashlib import sha256

from clary.errors import S3Fault
from clary.wire.chunked import ChunkedBody, Seal
from clary.wire.http import Body, Headers, HttpRequest
from clary.wire.refusals import refusal

UNSIGNED = "UNSIGNED-PAYLOAD"
SIGNED_CHUNKS = frozenset(
    {"STREAMING-AWS4-HMAC-SHA256-PAYLOAD", "STREAMING-AWS4-HMAC-SHA256-PAYLOAD-TRAILER"}
)
UNSIGNED_CHUNKS = "STREAMING-UNSIGNED-PAYLOAD-TRAILER"
DOCUMENT_LIMIT = 16 * 1024 * 1024  # bytes of a body whose hash the client did not send

_BLOCK = 1 << 20
_HEX = re.compile(r"[0-9a-f]{64}")


class MeasuredBody:
    """A body of a known length and, where that was signed, of a known SHA-256 (hex)."""

    def __init__(self, body: Body, *, length: int | None, digest: str | None, service: str) -> None:
        self._body = body
        self._length = length
        self._digest = digest
        self._service = service
        self._hash = sha256()
        self._read = 0

    def read(self, size: int = -1, /) -> bytes:
        if size is None or size < 0:
            return b"".join(iter(lambda: self.read(_BLOCK), b""))
        data = self._body.read(size)
        self._read += len(data)
        if self._digest is not None:
            self._hash.update(data)
        if not data and size:
            self._check()
        return data

    def _check(self) -> None:
        if self._length is not None and self._read != self._length:
            raise S3Fault(
                "You did not provide the number of bytes specified by the Content-Length HTTP header.",
                code="IncompleteBody",
            )
        if self._digest is not None and self._hash.hexdigest() != self._digest:
            extra = {
                "ClientComputedContentSHA256": self._digest,
                "S3ComputedContentSHA256": self._hash.hexdigest(),
            }
            raise refusal(self._service, "wrong body", extra=extra)


def announced(
    request: HttpRequest, *, service: str, presigned: str | None, limit: int = DOCUMENT_LIMIT
) -> tuple[str, Body]:
    """The payload's line in the canonical request, and the body to go on with.

    `presigned`: None for a signature in the header, else the query's own word on the payload or "". Reads the body
    only where a JSON or query service left its hash out, and then `limit` bytes at most. Raises ClientFault when the
    header makes no sense.
    """
    value = request.headers.get("x-amz-content-sha256") or presigned
    if service != "s3":
        if not value:
            return _hashed(request, service, limit)
        if value != UNSIGNED and not _HEX.fullmatch(value):
            raise refusal(service, "wrong body", "x-amz-content-sha256 must be a SHA-256 in hex digits.")
        return value, request.body
    if not value:
        if presigned is None:
            raise S3Fault(
                "Missing required header for this request: x-amz-content-sha256", code="InvalidRequest"
            )
        value = UNSIGNED
    if not (value in SIGNED_CHUNKS or value in (UNSIGNED, UNSIGNED_CHUNKS) or _HEX.fullmatch(value)):
        raise S3Fault(
            "x-amz-content-sha256 must be UNSIGNED-PAYLOAD, STREAMING-UNSIGNED-PAYLOAD-TRAILER, "
            "STREAMING-AWS4-HMAC-SHA256-PAYLOAD, STREAMING-AWS4-HMAC-SHA256-PAYLOAD-TRAILER or a valid "
            "sha256 value.",
            code="InvalidArgument",
            extra={"ArgumentName": "x-amz-content-sha256"},
        )
    return value, request.body


def verified(body: Body, headers: Headers, *, service: str, payload: str, seal: Seal) -> Body:
    """The content of a body whose request's signature is sound, checked while it is read.

    Raises S3Fault MissingContentLength (411) when an aws-chunked body does not tell its content's length.
    """
    digest = payload if payload != UNSIGNED and not payload.startswith("STREAMING-") else None
    whole = MeasuredBody(body, length=_length(headers, "content-length"), digest=digest, service=service)
    if service != "s3" or not payload.startswith("STREAMING-"):
        return whole
    length = _length(headers, "x-amz-decoded-content-length")
    if length is None:
        raise S3Fault(
            "An aws-chunked body needs the header x-amz-decoded-content-length.",
            code="MissingContentLength",
            status=411,
        )
    names = [name.strip().lower() for name in headers.get("x-amz-trailer", "").split(",") if name.strip()]
    if names and not payload.endswith("-TRAILER"):
        raise S3Fault(
            f"x-amz-trailer needs x-amz-content-sha256 to be {payload}-TRAILER.", code="InvalidRequest"
        )
    return ChunkedBody(whole, length=length, seal=seal if payload in SIGNED_CHUNKS else None, trailers=names)


def _hashed(request: HttpRequest, service: str, limit: int) -> tuple[str, Body]:
    document = io.BytesIO()
    while part := request.body.read(min(_BLOCK, limit + 1 - document.tell())):
        document.write(part)
        if document.tell() > limit:
            message = f"The request's body is larger than {limit} bytes. Send it in smaller parts."
            raise refusal(service, "too large", message)
    document.seek(0)
    return sha256(document.getbuffer()).hexdigest(), document


def _length(headers: Headers, name: str) -> int | None:
    text = headers.get(name)
    if text is None:
        return None
    if not (text.isascii() and text.isdigit() and len(text) < 16):
        raise S3Fault(f"{name} must be a whole number of bytes, not {text[:40]!r}.", code="InvalidArgument")
    return int(text)
