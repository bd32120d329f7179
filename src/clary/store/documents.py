"""Documents as text: JSON in ASCII, so that any database keeps any string. The order of keys is kept."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any


def dump(document: Mapping[str, Any]) -> str:
    """Raises ValueError for NaN and infinities, TypeError for what JSON has no word for."""
    return json.dumps(document, allow_nan=False, separators=(",", ":"), default=_plain)


def load(text: str) -> dict[str, Any]:
    document: dict[str, Any] = json.loads(text)
    return document


def _plain(value: object) -> object:
    if isinstance(value, Mapping):
        return dict(value)
    raise TypeError(f"a stored document cannot hold a {type(value).__name__}: {value!r:.80}")
