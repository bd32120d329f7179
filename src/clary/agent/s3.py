"""A small S3 client: path style, header signatures, and patience with a server that is away for a while.

Failures of the caller's making (4xx) are final and raise ClientFault with bucket and key. Everything else (no
connection, 5xx, throttling) is tried again with growing pauses until `patience_s` is over, then raises PlatformFault.
While it waits or copies it asks `interrupted` and raises Interrupted when that is so.
"""

from __future__ import annotations

import http.client
import re
import threading
import time
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import quote, unquote_plus, urlsplit

from clary.agent.contract import Access
from clary.agent.download import CHUNK, DiskTrouble, Download
from clary.agent.faults import ClientFault, Interrupted, PlatformFault
from clary.agent.sign import signed

_TIMEOUT_S = 60.0
_LONGEST_PAUSE_S = 5.0


@dataclass(frozen=True, slots=True)
class Location:
    bucket: str
    key: str

    def __str__(self) -> str:
        return f"s3://{self.bucket}/{self.key}"

    def below(self, name: str) -> Location:
        return Location(self.bucket, f"{self.key.rstrip('/')}/{name}" if self.key else name)


@dataclass(frozen=True, slots=True)
class Entry:
    key: str
    size: int


@dataclass(frozen=True, slots=True)
class Answer:
    status: int
    headers: Mapping[str, str]
    body: bytes


def parse_uri(uri: str) -> Location:
    """Raises ClientFault for anything but s3://bucket[/key]."""
    match = re.fullmatch(r"s3://([^/]+)(?:/(.*))?", uri, re.DOTALL)
    if not match:
        raise ClientFault(f"{uri!r} is not an S3 location: write s3://bucket/key")
    return Location(match[1], match[2] or "")


def _check_names_object(place: Location) -> None:
    """Without a key the same request would bring the bucket's listing."""
    if not place.key:
        raise ClientFault(f"{place} names a bucket: give the key of an object in it, s3://{place.bucket}/key")


class S3:
    """Safe to share between threads: each has its own connection. Left as a context, it closes all of them."""

    def __init__(
        self,
        access: Access,
        *,
        patience_s: float = 900.0,
        interrupted: Callable[[], bool] = lambda: False,
        clock: Callable[[], float] = time.time,
    ) -> None:
        self._access = access
        self._patience_s = patience_s
        self._interrupted = interrupted
        self._clock = clock
        self._address = urlsplit(access.endpoint)
        self._local = threading.local()
        self._open: set[http.client.HTTPConnection] = set()

    def __enter__(self) -> S3:
        return self

    def __exit__(self, *error: object) -> None:
        for connection in self._open:
            connection.close()

    def until(self, deadline: float) -> S3:
        """The same, but interrupted too when that time (monotonic seconds) has come."""
        return S3(
            self._access,
            patience_s=self._patience_s,
            interrupted=lambda: self._interrupted() or time.monotonic() >= deadline,
            clock=self._clock,
        )

    def list(self, place: Location) -> Iterator[Entry]:
        """Every object whose key starts with the place's key, in the order of their keys."""
        query = {"list-type": "2", "encoding-type": "url", "prefix": place.key}
        while True:
            text = self.ask("GET", Location(place.bucket, ""), query=query).body.decode()
            for item in re.findall(r"<Contents>(.*?)</Contents>", text, re.DOTALL):
                yield Entry(unquote_plus(tag(item, "Key")), int(tag(item, "Size") or 0))
            if tag(text, "IsTruncated") != "true":
                return
            query["continuation-token"] = tag(text, "NextContinuationToken")

    def read(self, place: Location) -> bytes:
        _check_names_object(place)
        return self.ask("GET", place).body

    def get(self, place: Location, path: Path) -> None:
        """Streams an object into a file. A broken transfer goes on where it broke, in the same version."""
        _check_names_object(place)
        with open(path, "wb") as file:
            download = Download(file, self._check)
            self._patiently("GET", place, lambda: self._get_once(place, download))

    def exists(self, place: Location) -> bool:
        return self.ask("HEAD", place, allowed=(404,)).status == 200

    def delete(self, place: Location) -> None:
        self.ask("DELETE", place, allowed=(404,))

    def ask(
        self,
        method: str,
        place: Location,
        *,
        query: Mapping[str, str] | None = None,
        body: bytes | memoryview = b"",
        allowed: tuple[int, ...] = (),
    ) -> Answer:
        """One request, repeated until it is answered; a refusal is returned only when its status is `allowed`."""

        def once() -> Answer:
            response = self._send(method, place, query or {}, body, {})
            return _whole(response)

        return self._patiently(method, place, once, allowed)

    def close(self) -> None:
        """The calling thread's connection."""
        connection: http.client.HTTPConnection | None = getattr(self._local, "connection", None)
        if connection is not None:
            connection.close()
            self._open.discard(connection)
            self._local.connection = None

    def _get_once(self, place: Location, download: Download) -> Answer:
        response = self._send("GET", place, {}, b"", download.headers())
        if response.status == 416 or response.status == 412:
            download.restart()
            response.read()
            return Answer(503, {}, b"")
        if response.status not in (200, 206):
            return _whole(response)
        download.receive(response)
        return Answer(response.status, {}, b"")

    def _patiently(
        self, method: str, place: Location, once: Callable[[], Answer], allowed: tuple[int, ...] = ()
    ) -> Answer:
        deadline = time.monotonic() + self._patience_s
        pause_s = 0.05
        while True:
            try:
                answer = once()
                if answer.status < 300 or answer.status in allowed:
                    return answer
                if answer.status < 500 and answer.status not in (408, 429):
                    raise _refusal(method, place, answer)
                trouble = f"status {answer.status}"
            except DiskTrouble as fault:
                self.close()
                raise ClientFault(f"{place} cannot be written to the job's volume: {fault}") from fault
            except (OSError, http.client.HTTPException) as fault:
                self.close()
                trouble = f"{type(fault).__name__}: {fault}"
            if time.monotonic() + pause_s > deadline:
                raise PlatformFault(
                    f"S3 gave no usable answer to {method} {place} in {self._patience_s:.0f} s ({trouble})"
                )
            self._pause(pause_s)
            pause_s = min(pause_s * 2, _LONGEST_PAUSE_S)

    def _pause(self, pause_s: float) -> None:
        end = time.monotonic() + pause_s
        while (left := end - time.monotonic()) > 0:
            self._check()
            time.sleep(min(left, 0.2))

    def _check(self) -> None:
        if self._interrupted():
            self.close()
            raise Interrupted

    def _send(
        self,
        method: str,
        place: Location,
        query: Mapping[str, str],
        body: bytes | memoryview,
        extra: Mapping[str, str],
    ) -> http.client.HTTPResponse:
        path = quote(f"/{place.bucket}/{place.key}" if place.key else f"/{place.bucket}", safe="/~")
        text = "&".join(
            f"{quote(name, safe='~')}={quote(value, safe='~')}" for name, value in sorted(query.items())
        )
        headers = {"host": self._address.netloc.rpartition("@")[2], **extra}
        if method in ("PUT", "POST"):
            headers["content-length"] = str(len(body))
        headers = signed(self._access, method, path, text, headers, body, now=self._clock())
        connection = self._connection()
        connection.putrequest(
            method, path + (f"?{text}" if text else ""), skip_host=True, skip_accept_encoding=True
        )
        for name, value in headers.items():
            connection.putheader(name, value)
        connection.endheaders()
        try:
            for start in range(0, len(body), CHUNK):
                connection.send(body[start : start + CHUNK])
        except (BrokenPipeError, ConnectionResetError):
            pass  # the server may have refused before it read all; its answer says why
        return connection.getresponse()

    def _connection(self) -> http.client.HTTPConnection:
        connection: http.client.HTTPConnection | None = getattr(self._local, "connection", None)
        if connection is None:
            connection = self._local.connection = self._connect()
            self._open.add(connection)
        return connection

    def _connect(self) -> http.client.HTTPConnection:
        host, port = self._address.hostname or "127.0.0.1", self._address.port
        if self._address.scheme != "https":
            return http.client.HTTPConnection(host, port, timeout=_TIMEOUT_S)
        import ssl

        context = ssl.create_default_context(cafile=self._access.ca_bundle)
        return http.client.HTTPSConnection(host, port, timeout=_TIMEOUT_S, context=context)


def tag(text: str, name: str) -> str:
    """The content of the first element of that name; empty without one."""
    match = re.search(f"<{name}>(.*?)</{name}>", text, re.DOTALL)
    return _unescape(match[1]) if match else ""


def _unescape(text: str) -> str:
    """XML's own entities; S3 uses no others."""
    for name, character in (
        ("lt", "<"),
        ("gt", ">"),
        ("quot", '"'),
        ("apos", "'"),
        ("#34", '"'),
        ("#39", "'"),
    ):
        text = text.replace(f"&{name};", character)
    return text.replace("&amp;", "&")


def _whole(response: http.client.HTTPResponse) -> Answer:
    headers = {name.lower(): value for name, value in response.getheaders()}
    return Answer(response.status, headers, response.read())


_HINTS = {
    "NoSuchBucket": "there is no such bucket",
    "NoSuchKey": "there is no such object",
    "AccessDenied": "access is denied",
}


def _refusal(method: str, place: Location, answer: Answer) -> ClientFault:
    text = answer.body.decode("utf-8", "replace")
    code = tag(text, "Code") or f"status {answer.status}"
    message = _HINTS.get(code) or tag(text, "Message") or "no further word"
    return ClientFault(f"{method} {place} was refused: {message} ({code})")
