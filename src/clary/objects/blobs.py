"""Content as immutable files under random names, apart from any key.

A blob is written once, synced with its folder before the index speaks of it, and unlinked when the index no longer
does. Readers hold blobs by a pin, so that content of many segments can be opened segment by segment; a blob
discarded under a pin goes when the last pin does.
"""

from __future__ import annotations

import errno
import os
import threading
from collections import Counter
from collections.abc import Callable, Container, Generator, Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path
from types import TracebackType
from typing import Self

from clary.errors import InternalFailure
from clary.objects.base import OutOfSpace, Segment

CHUNK = 1 << 20
_NO_SPACE = frozenset({errno.ENOSPC, errno.EDQUOT, errno.EFBIG})


class Blobs:
    """The folder of blobs, spread over 256 folders by the first two digits of their names."""

    def __init__(self, folder: Path, new_id: Callable[[int], str]) -> None:
        self._folder = folder
        self._new_id = new_id
        self._lock = threading.Lock()
        self._pins: Counter[str] = Counter()
        self._doomed: set[str] = set()
        _make_folders(folder)

    def path(self, blob: str) -> Path:
        return self._folder / blob[:2] / blob

    def claim(self, index: str) -> bool:
        """Note, once and for ever, which index these blobs belong to; True if it is this one."""
        note = self._folder / "index"
        if not note.exists():
            if any(self._folder.glob("??/*")):
                return False
            draft = self._folder / "index.new"
            draft.write_text(index)
            draft.replace(note)
            sync_folder(self._folder)
        return note.read_text() == index

    def stage(self) -> StagedFile:
        blob = self._new_id(32)
        path = self.path(blob)
        with full_disk_told():
            fd = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600)
        return StagedFile(blob, path, fd)

    def stage_link(self, segment: Segment) -> StagedFile | None:
        """The same file under a new name; None where the file system cannot do that."""
        blob = self._new_id(32)
        path = self.path(blob)
        try:
            os.link(self.path(segment.blob), path)
        except OSError as error:
            if error.errno in {errno.EPERM, errno.EMLINK, errno.ENOTSUP, errno.ENOSYS}:
                return None
            raise
        return StagedFile(blob, path, None, segment.size)

    def open(self, blob: str) -> int:
        return os.open(self.path(blob), os.O_RDONLY | os.O_CLOEXEC)

    def pin(self, blobs: Iterable[str]) -> None:
        with self._lock:
            self._pins.update(blobs)

    def unpin(self, blobs: Iterable[str]) -> None:
        with self._lock:
            for blob in blobs:
                self._pins[blob] -= 1
                if self._pins[blob] == 0:
                    del self._pins[blob]
                    if blob in self._doomed:
                        self._doomed.remove(blob)
                        self.path(blob).unlink(missing_ok=True)

    def discard(self, blobs: Iterable[str]) -> None:
        with self._lock:
            for blob in blobs:
                if blob in self._pins:
                    self._doomed.add(blob)
                else:
                    self.path(blob).unlink(missing_ok=True)

    def sweep(self, used: Container[str]) -> int:
        """Unlink every file but the used ones; how many went."""
        stray = [path for path in self._folder.glob("??/*") if path.name not in used]
        for path in stray:
            path.unlink()
        return len(stray)


class StagedFile:
    """A blob being written (see `base.Staged`). `fd` None: a link to content that is complete already."""

    def __init__(self, blob: str, path: Path, fd: int | None, size: int = 0) -> None:
        self._blob = blob
        self._path = path
        self._fd = fd
        self._size = size
        self._kept = False

    @property
    def size(self) -> int:
        return self._size

    def write(self, data: bytes, /) -> None:
        if self._fd is None:
            raise ValueError("this content is complete")
        view = memoryview(data)
        with full_disk_told():
            while view:
                written = os.write(self._fd, view)
                self._size += written
                view = view[written:]

    def seal(self) -> Segment:
        """The content and its name are on disk when this returns; nothing more can be written."""
        with full_disk_told():
            if self._fd is not None:
                os.fsync(self._fd)
                self._close()
            sync_folder(self._path.parent)
        return Segment(self._blob, self._size)

    def keep(self) -> None:
        """The index is about to refer to it. If that fails after all, a sweep will find it."""
        self._kept = True

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None, /
    ) -> None:
        self._close()
        if not self._kept:
            self._path.unlink(missing_ok=True)

    def _close(self) -> None:
        fd, self._fd = self._fd, None
        if fd is not None:
            os.close(fd)


class SegmentStream(Iterator[bytes]):
    """The bytes of a stretch over several blobs, opened one at a time. Holds a pin on them until it is closed."""

    def __init__(self, blobs: Blobs, pieces: list[tuple[str, int, int]]) -> None:
        """`pieces`: blob, offset and length, in order."""
        self._blobs = blobs
        self._names = [blob for blob, _, _ in pieces]
        self._chunks = _read(blobs, pieces)
        self._open = True
        blobs.pin(self._names)

    def __iter__(self) -> Self:
        return self

    def __next__(self) -> bytes:
        try:
            return next(self._chunks)
        except StopIteration:
            self.close()
            raise

    def close(self) -> None:
        self._chunks.close()
        if self._open:
            self._open = False
            self._blobs.unpin(self._names)

    def __del__(self) -> None:
        # a response that was never sent to its end must not hold blobs for ever
        self.close()


def _read(blobs: Blobs, pieces: list[tuple[str, int, int]]) -> Generator[bytes, None, None]:
    for blob, offset, length in pieces:
        fd = blobs.open(blob)
        try:
            end = offset + length
            while offset < end:
                data = os.pread(fd, min(CHUNK, end - offset), offset)
                if not data:
                    raise InternalFailure(f"Content of this object is missing: blob {blob} ends at {offset}.")
                offset += len(data)
                yield data
        finally:
            os.close(fd)


@contextmanager
def full_disk_told() -> Iterator[None]:
    """Turns the system's word for a full disk, quota or file size into OutOfSpace."""
    try:
        yield
    except OSError as error:
        if error.errno in _NO_SPACE:
            raise OutOfSpace from error
        raise


def sync_folder(folder: Path) -> None:
    fd = os.open(folder, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        os.fsync(fd)
    finally:
        os.close(fd)


def _make_folders(folder: Path) -> None:
    folder.mkdir(mode=0o700, parents=True, exist_ok=True)
    for number in range(256):
        (folder / f"{number:02x}").mkdir(mode=0o700, exist_ok=True)
    sync_folder(folder)
