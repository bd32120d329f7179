"""Content on its way into the object store: read once, hashed and checked, written to a staged blob."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from io import BytesIO
from typing import Any

from clary.objects.base import Staged
from clary.wire.checksums import BLOCK, CheckedBody, checked
from clary.wire.http import Body


class IteratedBody:
    """An iterator of chunks as a body (see `wire.http.Body`)."""

    def __init__(self, chunks: Iterator[bytes]) -> None:
        self._chunks = chunks
        self._rest = b""

    def read(self, size: int = -1, /) -> bytes:
        if size < 0:
            return self._rest + b"".join(self._chunks)
        data = self._rest or next(self._chunks, b"")
        data, self._rest = data[:size], data[size:]
        return data


def receive(
    request: Mapping[str, Any], headers: Mapping[str, str], staged: Staged, *, also: Iterable[str] = ()
) -> CheckedBody:
    """Read the body of an upload into a staged blob; the result tells its digests. `also`: checksums to compute too.

    Raises S3Fault BadDigest and others when the content is not what was announced.
    """
    return _drain(checked(_body(request), headers, also=also), staged)


def duplicate(chunks: Iterator[bytes], staged: Staged, *, also: Iterable[str] = ()) -> CheckedBody:
    """The same for content that is here already."""
    return _drain(checked(IteratedBody(chunks), {}, also=also), staged)


def _body(request: Mapping[str, Any]) -> Body:
    body: Any = request.get("Body")
    return BytesIO(body or b"") if body is None or isinstance(body, bytes) else body


def _drain(body: CheckedBody, staged: Staged) -> CheckedBody:
    while data := body.read(BLOCK):
        staged.write(data)
    return body
