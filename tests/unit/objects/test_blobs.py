"""Blob files: staged, kept, pinned, swept."""

from __future__ import annotations

import os
import resource
import secrets
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from clary.objects.base import OutOfSpace
from clary.objects.blobs import Blobs, SegmentStream


@pytest.fixture
def blobs(tmp_path: Path) -> Blobs:
    return Blobs(tmp_path / "blobs", lambda n: secrets.token_hex(n // 2))


def files(tmp_path: Path) -> list[str]:
    return [path.name for path in (tmp_path / "blobs").glob("??/*")]


def keep(blobs: Blobs, data: bytes) -> str:
    with blobs.stage() as staged:
        staged.write(data)
        segment = staged.seal()
        staged.keep()
    return segment.blob


def read(blobs: Blobs, blob: str) -> bytes:
    return blobs.path(blob).read_bytes()


@contextmanager
def largest_file(size: int) -> Iterator[None]:
    """The system itself refuses to let a file grow beyond so many bytes."""
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (size, hard))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))


def test_only_what_is_kept_stays(blobs: Blobs, tmp_path: Path) -> None:
    with blobs.stage() as staged:
        staged.write(b"dropped")
        staged.seal()
    assert files(tmp_path) == []
    blob = keep(blobs, b"kept")
    assert files(tmp_path) == [blob]
    assert read(blobs, blob) == b"kept"
    with pytest.raises(ValueError, match="complete"):
        staged.write(b"more")


def test_files_and_folders_are_private(blobs: Blobs, tmp_path: Path) -> None:
    path = blobs.path(keep(blobs, b"x"))
    modes = [part.stat().st_mode & 0o777 for part in (path, path.parent, path.parent.parent)]
    assert modes == [0o600, 0o700, 0o700]


def test_a_full_disk_is_told_and_leaves_nothing(blobs: Blobs, tmp_path: Path) -> None:
    with largest_file(100_000), pytest.raises(OutOfSpace) as caught, blobs.stage() as staged:
        for _ in range(3):
            staged.write(b"x" * 65_536)
    assert (caught.value.code, caught.value.status) == ("InsufficientStorage", 507)
    assert files(tmp_path) == []


def test_a_link_is_a_blob_of_its_own(blobs: Blobs, tmp_path: Path) -> None:
    with blobs.stage() as staged:
        staged.write(b"shared")
        first = staged.seal()
        staged.keep()
    linked = blobs.stage_link(first)
    assert linked is not None
    with linked:
        assert linked.size == 6
        second = linked.seal()
        linked.keep()
    blobs.discard([first.blob])
    assert files(tmp_path) == [second.blob]
    assert read(blobs, second.blob) == b"shared"


def test_a_pinned_blob_goes_with_its_last_pin(blobs: Blobs, tmp_path: Path) -> None:
    one, two = keep(blobs, b"1"), keep(blobs, b"2")
    blobs.pin([one, two])
    blobs.pin([one])
    blobs.discard([one, two])
    blobs.unpin([one, two])
    assert files(tmp_path) == [one]
    blobs.unpin([one])
    assert files(tmp_path) == []


def test_a_pin_alone_keeps_and_loses_nothing(blobs: Blobs, tmp_path: Path) -> None:
    one = keep(blobs, b"1")
    blobs.pin([one])
    blobs.unpin([one])
    assert files(tmp_path) == [one]


def test_a_stream_reads_its_pieces_in_order(blobs: Blobs, tmp_path: Path) -> None:
    one, two = keep(blobs, b"0123456789"), keep(blobs, b"abcdef")
    stream = SegmentStream(blobs, [(one, 7, 3), (two, 0, 2), (one, 0, 1)])
    blobs.discard([one, two])
    assert b"".join(stream) == b"789ab0"
    assert files(tmp_path) == []
    assert next(stream, None) is None


def test_a_sweep_spares_what_is_used(blobs: Blobs, tmp_path: Path) -> None:
    one, _two = keep(blobs, b"1"), keep(blobs, b"2")
    assert blobs.sweep({one}) == 1
    assert files(tmp_path) == [one]


def test_a_failed_stage_closes_its_file(blobs: Blobs) -> None:
    before = len(os.listdir("/proc/self/fd"))  # noqa: PTH208
    for _ in range(10):
        with pytest.raises(KeyError), blobs.stage() as staged:
            staged.write(b"x")
            raise KeyError
    assert len(os.listdir("/proc/self/fd")) == before  # noqa: PTH208
