"""Reading a job's log file (`clary.agent.contract`: `<epoch ms>\t<text>\n`, times never decreasing).

A position is a byte offset at which a line begins. The file may grow at any moment; what is not yet ended by a
newline is not there. Nothing here reads more of the file than the answer needs.

The log of a program that never ends has a hole at its beginning, where the oldest lines were; offsets stay as they are.
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO

CHUNK = 32 * 1024


@dataclass(frozen=True, slots=True)
class Line:
    """`at_ms` is milliseconds since the epoch; the line lies at bytes [start, end) of the file."""

    at_ms: int
    text: str
    start: int
    end: int


def whole_size(path: Path) -> int:
    """The offset behind the last whole line; 0 for a file that is not there yet."""
    try:
        with path.open("rb") as file:
            return _last_newline(file, file.seek(0, 2)) + 1
    except FileNotFoundError:
        return 0


def is_line_start(path: Path, offset: int) -> bool:
    if offset == 0:
        return True
    try:
        with path.open("rb") as file:
            file.seek(offset - 1)
            return file.read(1) in (b"\n", b"\0")
    except FileNotFoundError:
        return False


def find_time(path: Path, at_ms: int) -> int:
    """The offset of the first line at or after `at_ms`; behind the last whole line if there is none."""
    high = whole_size(path)
    if high == 0 or at_ms <= 0:
        return 0
    low = _behind_hole(path)
    with path.open("rb") as file:
        while low < high:
            middle = _line_start(file, (low + high) // 2)
            file.seek(middle)
            raw = file.readline()
            line = _parse(raw, middle)
            if line is not None and line.at_ms >= at_ms:
                high = middle
            else:
                low = middle + len(raw)
    return low


def read_forward(path: Path, start: int) -> Iterator[Line]:
    """Whole lines from `start` to the present end. The file is open only while a chunk is read."""
    rest = b""
    offset = start
    while chunk := _read_at(path, offset + len(rest), CHUNK):
        if not rest and chunk.startswith(b"\0") and (first := _behind_hole(path)) > offset:
            offset = first
            continue
        *lines, rest = (rest + chunk).split(b"\n")
        for raw in lines:
            line = _parse(raw + b"\n", offset)
            offset += len(raw) + 1
            if line is not None:
                yield line


def read_backward(path: Path, end: int) -> Iterator[Line]:
    """Whole lines from the one that ends at `end` to the first of the file."""
    rest = b""
    position, first_line = end, _behind_hole(path)
    if end <= first_line:
        return
    while position > first_line:
        size = min(CHUNK, position - first_line)
        position -= size
        block = _read_at(path, position, size) + rest
        # A block's first piece may be the tail of a line that begins before it.
        first, *lines = block.split(b"\n")
        at = position + len(block)
        for piece in reversed(lines[:-1]):
            at -= len(piece) + 1
            line = _parse(piece + b"\n", at)
            if line is not None:
                yield line
        rest = first + b"\n"
    line = _parse(rest, first_line)
    if line is not None:
        yield line


def last_time(path: Path) -> int | None:
    """When the last whole line was written, in milliseconds since the epoch."""
    line = next(read_backward(path, whole_size(path)), None)
    return line.at_ms if line else None


def first_time(path: Path) -> int | None:
    line = next(read_forward(path, 0), None)
    return line.at_ms if line else None


def _behind_hole(path: Path) -> int:
    """The offset of the first whole line: 0, unless there is a hole, which may be many times the memory."""
    if _read_at(path, 0, 1) != b"\0":
        return 0
    with path.open("rb", buffering=0) as file:
        try:
            first = os.lseek(file.fileno(), 0, os.SEEK_DATA)
        except OSError:  # a hole and nothing else
            return file.seek(0, 2)
    with path.open("rb") as data:
        data.seek(first)
        data.readline()
        return data.tell()


def _parse(raw: bytes, start: int) -> Line | None:
    head, tab, text = raw.partition(b"\t")
    if not (tab and head.isdigit() and len(head) < 16 and raw.endswith(b"\n")):
        return None
    return Line(int(head), text[:-1].decode("utf-8", "replace"), start, start + len(raw))


def _read_at(path: Path, offset: int, size: int) -> bytes:
    try:
        with path.open("rb", buffering=0) as file:
            file.seek(offset)
            return file.read(size)
    except FileNotFoundError:
        return b""


def _line_start(file: BinaryIO, offset: int) -> int:
    """The beginning of the line that byte `offset` belongs to."""
    return _last_newline(file, offset) + 1


def _last_newline(file: BinaryIO, end: int) -> int:
    """The offset of the last newline before `end`, or -1."""
    while end > 0:
        size = min(CHUNK, end)
        file.seek(end - size)
        found = file.read(size).rfind(b"\n")
        if found >= 0:
            return end - size + found
        end -= size
    return -1
