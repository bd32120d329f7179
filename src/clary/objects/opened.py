"""Reading an object while others may overwrite or delete it."""

from __future__ import annotations

from collections.abc import Iterator
from types import TracebackType
from typing import Self

from clary.objects.base import Object
from clary.objects.blobs import Blobs, SegmentStream
from clary.wire.http import FileBody


class OpenedObject:
    """See `base.Opened`."""

    def __init__(self, found: Object, blobs: Blobs) -> None:
        self._object = found
        self._blobs = blobs
        self._names = [segment.blob for segment in found.segments]
        self._open = True
        blobs.pin(self._names)

    @property
    def object(self) -> Object:
        return self._object

    def body(self, offset: int, length: int) -> FileBody | Iterator[bytes]:
        pieces = self._pieces(offset, length)
        if len(pieces) > 1:
            return SegmentStream(self._blobs, pieces)
        blob, start, count = pieces[0] if pieces else (self._names[0], 0, 0)
        return FileBody(self._blobs.open(blob), start, count, self._blobs.path(blob))

    def chunks(self, offset: int, length: int) -> Iterator[bytes]:
        return SegmentStream(self._blobs, self._pieces(offset, length))

    def close(self) -> None:
        if self._open:
            self._open = False
            self._blobs.unpin(self._names)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None, /
    ) -> None:
        self.close()

    def _pieces(self, offset: int, length: int) -> list[tuple[str, int, int]]:
        pieces = []
        end = offset + length
        at = 0
        for segment in self._object.segments:
            start, stop = max(offset, at), min(end, at + segment.size)
            if start < stop:
                pieces.append((segment.blob, start - at, stop - start))
            at += segment.size
        return pieces
