"""JSONPath as InputFilter and OutputFilter have it."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from clary.agent.transform_filter import NoMatch, PathFault, parse

DOCUMENT = {
    "id": 7,
    "features": [1, 2, 3],
    "a name": {"b": 1, "c": 2},
    "items": [{"x": 1, "y": "a"}, {"x": 2, "y": "b"}],
}

ROWS = {
    "$": DOCUMENT,
    "$.id": 7,
    "$['id']": 7,
    '$["a name"].b': 1,
    "$.['id']": 7,
    "$.features[1]": 2,
    "$.features[-1]": 3,
    "$.features[0,-1]": [1, 3],
    "$.features[1:]": [2, 3],
    "$.features[:-1]": [1, 2],
    "$.features[0, 1:]": [1, 2, 3],
    "$.features[5:]": [],
    "$.features[*]": [1, 2, 3],
    "$.features.*": [1, 2, 3],
    "$['a name'].*": [1, 2],
    "$['id','features']": {"id": 7, "features": [1, 2, 3]},
    "$.items[*].x": [1, 2],
    "$.items[0:1].x": [1],
    "$.items[*]['x','y']": [{"x": 1, "y": "a"}, {"x": 2, "y": "b"}],
}

FAULTS = {
    "": (1, "must begin with"),
    "id": (1, "must begin with"),
    "$id": (2, "expected `.name`"),
    "$.": (3, "a name must follow"),
    "$..id": (2, "not supported"),
    "$[?(@.x)]": (3, "conditions"),
    "$[(1)]": (3, "conditions"),
    "$[0": (4, "expected `]`"),
    "$['a": (3, "expected a name in quotes"),
    "$['a',1]": (7, "expected a name in quotes"),
    "$[1,'a']": (5, "expected a name in quotes, an index"),
    "$[]": (3, "expected a name in quotes, an index"),
    "$[0:4:2]": (6, "no step"),
    "$['a','b'].c": (11, "nothing can follow"),
    "$.a b": (4, "expected `.name`"),
}


@pytest.mark.parametrize("text", ROWS)
def test_a_path_selects(text: str) -> None:
    assert parse(text).select(DOCUMENT) == ROWS[text]


@pytest.mark.parametrize("text", FAULTS)
def test_what_is_no_path_is_told_with_the_place(text: str) -> None:
    with pytest.raises(PathFault) as caught:
        parse(text)
    position, words = FAULTS[text]
    assert caught.value.position == position
    assert words in str(caught.value)


@pytest.mark.parametrize(
    ("text", "value", "words"),
    [
        ("$.id", {"other": 1}, "there is no 'id'"),
        ("$['id','b']", {"id": 1}, "there is no 'b'"),
        ("$.id", [1], "is no object"),
        ("$[3]", [1, 2], "no element 3 among 2"),
        ("$[-3]", [1, 2], "no element -3 among 2"),
        ("$[0]", {"a": 1}, "is no list"),
        ("$[0]", "text", "is no list"),
        ("$.*", 5, "has no members"),
    ],
)
def test_what_is_not_there_is_told(text: str, value: Any, words: str) -> None:
    with pytest.raises(NoMatch, match=words):
        parse(text).select(value)


@given(st.lists(st.integers(), max_size=8), st.integers(-9, 9), st.integers(-9, 9))
def test_slices_and_indices_are_pythons(values: list[int], start: int, end: int) -> None:
    assert parse(f"$[{start}:{end}]").select(values) == values[start:end]
    assert parse(f"$[{start}:]").select(values) == values[start:]
    path = parse(f"$[{start}]")
    if -len(values) <= start < len(values):
        assert path.select(values) == values[start]
    else:
        with pytest.raises(NoMatch):
            path.select(values)


@given(st.text(max_size=63))
def test_any_text_is_a_path_or_a_fault_of_its_own(text: str) -> None:
    try:
        parse(text)
    except PathFault as fault:
        assert 1 <= fault.position <= len(text) + 1


@given(st.text(min_size=1, max_size=20))
def test_any_member_can_be_named_in_quotes(name: str) -> None:
    quoted = name.replace("\\", "\\\\").replace("'", "\\'")
    if "\n" not in name:
        assert parse(f"$['{quoted}']").select({name: 1}) == 1


def test_which_paths_rows_of_csv_have() -> None:
    assert not parse("$[0,2:]").has_names
    assert parse("$.a").has_names
    assert parse("$").is_whole
