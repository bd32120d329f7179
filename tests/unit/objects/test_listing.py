"""The walk over keys, against the plainest way to say what a listing is."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from hypothesis import given
from hypothesis import strategies as st

from clary.objects.listing import Range, Row, list_keys, successor

KEYS = st.lists(st.text("ab/é/\uffff😀", max_size=5).filter(bool), unique=True, max_size=40)


@dataclass(frozen=True)
class Key:
    key: bytes
    size: int = 1
    etag: str = "e"
    modified: float = 1.0


class Table:
    """Rows in key order, and what was asked of them."""

    def __init__(self, keys: Sequence[str]) -> None:
        self.keys = sorted(key.encode() for key in keys)
        self.reads = 0

    def fetch(self, span: Range, count: int) -> Sequence[Row]:
        self.reads += 1
        inside = [
            key
            for key in self.keys
            if (key > span.start if span.behind else key >= span.start)
            and (span.end is None or key < span.end)
        ]
        return [Key(key) for key in inside[:count]]


def plain(keys: Sequence[str], prefix: str, delimiter: str) -> list[str]:
    found = set()
    for key in keys:
        if key.startswith(prefix):
            head, cut, _ = (
                key[len(prefix) :].partition(delimiter) if delimiter else (key[len(prefix) :], "", "")
            )
            found.add(prefix + head + cut)
    return sorted(found, key=str.encode)


@given(KEYS, st.sampled_from(["", "a", "a/", "é"]), st.sampled_from(["", "/", "b", "//"]), st.integers(1, 7))
def test_pages_add_up_to_the_plain_listing(keys: list[str], prefix: str, delimiter: str, limit: int) -> None:
    found: list[str] = []
    after = ""
    while True:
        page = list_keys(Table(keys).fetch, prefix=prefix, delimiter=delimiter, after=after, limit=limit)
        names = [entry.key for entry in page.entries] + list(page.prefixes)
        assert len(names) <= limit
        found += sorted(names, key=str.encode)
        if page.next is None:
            break
        assert len(names) == limit
        assert page.next == found[-1]
        after = page.next
    assert found == plain(keys, prefix, delimiter)


@given(KEYS, st.text("ab/é", max_size=4), st.sampled_from(["", "/"]))
def test_a_listing_starts_behind_any_text(keys: list[str], after: str, delimiter: str) -> None:
    page = list_keys(Table(keys).fetch, prefix="", delimiter=delimiter, after=after, limit=1000)
    found = sorted([entry.key for entry in page.entries] + list(page.prefixes), key=str.encode)
    expected = [name for name in plain(keys, "", delimiter) if name.encode() > after.encode()]
    assert found == expected


def test_a_common_prefix_is_jumped_over() -> None:
    table = Table([f"{folder}/{number:05}" for folder in "abc" for number in range(3000)])
    page = list_keys(table.fetch, prefix="", delimiter="/", after="", limit=1000)
    assert list(page.prefixes) == ["a/", "b/", "c/"]
    assert table.reads <= 4


def test_no_room_lists_nothing() -> None:
    page = list_keys(Table(["a"]).fetch, prefix="", delimiter="", after="", limit=0)
    assert (page.entries, page.prefixes, page.next) == ((), (), None)


@given(st.binary(max_size=4), st.binary(max_size=4))
def test_the_successor_bounds_all_that_begin_with_the_prefix(prefix: bytes, rest: bytes) -> None:
    end = successor(prefix)
    if end is None:
        assert prefix.strip(b"\xff") == b""
    else:
        assert prefix + rest < end
        assert not end.startswith(prefix) or prefix == b""
