"""One HTTP exchange with an instance: the request out, the answer in, whole or piece by piece."""

from __future__ import annotations

import threading
import time
from collections.abc import Iterator, Mapping
from dataclasses import dataclass

from httptools import HttpParserError, HttpParserUpgrade, HttpResponseParser

from clary.routing.connections import Connection, Connections, NotBegun

READ_AT_ONCE = 256 * 1024
BODILESS = (204, 304)  # programs that send a body with these are many: it is no answer to the next request
LONGEST_HEAD = 1024 * 1024
SMALL = 64 * 1024  # bytes of a body that travel in one piece with the head


class TimedOut(Exception):
    """The instance did not answer in time."""


class Died(Exception):
    """The instance ended the connection, or what it said is no HTTP."""


class TooLarge(Exception):
    """The answer is larger than asked for."""


@dataclass(frozen=True, slots=True)
class Call:
    """`timeout_s` is for the whole of the answer, or, of a stream, for each wait. `most` bytes of answer are taken."""

    path: str
    headers: Mapping[str, str]
    body: bytes
    timeout_s: float
    most: int
    is_stream: bool = False


@dataclass(frozen=True, slots=True)
class Heard:
    """Header names are lower case."""

    status: int
    headers: Mapping[str, str]


class Exchange:
    """The exchange on one connection. `begin` first, then `pieces` to its end, or `close`."""

    def __init__(self, connections: Connections, address: str, call: Call) -> None:
        """Raises NotBegun when nobody is at the address."""
        self._connections = connections
        self._connection: Connection | None = connections.take(address)
        self._lock = threading.Lock()  # nobody aborts a connection that serves somebody else by now
        self._is_aborted = False
        self._call = call
        self._heard = _Hearing()
        self._length = 0
        self._deadline = time.monotonic() + call.timeout_s

    def abort(self) -> None:
        """From another thread: the one that waits gets Died."""
        with self._lock:
            self._is_aborted = True
            if self._connection is not None:
                self._connection.abort()

    def begin(self) -> Heard:
        """Send the request and wait for the head of the answer. Raises NotBegun, TimedOut, Died."""
        try:
            self._send()
            while not self._heard.has_head:
                self._hear()
        except BaseException:
            self.close()
            raise
        return Heard(self._heard.status, self._heard.headers)

    def pieces(self) -> Iterator[bytes]:
        """The body as it comes. Raises TimedOut, Died, TooLarge; each ends the connection."""
        try:
            while True:
                for piece in self._heard.take():
                    self._length += len(piece)
                    if self._length > self._call.most:
                        raise TooLarge(f"the answer is larger than {self._call.most} bytes")
                    yield piece
                if self._heard.is_complete:
                    break
                self._hear()
            self._end(keep=self._heard.may_go_on)
        finally:
            self.close()

    def close(self) -> None:
        """Let go of the connection; it ends if the answer was not read to its end."""
        self._end(keep=False)

    def _send(self) -> None:
        sock = self._open().sock
        head = _head(self._open().address, self._call)
        body = self._call.body
        first = head + body if len(body) <= SMALL else head
        sent = 0
        try:
            sock.settimeout(self._left())
            sent = sock.send(first)
            if sent < len(first):
                sock.sendall(memoryview(first)[sent:])
            if len(body) > SMALL:
                sock.settimeout(self._left())
                sock.sendall(body)
        except TimeoutError:
            raise TimedOut from None
        except OSError as error:
            if not sent:
                raise NotBegun(str(error)) from None
            # it may have answered before it read all: its answer, if there is one, is what counts

    def _hear(self) -> None:
        sock = self._open().sock
        if self._call.is_stream:
            self._deadline = time.monotonic() + self._call.timeout_s
        try:
            sock.settimeout(self._left())
            data = sock.recv(READ_AT_ONCE)
        except TimeoutError:
            raise TimedOut from None
        except OSError as error:
            raise Died(f"the connection broke: {error.strerror or error}") from None
        self._heard.feed(data)

    def _left(self) -> float:
        left = self._deadline - time.monotonic()
        if left <= 0:
            raise TimedOut
        return left

    def _open(self) -> Connection:
        if self._connection is None:
            raise Died("the exchange was closed")
        return self._connection

    def _end(self, *, keep: bool) -> None:
        with self._lock:
            connection, self._connection = self._connection, None
        if connection is None:
            return
        if keep and not self._is_aborted:
            self._connections.give_back(connection)
        else:
            connection.close()


class _Hearing:
    """What the parser says of the bytes it is fed."""

    def __init__(self) -> None:
        self._parser = HttpResponseParser(self)
        self._parts: list[bytes] = []
        self._by_length = False
        self.status = 0
        self.headers: dict[str, str] = {}
        self.has_head = False
        self._head_length = 0
        self.is_complete = False
        self.may_go_on = False

    def feed(self, data: bytes) -> None:
        """`data` empty: the connection ended. Raises Died."""
        if not data:
            if not self.has_head or self._by_length:
                raise Died("the connection ended before the answer did")
            self.is_complete = True
            return
        if not self.has_head:
            self._head_length += len(data)
            if self._head_length > LONGEST_HEAD + READ_AT_ONCE:
                raise Died("its answer has headers without end")
        try:
            self._parser.feed_data(data)
        except (HttpParserError, HttpParserUpgrade) as error:
            if not self.is_complete:
                raise Died(f"what it answered is no HTTP: {error}") from None
            self.may_go_on = False

    def take(self) -> list[bytes]:
        parts, self._parts = self._parts, []
        return parts

    def on_message_begin(self) -> None:
        if self.is_complete:  # an answer to nothing: it is none of ours, and neither is what follows
            self.may_go_on = False

    def on_header(self, name: bytes, value: bytes) -> None:
        if self.has_head:  # what comes after a body in chunks
            return
        key, text = name.decode("latin-1").lower(), value.decode("latin-1")
        self.headers[key] = f"{self.headers[key]},{text}" if key in self.headers else text

    def on_headers_complete(self) -> None:
        if self.is_complete:
            return
        self.status = self._parser.get_status_code()
        if self.status < 200:  # a "100 Continue", which nobody waits for
            self.headers = {}
            return
        chunked = "chunked" in self.headers.get("transfer-encoding", "").lower()
        self._by_length = chunked or "content-length" in self.headers
        self.has_head = True

    def on_body(self, body: bytes) -> None:
        if not self.is_complete:
            self._parts.append(body)

    def on_message_complete(self) -> None:
        if self.has_head and not self.is_complete:
            self.is_complete = True
            self.may_go_on = self._parser.should_keep_alive() and self.status not in BODILESS


def _head(address: str, call: Call) -> bytes:
    lines = [f"POST {call.path} HTTP/1.1", f"Host: {address}", f"Content-Length: {len(call.body)}"]
    lines += [f"{name}: {_on_one_line(value)}" for name, value in call.headers.items()]
    return ("\r\n".join(lines) + "\r\n\r\n").encode("latin-1", "replace")


def _on_one_line(value: str) -> str:
    return value.replace("\r", " ").replace("\n", " ")
