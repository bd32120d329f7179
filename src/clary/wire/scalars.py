"""Single values as text: how each type is written in XML, forms, query strings and headers.

Timestamps are seconds since the epoch (float) everywhere above this room, whatever the protocol writes.
"""

from __future__ import annotations

import base64
import binascii
import re
from datetime import UTC, datetime
from email.utils import format_datetime, parsedate_to_datetime
from math import isfinite
from typing import Any

from botocore.model import Shape

_BITS = {"integer": 31, "long": 63}
_NUMBER = re.compile(r"[+-]?(\d+\.?\d*|\.\d+)([eE][+-]?\d+)?", re.ASCII)
_DIGITS_LIMIT = 40


class BadValue(ValueError):
    """A text that is not of its member's type."""


def parse_scalar(text: str, shape: Shape) -> Any:
    """The value of a scalar shape's text. Raises BadValue."""
    kind = shape.type_name
    if kind in ("integer", "long"):
        return parse_integer(text, kind)
    if kind in ("float", "double"):
        return parse_float(text)
    if kind == "boolean":
        return parse_boolean(text)
    if kind == "timestamp":
        return parse_timestamp(text)
    return parse_blob(text) if kind == "blob" else text


def parse_integer(text: str, kind: str = "long") -> int:
    if len(text) > _DIGITS_LIMIT or not re.fullmatch(r"\s*[+-]?\d+\s*", text, re.ASCII):
        raise BadValue(f"{_shown(text)} is not an integer")
    return in_range(int(text), kind)


def in_range(value: int, kind: str) -> int:
    """The value, if it fits the wire type. Raises BadValue."""
    if not -(2 ** _BITS[kind]) <= value < 2 ** _BITS[kind]:
        raise BadValue(f"{_shown(str(value))} is out of the range of {kind}")
    return value


def parse_float(text: str) -> float:
    text = text.strip()
    if text in ("NaN", "Infinity", "-Infinity"):
        return float(text)
    if len(text) > 400 or not _NUMBER.fullmatch(text) or not isfinite(float(text)):
        raise BadValue(f"{_shown(text)} is not a number")
    return float(text)


def parse_boolean(text: str) -> bool:
    lowered = text.strip().lower()
    if lowered not in ("true", "false"):
        raise BadValue(f"{_shown(text)} is not true or false")
    return lowered == "true"


def parse_timestamp(text: str) -> float:
    """Epoch seconds from any of the three written forms: a number, ISO 8601, or an HTTP date."""
    text = text.strip()
    if len(text) > 64:
        raise BadValue(f"{_shown(text)} is not a time")
    if _NUMBER.fullmatch(text):
        return epoch_in_range(float(text))
    try:
        moment = datetime.fromisoformat(text) if text[:4].isdigit() else parsedate_to_datetime(text)
        return (moment if moment.tzinfo else moment.replace(tzinfo=UTC)).timestamp()
    except (ValueError, OverflowError, TypeError, IndexError):
        raise BadValue(f"{_shown(text)} is not a time") from None


def epoch_in_range(seconds: float) -> float:
    """The seconds, if they are a date of the years 1 to 9999. Raises BadValue."""
    if not -62135596800 <= seconds < 253402300800:
        raise BadValue(f"{seconds} is not a time")
    return seconds


def parse_blob(text: str) -> bytes:
    try:
        return base64.b64decode(text, validate=True)
    except (binascii.Error, ValueError):
        raise BadValue(f"{_shown(text)} is not Base64") from None


def format_scalar(value: Any, shape: Shape, time_format: str) -> str:
    """The text of a scalar value. `time_format` is used where the shape does not fix its own."""
    kind = shape.type_name
    if kind == "timestamp":
        return format_timestamp(value, shape.serialization.get("timestampFormat", time_format))
    if kind == "boolean":
        return "true" if value else "false"
    if kind == "blob":
        return base64.b64encode(value if isinstance(value, bytes) else str(value).encode()).decode()
    if kind in ("float", "double"):
        return format_float(float(value))
    return str(int(value)) if kind in ("integer", "long") else str(value)


def format_float(value: float) -> str:
    if isfinite(value):
        return repr(value)
    return "NaN" if value != value else ("Infinity" if value > 0 else "-Infinity")


def format_timestamp(value: float | datetime, time_format: str) -> str:
    """Write epoch seconds (or an aware datetime) as iso8601 (milliseconds), rfc822 or unixTimestamp."""
    seconds = value.timestamp() if isinstance(value, datetime) else float(value)
    if time_format.lower() == "unixtimestamp":
        return str(int(seconds)) if seconds.is_integer() else repr(seconds)
    moment = datetime.fromtimestamp(seconds, UTC)
    if time_format.lower() == "rfc822":
        return format_datetime(moment.replace(microsecond=0), usegmt=True)
    return moment.isoformat(timespec="milliseconds").replace("+00:00", "Z")


def _shown(text: str) -> str:
    return f"'{text[:64]}...'" if len(text) > 64 else f"'{text}'"
