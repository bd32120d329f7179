"""HTTP/1.1 for the front, on the standard library alone: the server runs in whatever environment the user brings.

One `Connection` a client. Requests on it are answered one after another, each as an `Exchange`.
"""

from __future__ import annotations

import asyncio
import re
from collections.abc import Callable, Mapping
from http import HTTPStatus
from math import inf

from clary.serving.heads import HEAD_BYTES, NAME, Head, Malformed, body_length, chunk_size, parse_head
from clary.serving.refusals import refusal

_BUFFERED_BYTES = 1 << 20
_LINGER_S = 5.0
STALLED_S = 30.0
"""How long a client may stop in the middle of its request, or of taking the answer."""
_UNSAFE = re.compile(r"[\r\n\0]")
_BODILESS = (204, 304)
_OWN_HEADERS = {"content-type", "content-length", "transfer-encoding", "connection"}
_PHRASES = {status.value: status.phrase for status in HTTPStatus}


class Exchange:
    """One request and its answer: `answer`, or `begin`, then `piece` after `piece`, then `end`.

    `on_gone` is called when the client goes before the answer is complete, `on_ready` when a client that was slow to
    take pieces (`is_slow`) has taken them. What is said to a client that has gone is dropped.
    """

    __slots__ = ("_connection", "body", "head", "on_gone", "on_ready")

    def __init__(self, connection: Connection, head: Head, body: bytes) -> None:
        self.head = head
        self.body = body
        self.on_gone: Callable[[], None] | None = None
        self.on_ready: Callable[[], None] | None = None
        self._connection = connection

    @property
    def is_slow(self) -> bool:
        return self._connection.is_slow

    def answer(self, status: int, content_type: str, headers: Mapping[str, str], body: bytes) -> None:
        length = {} if status in _BODILESS else {"Content-Length": str(len(body))}
        head = self._head(status, content_type, headers, length)
        has_body = status not in _BODILESS and self.head.method != "HEAD"
        self._connection.write(head + (body if has_body else b""))
        self._connection.finish(self)

    def begin(self, content_type: str) -> None:
        self._connection.write(self._head(200, content_type, {}, {"Transfer-Encoding": "chunked"}))

    def piece(self, data: bytes) -> None:
        if data:
            self._connection.write(b"%x\r\n%b\r\n" % (len(data), data))

    def end(self) -> None:
        self._connection.write(b"0\r\n\r\n")
        self._connection.finish(self)

    def abort(self) -> None:
        """The answer stays incomplete, which the client can tell by the missing end."""
        self._connection.abort()

    def _head(
        self, status: int, content_type: str, headers: Mapping[str, str], framing: Mapping[str, str]
    ) -> bytes:
        connection = {} if self._connection.stays_open(self.head) else {"Connection": "close"}
        lines = [f"HTTP/1.1 {status} {_PHRASES.get(status, 'Unknown')}"]
        own = {"Content-Type": content_type, **framing, **connection}
        theirs = {name: value for name, value in headers.items() if _is_for_handlers(name)}
        lines += [f"{name}: {_UNSAFE.sub(' ', value)}" for name, value in (theirs | own).items()]
        return ("\r\n".join(lines) + "\r\n\r\n").encode("latin-1", "replace")


class Connection(asyncio.Protocol):
    """`serve` gets every request that could be read; `limit` is the longest body, in bytes."""

    def __init__(self, serve: Callable[[Exchange], None], *, limit: int, open_ones: set[Connection]) -> None:
        self._serve = serve
        self._limit = limit
        self._open_ones = open_ones
        self._transport: asyncio.Transport | None = None
        self._buffer = bytearray()
        self._head: Head | None = None
        self._wanted: int | None = 0
        self._skips = 0.0
        self._chunks = bytearray()
        self._exchange: Exchange | None = None
        self._ends = False
        self._received = 0
        self._progress = (0, 0)
        self._progressed = 0.0
        self.is_slow = False

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        assert isinstance(transport, asyncio.Transport)
        self._transport = transport
        self._open_ones.add(self)

    def connection_lost(self, exc: Exception | None) -> None:  # noqa: ARG002 - asyncio's signature
        self._open_ones.discard(self)
        self._transport = None
        exchange, self._exchange = self._exchange, None
        if exchange is not None and exchange.on_gone is not None:
            exchange.on_gone()

    def pause_writing(self) -> None:
        self.is_slow = True

    def resume_writing(self) -> None:
        self.is_slow = False
        if self._exchange is None:
            self._go_on()
        elif self._exchange.on_ready is not None:
            self._exchange.on_ready()

    def data_received(self, data: bytes) -> None:
        self._received += len(data)
        if self._skips:
            skipped = int(min(self._skips, len(data)))
            self._skips -= skipped
            data = data[skipped:]
        self._buffer += data
        self._advance()
        is_waiting = self._exchange is not None or self.is_slow
        if is_waiting and len(self._buffer) > _BUFFERED_BYTES and self._transport is not None:
            self._transport.pause_reading()

    def stays_open(self, head: Head) -> bool:
        return head.keeps_alive and not self._ends

    def write(self, data: bytes) -> None:
        if self._transport is not None:
            self._transport.write(data)

    def finish(self, exchange: Exchange) -> None:
        """The answer is complete: on to what the client has sent meanwhile."""
        if self._exchange is not exchange or self._transport is None:
            return
        self._exchange = None
        if self._skips == inf:
            self._transport.write_eof()
            asyncio.get_running_loop().call_later(_LINGER_S, self.abort)
            return
        if not self.stays_open(exchange.head):
            self._transport.close()
            return
        self._go_on()

    def abort(self) -> None:
        if self._transport is not None:
            self._transport.abort()

    def check(self, now: float) -> None:
        """To be called now and then: ends a connection whose client has stopped half-way."""
        if self._transport is None:
            return
        unsent = self._transport.get_write_buffer_size()
        is_halfway = self._exchange is None and bool(unsent or self._head or self._buffer)
        progress = (self._received, unsent)
        if not is_halfway or progress != self._progress:
            self._progress, self._progressed = progress, now
        elif now - self._progressed > (_LINGER_S if self._ends else STALLED_S):
            self.abort()

    def wind_up(self) -> None:
        """Closes as soon as nothing is in work."""
        self._ends = True
        if self._exchange is None and self._head is None and not self._buffer and self._transport is not None:
            self._transport.close()

    def _go_on(self) -> None:
        if self._transport is not None and not self._transport.is_closing():
            self._transport.resume_reading()
            if self._buffer:
                asyncio.get_running_loop().call_soon(self._advance)

    def _is_free(self) -> bool:
        """Whether the next request may be taken. Not before the client takes the answers that it has."""
        is_open = self._transport is not None and not self._transport.is_closing()
        return is_open and self._exchange is None and not self.is_slow

    def _advance(self) -> None:
        while self._is_free():
            try:
                if not (self._take_head() if self._head is None else self._take_body()):
                    return
            except Malformed as fault:
                self._refuse(fault.status, str(fault))

    def _take_head(self) -> bool:
        end = self._buffer.find(b"\r\n\r\n")
        if end > HEAD_BYTES or (end < 0 and len(self._buffer) > HEAD_BYTES):
            raise Malformed(431, f"the request's head is longer than {HEAD_BYTES} bytes")
        if end < 0:
            return False
        self._head = head = parse_head(bytes(self._buffer[:end]))
        del self._buffer[: end + 4]
        self._wanted = body_length(head)
        self._chunks.clear()
        if self._wanted is not None and self._wanted > self._limit:
            self._refuse_long_body(head, self._wanted)
        elif head.headers.get("expect", "").lower() == "100-continue" and self._wanted != 0:
            self.write(b"HTTP/1.1 100 Continue\r\n\r\n")
        return True

    def _take_body(self) -> bool:
        head = self._head
        assert head is not None
        if self._wanted is None:
            body = self._take_chunks()
            if body is None:
                return False
        else:
            if len(self._buffer) < self._wanted:
                return False
            with memoryview(self._buffer) as whole:
                body = bytes(whole[: self._wanted])
            del self._buffer[: self._wanted]
        self._head = None
        self._exchange = Exchange(self, head, body)
        self._serve(self._exchange)
        return True

    def _take_chunks(self) -> bytes | None:
        """The whole body once its last chunk has come."""
        while (end := self._buffer.find(b"\r\n")) >= 0:
            size = chunk_size(bytes(self._buffer[:end]))
            if len(self._chunks) + size > self._limit:
                raise Malformed(413, _too_long(self._limit))
            if not size:
                return self._take_trailers(end)
            start = end + 2
            if len(self._buffer) < start + size + 2:
                return None
            if self._buffer[start + size : start + size + 2] != b"\r\n":
                raise Malformed(400, "a chunk that is longer than its size")
            self._chunks += self._buffer[start : start + size]
            del self._buffer[: start + size + 2]
        if len(self._buffer) > HEAD_BYTES:
            raise Malformed(400, "a chunk without its size")
        return None

    def _take_trailers(self, start: int) -> bytes | None:
        """What comes after the last chunk is of no use here."""
        end = self._buffer.find(b"\r\n\r\n", start)
        if end < 0 and len(self._buffer) > HEAD_BYTES:
            raise Malformed(431, f"the headers after the last chunk are longer than {HEAD_BYTES} bytes")
        if end < 0:
            return None
        del self._buffer[: end + 4]
        return bytes(self._chunks)

    def _refuse_long_body(self, head: Head, length: int) -> None:
        """The rest of the body is read and dropped, and the connection goes on."""
        self._head = None
        if head.headers.get("expect"):
            self._ends = True
        else:
            dropped = min(length, len(self._buffer))
            del self._buffer[:dropped]
            self._skips = length - dropped
        self._answer_now(head, 413, _too_long(self._limit))

    def _refuse(self, status: int, message: str) -> None:
        self._ends = True
        self._head = None
        self._buffer.clear()
        self._skips = (
            inf  # a client that still writes would not see the answer of a connection that was closed
        )
        self._answer_now(Head("GET", "", {}, "HTTP/1.1"), status, message)

    def _answer_now(self, head: Head, status: int, message: str) -> None:
        kind = "PayloadTooLarge" if status == 413 else "BadRequest"
        said = refusal(status, kind, message)
        self._exchange = Exchange(self, head, b"")
        self._exchange.answer(said.status, said.content_type, said.headers, said.body)


def _is_for_handlers(name: str) -> bool:
    return name.lower() not in _OWN_HEADERS and NAME.fullmatch(name) is not None


def _too_long(limit: int) -> str:
    return (
        f"the body is longer than {limit} bytes, what this server takes at most; SAGEMAKER_MAX_PAYLOAD_IN_MB, in the "
        "model's Environment, sets it"
    )
