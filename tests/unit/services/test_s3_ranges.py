"""Which bytes a request asks for."""

from __future__ import annotations

from typing import Any

import pytest

from clary.errors import S3Fault
from clary.objects.base import Meta, Object, Segment
from clary.services.s3_ranges import Stretch, asked_stretch, copy_stretch


def make(*sizes: int, upload: str = "") -> Object:
    segments = tuple(Segment(f"blob{n}", size) for n, size in enumerate(sizes))
    return Object("b", "k", sum(sizes), "etag", 1.0, Meta(), segments, upload)


@pytest.mark.parametrize(
    ("header", "expected"),
    [
        (None, Stretch(0, 10)),
        ("bytes=0-0", Stretch(0, 1, partial=True)),
        ("bytes = 3 - 99", Stretch(3, 7, partial=True)),
        ("bytes=9-", Stretch(9, 1, partial=True)),
        ("bytes=-4", Stretch(6, 4, partial=True)),
        ("bytes=-400", Stretch(0, 10, partial=True)),
        ("bytes=-", Stretch(0, 10)),
        (f"bytes=2-{'9' * 5000}", Stretch(2, 8, partial=True)),
        (f"bytes=-{'9' * 5000}", Stretch(0, 10, partial=True)),
        (f"bytes={'0' * 5000}1-1", Stretch(1, 1, partial=True)),
        ("bytes=4-3", Stretch(0, 10)),
        ("bytes=1-2,4-5", Stretch(0, 10)),
        ("items=1-2", Stretch(0, 10)),
        ("bytes=٣-", Stretch(0, 10)),
    ],
)
def test_range(header: str | None, expected: Stretch) -> None:
    assert asked_stretch({"Range": header}, make(10)) == expected


@pytest.mark.parametrize(
    ("header", "size"),
    [("bytes=10-", 10), ("bytes=10-11", 10), ("bytes=-0", 10), ("bytes=0-", 0), (f"bytes={'9' * 5000}-", 10)],
)
def test_a_range_beyond_the_end(header: str, size: int) -> None:
    with pytest.raises(S3Fault) as caught:
        asked_stretch({"Range": header}, make(size))
    assert (caught.value.code, caught.value.status) == ("InvalidRange", 416)
    assert caught.value.extra == {"RangeRequested": header, "ActualObjectSize": str(size)}


def test_parts_by_number() -> None:
    found = make(5, 3, 2, upload="u")
    assert asked_stretch({"PartNumber": 2}, found) == Stretch(5, 3, partial=True, parts=3)
    assert asked_stretch({"PartNumber": 1}, make(10)) == Stretch(0, 10, partial=True)
    assert asked_stretch({"PartNumber": 1}, make(0)) == Stretch(0, 0)
    for request, code in (
        ({"PartNumber": 4}, "InvalidPartNumber"),
        ({"PartNumber": 0}, "InvalidArgument"),
        ({"PartNumber": -1}, "InvalidArgument"),
        ({"PartNumber": 10_001}, "InvalidArgument"),
        ({"PartNumber": 1, "Range": "bytes=0-1"}, "InvalidRequest"),
    ):
        with pytest.raises(S3Fault) as caught:
            asked_stretch(request, found)
        assert caught.value.code == code


def test_content_range() -> None:
    assert Stretch(3, 4, partial=True).content_range(10) == "bytes 3-6/10"


def test_the_stretch_of_a_copy_is_exact() -> None:
    assert copy_stretch(None, make(10)) == Stretch(0, 10)
    assert copy_stretch("bytes=2-9", make(10)) == Stretch(2, 8)
    bad: list[Any] = ["bytes=2-", "bytes=-2", "bytes=5-4", "bytes=0-10", "2-4", f"bytes=0-{'9' * 5000}"]
    for header in bad:
        with pytest.raises(S3Fault) as caught:
            copy_stretch(header, make(10))
        assert caught.value.code == "InvalidArgument"
