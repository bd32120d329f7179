"""The tables in Clary's home by which its keeper changes what runners do: read once, when the server starts."""

from __future__ import annotations

import re
from pathlib import Path


class TableFault(ValueError):
    """A table cannot be used. The message names file, line and field."""


def read_text(path: Path) -> str:
    """Raises TableFault."""
    try:
        return path.read_text("utf-8")
    except (OSError, UnicodeDecodeError) as fault:
        raise TableFault(f"{path}: cannot be read: {fault}") from None


def line_of(text: str, key: str) -> int:
    """Where a row stands: tomllib does not tell. 0 when the key is written in some other way."""
    pattern = re.compile(rf"\s*[\"']?{re.escape(key)}[\"']?\s*=")
    return next((number for number, line in enumerate(text.splitlines(), 1) if pattern.match(line)), 0)
