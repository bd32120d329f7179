"""Objects cut into records and requests: nothing lost, nothing doubled, in order."""

from __future__ import annotations

import gzip
import io
import struct
from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from clary.agent.transform_split import BadRecord, Split, batches, masked_crc, records

MAGIC = struct.pack("<I", 0xCED7230A)
LIMIT = 1 << 20

datas = st.lists(st.binary(max_size=40), max_size=12)
texts = st.lists(st.binary(max_size=20).map(lambda data: data.replace(b"\n", b"")), max_size=12)


def recordio(items: list[bytes]) -> bytes:
    """As MXNet writes it: a record is parted where it holds the magic number at a multiple of four."""
    out = b""
    for data in items:
        parts, start = [], 0
        for position in range(0, len(data) - 3, 4):
            if data[position : position + 4] == MAGIC:
                parts.append(data[start:position])
                start = position + 4
        parts.append(data[start:])
        for index, part in enumerate(parts):
            flag = 0 if len(parts) == 1 else 1 if index == 0 else 3 if index == len(parts) - 1 else 2
            out += MAGIC + struct.pack("<I", flag << 29 | len(part)) + part + b"\0" * (-len(part) % 4)
    return out


def tfrecord(items: list[bytes]) -> bytes:
    out = b""
    for data in items:
        length = struct.pack("<Q", len(data))
        out += length + struct.pack("<I", masked_crc(length)) + data + struct.pack("<I", masked_crc(data))
    return out


def cut(data: bytes, split: Split, *, single: bool, limit: int = LIMIT) -> list[bytes]:
    found = records(io.BytesIO(data), split, limit=limit)
    return [batch.body for batch in batches(found, single=single, limit=limit)]


@given(texts, st.sampled_from([b"\n", b"\r\n"]), st.booleans())
def test_lines_come_one_by_one_without_their_ends(lines: list[bytes], end: bytes, ends: bool) -> None:
    lines = [line.replace(b"\r", b"") for line in lines]
    data = end.join(lines) + (end if ends and lines else b"")
    expected = lines if ends else lines[:-1] if lines and not lines[-1] else lines
    assert cut(data, "Line", single=True) == expected


@given(st.binary(max_size=200), st.integers(1, 60))
def test_requests_of_several_lines_are_the_object_again(data: bytes, limit: int) -> None:
    try:
        bodies = cut(data, "Line", single=False, limit=limit)
    except BadRecord:
        assert max(map(len, data.split(b"\n"))) > limit or b"\n" in data
        return
    assert b"".join(bodies) == data
    assert all(0 < len(body) <= limit for body in bodies)
    # as many as fit: the first line of the next would not have
    for body, following in pairwise(bodies):
        first = following[: following.find(b"\n") + 1] or following
        assert len(body) + len(first) > limit


@given(st.lists(st.binary(max_size=40) | st.just(b"abcd" + MAGIC + b"efgh") | st.just(MAGIC * 2), max_size=8))
def test_recordio_gives_back_what_was_written(items: list[bytes]) -> None:
    data = recordio(items)
    assert cut(data, "RecordIO", single=True) == items
    assert b"".join(cut(data, "RecordIO", single=False)) == data


@given(datas)
def test_tfrecords_give_back_what_was_written(items: list[bytes]) -> None:
    data = tfrecord(items)
    assert cut(data, "TFRecord", single=True) == items
    assert b"".join(cut(data, "TFRecord", single=False)) == data


def test_the_checksum_is_crc_32c() -> None:
    unmasked = (masked_crc(b"123456789") - 0xA282EAD8) & 0xFFFFFFFF
    assert (unmasked << 15 | unmasked >> 17) & 0xFFFFFFFF == 0xE3069283


@given(datas.filter(bool), st.data())
def test_an_object_cut_short_is_told_with_its_record(items: list[bytes], data: st.DataObject) -> None:
    for split, written in (("RecordIO", recordio(items)), ("TFRecord", tfrecord(items))):
        starts = [len(recordio(items[:n]) if split == "RecordIO" else tfrecord(items[:n])) for n in range(20)]
        length = data.draw(st.integers(1, len(written) - 1).filter(lambda n, starts=starts: n not in starts))
        with pytest.raises(BadRecord, match="ends in the middle") as caught:
            cut(written[:length], split, single=True)  # type: ignore[arg-type]
        assert caught.value.first == sum(start < length for start in sorted(set(starts)))


@pytest.mark.parametrize("split", ["RecordIO", "TFRecord"])
def test_what_is_no_frame_is_told(split: Split) -> None:
    with pytest.raises(BadRecord, match=r"^record 1: .*is SplitType right\?"):
        cut(b"a plain text of some length\n", split, single=True)


def test_an_object_is_one_record_without_a_split() -> None:
    assert cut(b"a\nb\n", "None", single=True) == [b"a\nb\n"]
    assert cut(b"", "None", single=True) == []
    with pytest.raises(BadRecord, match="larger than 3 bytes"):
        cut(b"abcd", "None", single=True, limit=3)


def test_a_record_too_long_is_told_with_its_number() -> None:
    with pytest.raises(BadRecord, match=r"record 3: it has 5 bytes, and a request holds 4"):
        cut(b"a\nb\nlonge\n", "Line", single=True, limit=4)
    with pytest.raises(BadRecord, match=r"record 2: it has more, and a request holds 4"):
        cut(b"a\n" + b"x" * 1000, "Line", single=True, limit=4)
    assert cut(b"a\nlong", "Line", single=True, limit=4) == [b"a", b"long"]
    assert cut(b"a\nlong\r\nb", "Line", single=True, limit=4) == [b"a", b"long", b"b"]
    with pytest.raises(BadRecord, match="record 1: it has 8"):
        cut(recordio([b"12345678"]), "RecordIO", single=True, limit=4)


def test_blank_lines_count_and_are_left_out_where_they_are_no_records() -> None:
    found = list(records(io.BytesIO(b"\n1\n  \r\n2\n\n"), "Line", limit=9, skip_blank=True))
    assert [(record.number, record.data) for record in found] == [(2, b"1"), (4, b"2")]
    assert len(list(records(io.BytesIO(b"\n1\n  \r\n2\n\n"), "Line", limit=9))) == 5


def test_what_is_prepared_is_sent_and_what_was_is_kept() -> None:
    found = records(io.BytesIO(b"ab\ncd\nef"), "Line", limit=9)
    made = list(batches(found, single=False, limit=6, prepare=bytes.upper, keep=True))
    assert [(batch.numbers, batch.body, batch.originals) for batch in made] == [
        ((1, 2), b"AB\nCD\n", (b"ab", b"cd")),
        ((3,), b"EF\n", (b"ef",)),
    ]
    assert [half.pieces for half in made[0].halves()] == [(b"AB\n",), (b"CD\n",)]


def test_a_record_that_cannot_be_prepared_is_told() -> None:
    def refuse(data: bytes) -> bytes:
        raise ValueError("no")

    with pytest.raises(BadRecord, match="record 1: no"):
        list(batches(records(io.BytesIO(b"a"), "Line", limit=9), single=True, limit=9, prepare=refuse))


def test_a_compressed_object_is_cut_as_it_is_unpacked() -> None:
    stream = gzip.GzipFile(fileobj=io.BytesIO(gzip.compress(b"a\nb\n") + gzip.compress(b"c\n")))
    found = records(stream, "Line", limit=9)  # type: ignore[arg-type]
    assert [record.data for record in found] == [b"a", b"b", b"c"]
