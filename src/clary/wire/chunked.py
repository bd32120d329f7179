"""The aws-chunked encoding of a body: `<hex size>[;chunk-signature=<hex>]\\r\\n<data>\\r\\n ... 0 ...` and trailers.

In the signed forms each chunk's signature covers the one before it, the first one the request's own, and the last
signature covers the trailers. The forms are told apart by the x-amz-content-sha256 header, not here.
"""

from __future__ import annotations

import hmac
import re
from collections.abc import Iterable
from dataclasses import dataclass
from hashlib import sha256

from clary.errors import Fault, S3Fault
from clary.wire.http import Body
from clary.wire.refusals import refusal

LINE_LIMIT = 512  # bytes of a chunk's header or of one trailer
TRAILER_LIMIT = 16  # trailers of one body
BLOCK = 64 * 1024

_HEADER = re.compile(rb"([0-9a-fA-F]{1,15})(?:;chunk-signature=([0-9a-f]{64}))?")
_TRAILER = re.compile(r"([a-z0-9-]+):([\x20-\x7e]*)")
_SIGNATURE_TRAILER = "x-amz-trailer-signature"
_EMPTY = sha256(b"").hexdigest()


@dataclass(frozen=True, slots=True)
class Seal:
    """What chunk signatures are made with: the signing key, the request's date stamp, scope and signature."""

    key: bytes
    stamp: str
    scope: str
    seed: str

    def of_chunk(self, previous: str, digest: str) -> str:
        """The signature (hex) of a chunk whose SHA-256 (hex) is `digest`, after the signature `previous`."""
        return self._sign("PAYLOAD", f"{previous}\n{_EMPTY}\n{digest}")

    def of_trailers(self, previous: str, lines: str) -> str:
        """The signature (hex) of the trailers, each given as `name:value\\n`."""
        return self._sign("TRAILER", f"{previous}\n{sha256(lines.encode()).hexdigest()}")

    def _sign(self, what: str, rest: str) -> str:
        text = f"AWS4-HMAC-SHA256-{what}\n{self.stamp}\n{self.scope}\n{rest}"
        return hmac.digest(self.key, text.encode(), "sha256").hex()


class ChunkedBody:
    """The content of an aws-chunked body, verified while it is read.

    `read` obeys the laws of `wire.http.Body`. It raises S3Fault: SignatureDoesNotMatch (403) for a chunk or trailer
    that was altered, IncompleteBody (400) when the body is cut short, is not aws-chunked or has another length than
    announced, MalformedTrailerError (400) for trailers that were not announced. `trailers` holds them after the end.
    Bytes of a chunk may be given out before its signature was seen; the end is not.
    """

    def __init__(
        self,
        body: Body,
        *,
        length: int,
        seal: Seal | None = None,
        trailers: Iterable[str] = (),
    ) -> None:
        """`length`: bytes of content announced; `seal`: None for unsigned chunks; `trailers`: names announced."""
        self._body = body
        self._missing = length
        self._seal = seal
        self._previous = seal.seed if seal else ""
        self._announced = frozenset(trailers)
        self._buffer = b""
        self._chunk = 0  # bytes of the present chunk still to come
        self._inside = False
        self._signature = ""
        self._hash = sha256()
        self._done = False
        self._failed: Fault | None = None
        self.trailers: dict[str, str] = {}

    def read(self, size: int = -1, /) -> bytes:
        if size is None or size < 0:
            return b"".join(iter(lambda: self.read(1 << 20), b""))
        if self._failed:
            raise self._failed
        try:
            return self._read(size)
        except Fault as fault:
            self._failed = fault
            raise

    def _read(self, size: int) -> bytes:
        if self._done or size == 0:
            return b""
        if not self._chunk:
            self._next_chunk()
        if self._done:
            return b""
        data = self._take(min(size, self._chunk))
        if not data:
            raise _incomplete("The body ends before its last chunk does.")
        self._chunk -= len(data)
        self._missing -= len(data)
        if self._seal:
            self._hash.update(data)
        if not self._chunk:
            self._end_chunk()
        return data

    def _next_chunk(self) -> None:
        header = _HEADER.fullmatch(self._line())
        if not header or bool(header[2]) != bool(self._seal):
            raise _incomplete("A chunk's header is not of the form that x-amz-content-sha256 announces.")
        self._chunk = int(header[1], 16)
        self._signature = (header[2] or b"").decode()
        if self._chunk > self._missing:
            raise _incomplete("The chunks hold more bytes than x-amz-decoded-content-length announces.")
        if not self._chunk:
            self._finish()

    def _end_chunk(self) -> None:
        self._check_chunk()
        if self._exactly(2) != b"\r\n":
            raise _incomplete("A chunk holds more bytes than its header announces.")

    def _check_chunk(self) -> None:
        if not self._seal:
            return
        expected = self._seal.of_chunk(self._previous, self._hash.hexdigest())
        if not hmac.compare_digest(expected, self._signature):
            raise refusal("s3", "wrong signature")
        self._previous = expected
        self._hash = sha256()

    def _finish(self) -> None:
        """After the empty chunk: its signature, the trailers, and nothing else."""
        self._check_chunk()
        lines = self._trailer_lines()
        signature = lines.pop(_SIGNATURE_TRAILER, "")
        if lines.keys() - self._announced:
            raise _malformed("A trailer was sent that x-amz-trailer does not announce.")
        if self._seal and self._announced:
            text = "".join(f"{name}:{value}\n" for name, value in lines.items())
            if not hmac.compare_digest(
                self._seal.of_trailers(self._previous, text).encode(), signature.encode()
            ):
                raise refusal("s3", "wrong signature")
        if self._missing:
            raise _incomplete("The chunks hold fewer bytes than x-amz-decoded-content-length announces.")
        if self._take(1):
            raise _incomplete("Bytes follow the last chunk.")
        self.trailers = lines
        self._done = True

    def _trailer_lines(self) -> dict[str, str]:
        lines: dict[str, str] = {}
        while line := self._line():
            match = _TRAILER.fullmatch(line.decode("latin-1"))
            if not match or match[1] in lines or len(lines) == TRAILER_LIMIT:
                raise _malformed("A trailer is not of the form name:value, or there are too many.")
            lines[match[1]] = match[2].strip()
        return lines

    def _line(self) -> bytes:
        """Up to the next CRLF, without it."""
        while (end := self._buffer.find(b"\r\n")) < 0 and len(self._buffer) < LINE_LIMIT:
            more = self._body.read(BLOCK)
            if not more:
                raise _incomplete("The body ends before its last chunk does.")
            self._buffer += more
        if not 0 <= end <= LINE_LIMIT:
            raise _incomplete(f"The header of a chunk is longer than {LINE_LIMIT} bytes.")
        line, self._buffer = self._buffer[:end], self._buffer[end + 2 :]
        return line

    def _exactly(self, size: int) -> bytes:
        data = b""
        while len(data) < size:
            more = self._take(size - len(data))
            if not more:
                raise _incomplete("The body ends before its last chunk does.")
            data += more
        return data

    def _take(self, size: int) -> bytes:
        """At least one byte and at most `size`; nothing at the end of the body."""
        if self._buffer:
            data, self._buffer = self._buffer[:size], self._buffer[size:]
            return data
        return self._body.read(size)


def _incomplete(message: str) -> S3Fault:
    return S3Fault(message, code="IncompleteBody")


def _malformed(message: str) -> S3Fault:
    return S3Fault(message, code="MalformedTrailerError")
