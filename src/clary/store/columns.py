"""Column types that give back exactly what was put in, on SQLite and on PostgreSQL alike."""

from __future__ import annotations

import math
import re
from collections.abc import Iterator

from sqlalchemy import BigInteger, Column, ColumnElement, Double, Integer, Text, func, literal
from sqlalchemy.engine import Dialect
from sqlalchemy.types import TypeDecorator

# PostgreSQL has no NUL in text and neither database takes half a surrogate pair, so these travel escaped.
_UNSTORABLE = re.compile("[\\\\\x00\ud800-\udfff]")
_ESCAPED = re.compile(r"\\(\\|u[0-9a-f]{4})")

Id = BigInteger().with_variant(Integer(), "sqlite")
"""A row number that the database hands out, ascending."""


def escape(text: str) -> str:
    """Text as it is stored: any two texts stay different, and ordinary ones stay as they are."""
    if not _UNSTORABLE.search(text):
        return text
    return _UNSTORABLE.sub(lambda hit: "\\\\" if hit[0] == "\\" else f"\\u{ord(hit[0]):04x}", text)


def unescape(text: str) -> str:
    if "\\" not in text:
        return text
    return _ESCAPED.sub(lambda hit: "\\" if hit[1] == "\\" else chr(int(hit[1][1:], 16)), text)


class Name(TypeDecorator[str]):
    """Any text, compared and sorted by code point whatever the server's locale."""

    impl = Text(collation="C").with_variant(Text(), "sqlite")
    cache_ok = True

    def process_bind_param(self, value: str | None, dialect: Dialect) -> str | None:  # noqa: ARG002
        return value if value is None else escape(value)

    def process_result_value(self, value: str | None, dialect: Dialect) -> str | None:  # noqa: ARG002
        return value if value is None else unescape(value)


class Measure(TypeDecorator[float]):
    """A double. NaN is kept as NULL, since SQLite makes it so anyway."""

    impl = Double
    cache_ok = True

    def process_bind_param(self, value: float | None, dialect: Dialect) -> float | None:  # noqa: ARG002
        return None if value is None or math.isnan(value) else float(value)

    def process_result_value(self, value: float | None, dialect: Dialect) -> float:  # noqa: ARG002
        return math.nan if value is None else value


def begins_with(column: Column[str], prefix: str) -> Iterator[ColumnElement[bool]]:
    """Conditions for a name that begins with `prefix`, which must not be empty."""
    kept = escape(prefix)
    # the range is what an index is read for; the first characters decide
    yield column >= prefix
    if (after := ord(kept[-1]) + 1) < 0xD800:
        yield column < literal(kept[:-1] + chr(after), Text())
    yield func.substr(column, 1, len(kept)) == literal(prefix, Name())
