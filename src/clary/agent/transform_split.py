"""Cuts an object into records, and records into requests. Pure: reads a stream, holds one record and one request.

    None       the object is the record
    Line       a line, whose end (`\\n` or `\\r\\n`) is no part of it
    RecordIO   MXNet's frames: magic number, flag and length, padding to four bytes
    TFRecord   length, its checksum, data, its checksum

A request of one record carries what is in the frame; one of several carries the frames, as they stand in the object.
"""

from __future__ import annotations

import struct
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from itertools import count
from typing import BinaryIO, Literal

Split = Literal["None", "Line", "RecordIO", "TFRecord"]

_RECORDIO_MAGIC = 0xCED7230A
_LENGTH_BITS = 29
_WHOLE, _FIRST, _MIDDLE, _LAST = range(4)
_TF_FRAME = 16
_CRC_POLYNOMIAL = 0x82F63B78
_CRC_MASK = 0xA282EAD8


class BadRecord(Exception):
    """Records `first` to `last` cannot be had, or used; 0 stands for the object as a whole.

    They count from 1; for lines, it is the lines that count. `kind` is SageMaker's word for whose fault it is.
    """

    def __init__(self, first: int, words: str, *, last: int | None = None, kind: str = "ClientError") -> None:
        super().__init__(words)
        self.first = first
        self.last = first if last is None else last
        self.kind = kind

    def __str__(self) -> str:
        words = super().__str__()
        if not self.first:
            return words
        if self.first == self.last:
            return f"record {self.first}: {words}"
        return f"records {self.first} to {self.last}: {words}"


@dataclass(frozen=True, slots=True)
class Record:
    """`data` is what it says, `framed` how it stands in the object."""

    number: int
    data: bytes
    framed: bytes


@dataclass(frozen=True, slots=True)
class Batch:
    """One request: `numbers` are its records', `pieces` what is sent of each; `originals` their data, if it is kept."""

    numbers: tuple[int, ...]
    pieces: tuple[bytes, ...]
    originals: tuple[bytes, ...] = ()

    @property
    def body(self) -> bytes:
        return self.pieces[0] if len(self.pieces) == 1 else b"".join(self.pieces)

    def halves(self) -> tuple[Batch, Batch]:
        middle = len(self.pieces) // 2
        first, second = slice(middle), slice(middle, None)
        return (
            Batch(self.numbers[first], self.pieces[first], self.originals[first]),
            Batch(self.numbers[second], self.pieces[second], self.originals[second]),
        )


def records(source: BinaryIO, split: Split, *, limit: int, skip_blank: bool = False) -> Iterator[Record]:
    """The records of an object, in order. `limit`: the most bytes of one. `skip_blank`: a blank line is no record.

    Raises BadRecord for one that is too long or cut short; the stream's own errors for what cannot be read.
    """
    if split == "Line":
        return _lines(source, limit, skip_blank)
    if split == "RecordIO":
        return _recordio(source, limit)
    if split == "TFRecord":
        return _tfrecords(source, limit)
    return _whole(source, limit)


def batches(
    found: Iterable[Record],
    *,
    single: bool,
    limit: int,
    prepare: Callable[[bytes], bytes] | None = None,
    keep: bool = False,
) -> Iterator[Batch]:
    """Requests of one record (`single`), or of as many in a row as fit into `limit` bytes.

    `prepare` makes what is sent of a record's data, which is then a line of its own. `keep`: keep the originals.
    Raises BadRecord for one that does not fit, or that `prepare` raises ValueError for.
    """
    numbers: list[int] = []
    pieces: list[bytes] = []
    originals: list[bytes] = []
    size = 0
    for record in found:
        piece = _piece(record, single, prepare)
        if len(piece) > limit:
            raise _too_long(record.number, len(piece), limit)
        if pieces and (single or size + len(piece) > limit):
            yield Batch(tuple(numbers), tuple(pieces), tuple(originals))
            numbers, pieces, originals, size = [], [], [], 0
        numbers.append(record.number)
        pieces.append(piece)
        size += len(piece)
        if keep:
            originals.append(record.data)
    if pieces:
        yield Batch(tuple(numbers), tuple(pieces), tuple(originals))


def _piece(record: Record, single: bool, prepare: Callable[[bytes], bytes] | None) -> bytes:
    if prepare is None:
        return record.data if single else record.framed
    try:
        made = prepare(record.data)
    except ValueError as fault:
        raise BadRecord(record.number, str(fault)) from None
    made = made.removesuffix(b"\n")
    return made if single else made + b"\n"


def _whole(source: BinaryIO, limit: int) -> Iterator[Record]:
    data = source.read(limit + 1)
    if len(data) > limit:
        raise BadRecord(
            0, f"it is larger than {limit:,} bytes (MaxPayloadInMB): raise that, or give a SplitType"
        )
    if data:
        yield Record(1, data, data)


def _lines(source: BinaryIO, limit: int, skip_blank: bool) -> Iterator[Record]:
    for number in count(1):
        line = source.readline(limit + 2)
        if not line:
            return
        data = line.removesuffix(b"\n")
        if len(data) > limit and len(data) == len(line):
            raise _too_long(number, None, limit)
        if len(data) < len(line):
            data = data.removesuffix(b"\r")
        if not (skip_blank and not data.strip()):
            yield Record(number, data, line)


def _recordio(source: BinaryIO, limit: int) -> Iterator[Record]:
    """A record that holds the magic number is stored in parts, with the number between them left out."""
    for number in count(1):
        data, framed, flag = b"", b"", _MIDDLE
        while flag in (_FIRST, _MIDDLE):
            header = _take(source, 8, number, may_end=not framed)
            if not header:
                return
            magic, packed = struct.unpack("<II", header)
            flag, length = packed >> _LENGTH_BITS, packed & ((1 << _LENGTH_BITS) - 1)
            if magic != _RECORDIO_MAGIC or (flag in (_WHOLE, _FIRST)) == bool(framed) or flag > _LAST:
                raise BadRecord(number, "it does not begin as a record of RecordIO does: is SplitType right?")
            if len(data) + length > limit:
                raise _too_long(number, len(data) + length, limit)
            part = _take(source, length + -length % 4, number)
            data += struct.pack("<I", magic) + part[:length] if framed else part[:length]
            framed += header + part
        yield Record(number, data, framed)


def _tfrecords(source: BinaryIO, limit: int) -> Iterator[Record]:
    for number in count(1):
        header = _take(source, 12, number, may_end=True)
        if not header:
            return
        length, checksum = struct.unpack("<QI", header)
        if checksum != masked_crc(header[:8]):
            raise BadRecord(number, "the checksum of its length is wrong: is SplitType right?")
        if length + _TF_FRAME > limit:
            raise _too_long(number, length + _TF_FRAME, limit)
        rest = _take(source, length + 4, number)
        yield Record(number, rest[:length], header + rest)


def _take(source: BinaryIO, size: int, number: int, *, may_end: bool = False) -> bytes:
    data = source.read(size)
    if len(data) < size and not (may_end and not data):
        raise BadRecord(number, "the object ends in the middle of it")
    return data


def _too_long(number: int, size: int | None, limit: int) -> BadRecord:
    told = f"{size:,} bytes" if size is not None else "more"
    return BadRecord(number, f"it has {told}, and a request holds {limit:,} (MaxPayloadInMB)")


def masked_crc(data: bytes) -> int:
    """The checksum of TFRecord: CRC-32C, rotated and shifted."""
    crc = 0xFFFFFFFF
    for byte in data:
        crc = _CRC_TABLE[(crc ^ byte) & 0xFF] ^ crc >> 8
    crc ^= 0xFFFFFFFF
    return ((crc >> 15 | crc << 17) + _CRC_MASK) & 0xFFFFFFFF


def _crc_table() -> tuple[int, ...]:
    table = []
    for value in range(256):
        for _ in range(8):
            value = value >> 1 ^ (_CRC_POLYNOMIAL if value & 1 else 0)
        table.append(value)
    return tuple(table)


_CRC_TABLE = _crc_table()
