"""Which stretch of an object a request asks for."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from clary.errors import S3Fault
from clary.objects.base import Object
from clary.services.s3_gate import check_part_number

_RANGE = re.compile(r"\s*bytes\s*=\s*(\d*)\s*-\s*(\d*)\s*", re.ASCII)


@dataclass(frozen=True, slots=True)
class Stretch:
    """`partial`: answered with 206. `parts`: how many parts the object has, when one was asked for by number."""

    offset: int
    length: int
    partial: bool = False
    parts: int | None = None

    def content_range(self, size: int) -> str:
        return f"bytes {self.offset}-{self.offset + self.length - 1}/{size}"


def asked_stretch(request: Mapping[str, Any], found: Object) -> Stretch:
    """From Range or PartNumber. As S3 does, a Range that makes no sense is as if it were not there.

    Raises S3Fault InvalidRange (416), InvalidPartNumber (416), InvalidArgument or InvalidRequest.
    """
    header, number = request.get("Range"), request.get("PartNumber")
    if header and number is not None:
        raise S3Fault(
            "Cannot specify both Range header and partNumber query parameter", code="InvalidRequest"
        )
    if number is not None:
        return _part(check_part_number(request), found)
    match = _RANGE.fullmatch(header) if header else None
    if header is None or match is None:
        return Stretch(0, found.size)
    first, last = match.groups()
    if not first and not last:
        return Stretch(0, found.size)
    if not first:
        length = min(_offset(last), found.size)
        offset, end = found.size - length, found.size
    else:
        offset, end = _offset(first), min(_offset(last) + 1 if last else found.size, found.size)
        if last and _offset(last) < offset:
            return Stretch(0, found.size)
    if offset >= end:
        raise S3Fault(
            "The requested range is not satisfiable",
            code="InvalidRange",
            status=416,
            extra={"RangeRequested": header, "ActualObjectSize": str(found.size)},
        )
    return Stretch(offset, end - offset, partial=True)


def copy_stretch(header: str | None, found: Object) -> Stretch:
    """From the x-amz-copy-source-range of a part copy, which must be exact. Raises S3Fault InvalidArgument."""
    if not header:
        return Stretch(0, found.size)
    match = re.fullmatch(r"bytes=(\d+)-(\d+)", header, re.ASCII)
    first, last = (_offset(text) for text in match.groups()) if match else (0, -1)
    if last < first:
        raise S3Fault(
            "The x-amz-copy-source-range value must be of the form bytes=first-last where first and last are the "
            "zero-based offsets of the first and last bytes to copy",
            code="InvalidArgument",
            extra={"ArgumentName": "x-amz-copy-source-range", "ArgumentValue": header},
        )
    if last >= found.size:
        raise S3Fault(
            f"Range specified is not valid for source object of size: {found.size}",
            code="InvalidArgument",
            extra={"ArgumentName": "x-amz-copy-source-range", "ArgumentValue": header},
        )
    return Stretch(first, last - first + 1)


def _offset(digits: str) -> int:
    """Of a number too long for any object only the beginning: Python refuses to read thousands of digits."""
    return int(digits.lstrip("0")[:20] or "0")


def _part(number: int, found: Object) -> Stretch:
    if number > len(found.segments):
        raise S3Fault(
            "The requested partnumber is not satisfiable",
            code="InvalidPartNumber",
            status=416,
            extra={"PartNumberRequested": str(number), "ActualPartCount": str(len(found.segments))},
        )
    offset = sum(segment.size for segment in found.segments[: number - 1])
    length = found.segments[number - 1].size
    parts = len(found.segments) if found.upload else None
    return Stretch(offset, length, partial=length > 0, parts=parts)
