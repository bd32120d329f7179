"""Asks a model's server over HTTP: kept-alive connections, one time limit for a whole answer, and retries.

What is worth another try: no answer (refused, broken off, out of time) and the statuses 408, 429 and 5xx. Any other
status is the server's last word on what it was sent.
"""

from __future__ import annotations

import http.client
import json
import socket
import threading
import time
import zlib
from collections.abc import Callable, Iterator, Mapping
from contextlib import suppress
from typing import Any, BinaryIO, cast

from clary.agent.faults import Interrupted, clip

_CHUNK = 1 << 18
_WORDS = 300
_FIRST_PAUSE_S = 0.5
_LONGEST_PAUSE_S = 10.0
_PARAMETERS_S = 10.0
_LAST_WAIT_S = 2.0


class Refused(Exception):
    """The server has answered, but not with 2xx. The message has its status and its words."""

    def __init__(self, status: int, body: bytes) -> None:
        super().__init__(f"the model answered {status}: {_words(body)}")
        self.status = status

    @property
    def is_final(self) -> bool:
        """Whether the same would be refused again."""
        return self.status < 500 and self.status not in (408, 429)


class NoAnswer(Exception):
    """There was none; the message says what happened instead."""


class Unreadable(Exception):
    """What was to be sent cannot be read. `fault` says why."""

    def __init__(self, fault: Exception) -> None:
        super().__init__(str(fault))
        self.fault = fault


class Asker:
    """Safe to share between threads, each of which has its own connection. `address` is host:port."""

    def __init__(
        self,
        address: str,
        *,
        headers: Mapping[str, str],
        timeout_s: float,
        most_retries: int,
        is_over: Callable[[], bool] = lambda: False,
        first_pause_s: float = _FIRST_PAUSE_S,
        last_wait_s: float = _LAST_WAIT_S,
    ) -> None:
        """`is_over` is looked at before each try: when it is so, nothing more is asked, and Interrupted raised."""
        self._host, _, port = address.rpartition(":")
        self._port = int(port)
        self._headers = headers
        self._timeout_s = timeout_s
        self._most_retries = most_retries
        self._is_over = is_over
        self._first_pause_s = first_pause_s
        self._last_wait_s = last_wait_s
        self._over = threading.Event()
        self._local = threading.local()
        self._open: set[http.client.HTTPConnection] = set()
        self._lock = threading.Lock()

    def parameters(self) -> Mapping[str, Any]:
        """What the server wants of the job (GET /execution-parameters); nothing where it does not say."""
        try:
            response = self._send("GET", "/execution-parameters", b"", _PARAMETERS_S)
            found = json.loads(b"".join(self._parts(response, _PARAMETERS_S)))
        except (OSError, http.client.HTTPException, ValueError, RecursionError):
            return {}
        finally:
            self._close()  # a server of one thread has no other for the next connection
        return found if response.status == 200 and isinstance(found, dict) else {}

    def ask(self, body: bytes) -> bytes:
        """The answer. Raises Refused, NoAnswer, Interrupted."""

        def once() -> bytes:
            deadline = time.monotonic() + self._timeout_s
            response = self._send("POST", "/invocations", body, self._timeout_s)
            return _accepted(response, b"".join(self._parts(response, deadline - time.monotonic())))

        return self._patiently(once)

    def stream(self, source: BinaryIO, target: BinaryIO) -> None:
        """One request whose body and answer may have any length. Both files are gone through again at each try.

        Raises as `ask`, and what reading `source` raises. The time limit is for every piece of the answer.
        """

        def once() -> bytes:
            source.seek(0)
            target.seek(0)
            target.truncate()
            response = self._send("POST", "/invocations", cast(BinaryIO, _Body(source)), self._timeout_s)
            if not 200 <= response.status < 300:
                body = response.read(_CHUNK)
                self._close()  # there may be more of it
                return _accepted(response, body)
            while part := response.read1(_CHUNK):
                target.write(part)
            _finish(response)
            return b""

        try:
            self._patiently(once)
        except Unreadable as unreadable:
            raise unreadable.fault from None

    def end(self) -> None:
        """Whoever waits, for an answer or between two tries, gets Interrupted."""
        self._over.set()
        with self._lock:
            connections = list(self._open)
        for connection in connections:
            with suppress(OSError, AttributeError):  # it may be closed, or be closed this moment
                connection.sock.shutdown(socket.SHUT_RDWR)

    def close(self) -> None:
        """Every connection; nobody asks any more."""
        with self._lock:
            connections, self._open = list(self._open), set()
        for connection in connections:
            connection.close()

    def _patiently(self, once: Callable[[], bytes]) -> bytes:
        pause_s = self._first_pause_s
        for retries_left in range(self._most_retries, -1, -1):
            self._check()
            try:
                return once()
            except Refused as refused:
                if not retries_left or refused.is_final:
                    raise
            except Unreadable:
                self._close()
                raise
            except (OSError, http.client.HTTPException) as fault:
                self._close()
                # a server that has just died is its own story, which `end` soon tells
                if not retries_left and not self._over.wait(self._last_wait_s):
                    self._check()
                    raise NoAnswer(_told(fault, self._timeout_s)) from fault
            self._over.wait(pause_s)
            pause_s = min(pause_s * 2, _LONGEST_PAUSE_S)
        raise Interrupted

    def _check(self) -> None:
        if self._over.is_set() or self._is_over():
            raise Interrupted

    def _send(
        self, method: str, path: str, body: bytes | BinaryIO, timeout_s: float
    ) -> http.client.HTTPResponse:
        """A kept-alive connection may have been closed at the other end meanwhile: that is no failed try."""
        was_used = getattr(self._local, "connection", None) is not None
        try:
            return self._send_once(method, path, body, timeout_s)
        except (http.client.RemoteDisconnected, BrokenPipeError, ConnectionResetError):
            self._close()
            if not was_used or self._over.is_set() or not isinstance(body, bytes):
                raise
        return self._send_once(method, path, body, timeout_s)

    def _send_once(
        self, method: str, path: str, body: bytes | BinaryIO, timeout_s: float
    ) -> http.client.HTTPResponse:
        connection = self._connection(timeout_s)
        headers = dict(self._headers)
        if not isinstance(body, bytes):
            headers["Transfer-Encoding"] = "chunked"
        try:
            connection.request(
                method, path, body=body, headers=headers, encode_chunked=not isinstance(body, bytes)
            )
        except BrokenPipeError:
            # the server may have refused before it read all; its answer says why
            if connection.sock is None:
                raise
        # a server that sends head and body apart waits for the first to be acknowledged: 40 ms, if nobody hurries
        connection.sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_QUICKACK, 1)
        return connection.getresponse()

    def _parts(self, response: http.client.HTTPResponse, timeout_s: float) -> Iterator[bytes]:
        deadline = time.monotonic() + timeout_s
        while part := response.read1(_CHUNK):
            yield part
            left_s = deadline - time.monotonic()
            if left_s <= 0:
                raise TimeoutError
            sock = self._local.connection.sock
            if sock is not None:
                sock.settimeout(left_s)
        _finish(response)

    def _connection(self, timeout_s: float) -> http.client.HTTPConnection:
        connection: http.client.HTTPConnection | None = getattr(self._local, "connection", None)
        if connection is None:
            connection = http.client.HTTPConnection(self._host, self._port, blocksize=_CHUNK)
            self._local.connection = connection
            with self._lock:
                self._open.add(connection)
        connection.timeout = timeout_s
        if connection.sock is not None:
            connection.sock.settimeout(timeout_s)
        return connection

    def _close(self) -> None:
        """The calling thread's connection."""
        connection: http.client.HTTPConnection | None = getattr(self._local, "connection", None)
        if connection is not None:
            connection.close()
            self._local.connection = None
            with self._lock:
                self._open.discard(connection)


class _Body:
    """A file to send, whose own faults are none of the connection's."""

    def __init__(self, source: BinaryIO) -> None:
        self._source = source

    def read(self, size: int) -> bytes:
        try:
            return self._source.read(size)
        except (OSError, EOFError, zlib.error) as fault:
            raise Unreadable(fault) from fault


def _finish(response: http.client.HTTPResponse) -> None:
    """After the last piece: makes sure that it was the last, and the connection fit for the next request."""
    if response.length:
        raise http.client.IncompleteRead(b"", response.length)
    response.read()


def _accepted(response: http.client.HTTPResponse, body: bytes) -> bytes:
    if 200 <= response.status < 300:
        return body
    raise Refused(response.status, body)


def _told(fault: Exception, timeout_s: float) -> str:
    if isinstance(fault, TimeoutError):
        return f"the model gave no answer within {timeout_s:g} s (InvocationsTimeoutInSeconds)"
    return f"the model gave no answer: {type(fault).__name__}: {fault}".rstrip(": ")


def _words(body: bytes) -> str:
    """The message of an error in JSON, else what there is."""
    text = body.decode("utf-8", "replace").strip()
    with suppress(ValueError, RecursionError):
        document = json.loads(text)
        if isinstance(document, dict):
            text = str(document.get("message") or document.get("Message") or text)
    return clip(" ".join(text.split()), _WORDS) or "(no text)"
