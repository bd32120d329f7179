"""Listing with prefix and delimiter as a walk that jumps over what a common prefix covers. Pure but for `fetch`."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Protocol

from clary.objects.base import Entry, Listing


class Row(Protocol):
    @property
    def key(self) -> bytes: ...
    @property
    def size(self) -> int: ...
    @property
    def etag(self) -> str: ...
    @property
    def modified(self) -> float: ...


@dataclass(frozen=True, slots=True)
class Range:
    """Keys from `start` (included unless `behind`) up to `end`, itself excluded; None: no end."""

    start: bytes
    behind: bool
    end: bytes | None


Fetch = Callable[[Range, int], Sequence[Row]]

# Rows read at a time with a delimiter: few at first, as a jump wastes what was read ahead.
_FIRST_READ, _LARGEST_READ = 32, 1024


@dataclass(slots=True)
class _Walk:
    limit: int
    entries: list[Entry] = field(default_factory=list)
    prefixes: list[str] = field(default_factory=list)
    last: str = ""
    cut: bool = False

    @property
    def room(self) -> int:
        return self.limit - len(self.entries) - len(self.prefixes)


def list_keys(fetch: Fetch, *, prefix: str, delimiter: str, after: str, limit: int) -> Listing:
    """See `base.Objects.list`; `fetch` gives at most so many rows of a range in key order."""
    if limit <= 0:
        return Listing((), (), None)
    start, cut = prefix.encode(), delimiter.encode()
    span = _first_range(start, cut, after.encode())
    walk = _Walk(limit)
    count = min(_FIRST_READ, limit + 1) if cut else limit + 1
    while True:
        rows = fetch(span, count)
        jump = _take(rows, walk, len(start), cut)
        if walk.cut:
            return Listing(walk.entries, walk.prefixes, walk.last)
        if len(rows) < count:
            return Listing(walk.entries, walk.prefixes, None)
        count = _FIRST_READ if jump else min(count * 2, _LARGEST_READ)
        span = Range(jump or rows[-1].key, behind=not jump, end=span.end)


def _first_range(prefix: bytes, delimiter: bytes, after: bytes) -> Range:
    end = successor(prefix)
    if after < prefix or not after:
        return Range(prefix, behind=False, end=end)
    group = _group(after, len(prefix), delimiter) if after.startswith(prefix) else None
    skipped = successor(group) if group else None
    if skipped:
        return Range(skipped, behind=False, end=end)
    return Range(after, behind=True, end=end)


def _take(rows: Sequence[Row], walk: _Walk, skip: int, delimiter: bytes) -> bytes | None:
    """Put rows into the walk until one more would not fit; where to go on if that is past the last row."""
    resume: bytes | None = None
    for row in rows:
        if resume is not None and row.key < resume:
            continue
        if walk.room == 0:
            walk.cut = True
            return None
        group = _group(row.key, skip, delimiter)
        if group is None:
            resume = None
            walk.last = row.key.decode()
            walk.entries.append(Entry(walk.last, row.size, row.etag, row.modified))
        else:
            resume = successor(group)
            walk.last = group.decode()
            walk.prefixes.append(walk.last)
    return resume


def _group(key: bytes, skip: int, delimiter: bytes) -> bytes | None:
    """The common prefix that a key falls under, None if it stands for itself."""
    if not delimiter:
        return None
    at = key.find(delimiter, skip)
    return None if at < 0 else key[: at + len(delimiter)]


def successor(prefix: bytes) -> bytes | None:
    """The first byte string behind all that begin with the prefix; None if there is no such."""
    head = prefix.rstrip(b"\xff")
    return head[:-1] + bytes([head[-1] + 1]) if head else None
