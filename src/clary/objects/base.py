"""The object store's records, and the laws every object store obeys."""

from __future__ import annotations

from typing import Protocol


class Objects(Protocol):
    """Buckets and objects (laws: `tests/contract/test_objects.py`)."""
