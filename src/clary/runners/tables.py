"""The tables in Clary's home by which its keeper changes what runners do: read once, when the server starts."""

from __future__ import annotations

import re
import tomllib
from collections.abc import Iterator
from pathlib import Path


class TableFault(ValueError):
    """A table cannot be used. The message names file, line and field."""


def read_text(path: Path) -> str:
    """Raises TableFault."""
    try:
        return path.read_text("utf-8")
    except (OSError, UnicodeDecodeError) as fault:
        raise TableFault(f"{path}: cannot be read: {fault}") from None


def rows_of(text: str, table: str, source: str) -> Iterator[tuple[str, object, str]]:
    """Of a file that holds one table: each key, its value and where it stands, in order. Raises TableFault.

    `source` is the file's name in messages.
    """
    try:
        document = tomllib.loads(text)
    except tomllib.TOMLDecodeError as fault:
        raise TableFault(f"{source}: {fault}") from None
    rows = document.get(table)
    if not isinstance(rows, dict) or len(document) != 1:
        raise TableFault(f"{source}: holds one table named [{table}], and nothing beside it")
    for key, row in rows.items():
        yield key, row, f"{source}, line {_line_of(text, key)}, {key!r}"


def _line_of(text: str, key: str) -> int:
    """Where a row stands: tomllib does not tell. 0 when the key is written in some other way."""
    pattern = re.compile(rf"\s*[\"']?{re.escape(key)}[\"']?\s*=")
    return next((number for number, line in enumerate(text.splitlines(), 1) if pattern.match(line)), 0)
