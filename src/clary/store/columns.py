"""Column types that give back exactly what was put in, on SQLite and on PostgreSQL alike."""

from __future__ import annotations

import json
import math
import re
from collections.abc import Mapping
from typing import Any

from sqlalchemy import BigInteger, Double, Integer, Text
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


def dump(document: Mapping[str, Any]) -> str:
    """JSON in ASCII. Raises ValueError for NaN and infinities, TypeError for what JSON has no word for."""
    return json.dumps(document, allow_nan=False, separators=(",", ":"), default=_plain)


def _plain(value: object) -> object:
    if isinstance(value, Mapping):
        return dict(value)
    raise TypeError(f"a stored document cannot hold a {type(value).__name__}: {value!r:.80}")


class Name(TypeDecorator[str]):
    """Any text, compared and sorted by code point whatever the server's locale."""

    impl = Text(collation="C").with_variant(Text(), "sqlite")
    cache_ok = True

    def process_bind_param(self, value: str | None, dialect: Dialect) -> str | None:  # noqa: ARG002
        return value if value is None else escape(value)

    def process_result_value(self, value: str | None, dialect: Dialect) -> str | None:  # noqa: ARG002
        return value if value is None else unescape(value)


class Document(TypeDecorator[Mapping[str, Any]]):
    """A JSON object. The order of its keys is kept."""

    impl = Text
    cache_ok = True

    def process_bind_param(self, value: Mapping[str, Any] | None, dialect: Dialect) -> str | None:  # noqa: ARG002
        return value if value is None else dump(value)

    def process_result_value(self, value: str | None, dialect: Dialect) -> Mapping[str, Any] | None:  # noqa: ARG002
        return value if value is None else json.loads(value)


class Measure(TypeDecorator[float]):
    """A double. NaN is kept as NULL, since SQLite makes it so anyway."""

    impl = Double
    cache_ok = True

    def process_bind_param(self, value: float | None, dialect: Dialect) -> float | None:  # noqa: ARG002
        return None if value is None or math.isnan(value) else float(value)

    def process_result_value(self, value: float | None, dialect: Dialect) -> float:  # noqa: ARG002
        return math.nan if value is None else value
