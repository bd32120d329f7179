"""What is sent of a record, and what is kept of it and its answer."""

from __future__ import annotations

import csv
import io
import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from clary.agent.transform_join import Association, association

CSV, JSON, LINES = "text/csv", "application/json", "application/jsonlines"

leaves = st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text()
values = st.recursive(
    leaves,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(), inner, max_size=3),
    max_leaves=5,
)
rows = st.lists(st.lists(st.text(max_size=5), min_size=1, max_size=4).filter(any), min_size=1, max_size=5)


def rule(
    content_type: str, *, sent: str = "$", kept: str = "$", joins: bool = False, accept: str = ""
) -> Association:
    return association(
        input_filter=sent, output_filter=kept, joins=joins, content_type=content_type, accept=accept
    )


def written(table: list[list[str]]) -> bytes:
    out = io.StringIO()
    csv.writer(out).writerows(table)
    return out.getvalue().encode()


def read(data: bytes) -> list[list[str]]:
    return list(csv.reader(io.StringIO(data.decode(), newline="")))


@given(values, values)
def test_an_answer_becomes_a_member_of_its_record(record: object, answer: object) -> None:
    joined = rule(LINES, joins=True).kept(
        json.dumps(answer).encode(), count=1, originals=[json.dumps(record).encode()]
    )
    assert joined.count(b"\n") == 1
    expected = (
        {**record, "SageMakerOutput": answer}
        if isinstance(record, dict)
        else {"SageMakerInput": record, "SageMakerOutput": answer}
    )
    assert json.loads(joined) == expected


@given(st.lists(st.tuples(values, values), min_size=2, max_size=5))
def test_lines_are_joined_one_by_one_in_order(pairs: list[tuple[object, object]]) -> None:
    originals = [json.dumps(record).encode() for record, _ in pairs]
    answer = b"".join(json.dumps(one).encode() + b"\n" for _, one in pairs)
    joined = rule(LINES, joins=True).kept(answer, count=len(pairs), originals=originals)
    assert [json.loads(line)["SageMakerOutput"] for line in joined.splitlines() if line] == [
        one for _, one in pairs
    ]


@given(rows, rows)
def test_cells_of_an_answer_follow_those_of_the_row(asked: list[list[str]], more: list[list[str]]) -> None:
    answered = [more[index % len(more)] for index in range(len(asked))]
    originals = [written([row]).removesuffix(b"\r\n") for row in asked]
    joined = rule(CSV, joins=True).kept(written(answered), count=len(asked), originals=originals)
    assert read(joined) == [[*one, *other] for one, other in zip(asked, answered, strict=True)]
    first = rule(CSV, joins=True, kept="$[0,-1]").kept(
        written(answered), count=len(asked), originals=originals
    )
    assert read(first) == [[one[0], other[-1]] for one, other in zip(asked, answered, strict=True)]


@given(rows)
def test_a_filter_of_csv_selects_columns(table: list[list[str]]) -> None:
    sent = read(rule(CSV, sent="$[1:]").sent(written(table)))
    assert sent == [row[1:] for row in table]


def test_one_column_is_a_row_of_one() -> None:
    assert rule(CSV, sent="$[1]").sent(b"7,a\n8,b\n") == b"a\nb\n"


def test_members_are_taken_out_and_the_output_is_chosen() -> None:
    chosen = rule(LINES, sent="$.features", kept="$['id','SageMakerOutput']", joins=True)
    record = b'{"id": 7, "features": [1, 2]}'
    assert chosen.sent(record) == b"[1,2]\n"
    assert chosen.kept(b"0.5", count=1, originals=[record]) == b'{"id":7,"SageMakerOutput":0.5}\n'


def test_a_document_is_joined_as_a_whole() -> None:
    whole = rule(JSON, joins=True)
    assert whole.kept(b"[1,\n 2]", count=1, originals=[b'{"a": 1}']) == b'{"a":1,"SageMakerOutput":[1,2]}'
    assert whole.kept(b"[3]", count=1, originals=[b"[1]"]) == b'{"SageMakerInput":[1],"SageMakerOutput":[3]}'


def test_a_filter_of_the_answer_alone() -> None:
    assert rule(JSON, kept="$[0].label").kept(b'[{"label": "a"}]', count=1) == b'"a"'
    assert rule("text/plain", kept="$.x", accept=LINES).kept(b'{"x":1}\n{"x":2}\n', count=2) == b"1\n2\n"
    assert rule(JSON, kept="$.x").kept(b'{"x":1}\n{"x":2}', count=2) == b"1\n2\n"
    assert rule(JSON, kept="$.features", sent="$", accept=CSV).accept == "csv"


@pytest.mark.parametrize(
    ("chosen", "answer", "count", "words"),
    [
        (rule(LINES, joins=True), b"1\n", 2, "the answer has 1 lines for 2 records"),
        (rule(CSV, joins=True), b"1\n2\n3\n", 2, "the answer has 3 lines for 2 records"),
        (rule(LINES, joins=True), b"no json\n1\n", 2, "the answer is not JSON"),
        (rule(CSV, joins=True), b'"open', 2, "the answer is not CSV"),
        (rule(LINES, joins=True), b"\xff\n1", 2, "the answer is not JSON"),
        (rule(LINES, kept="$.a"), b"{}\n", 1, "there is no 'a'"),
        (rule(JSON, kept="$.a"), b"[" * 100_000, 1, "more levels"),
    ],
)
def test_what_cannot_be_joined_is_told(chosen: Association, answer: bytes, count: int, words: str) -> None:
    with pytest.raises(ValueError, match=words):
        chosen.kept(answer, count=count, originals=[b'{"a": 1}' if chosen.content != "csv" else b"1"] * count)


def test_a_record_that_is_none_is_told() -> None:
    with pytest.raises(ValueError, match="the record is not JSON"):
        rule(LINES, sent="$.a").sent(b"{a: 1}")


def test_half_a_surrogate_pair_and_other_letters_come_through() -> None:
    kept = rule(LINES, joins=True).kept(b'"\\ud800"', count=1, originals=['{"a":"ü"}'.encode()])
    assert json.loads(kept) == {"a": "ü", "SageMakerOutput": "\ud800"}
    assert rule(LINES, sent="$.a").sent('{"a":"ü"}'.encode()) == '"ü"\n'.encode()


def test_a_wide_cell_is_no_trouble() -> None:
    wide = b"x" * 300_000
    assert rule(CSV, joins=True).kept(b"1", count=1, originals=[wide]) == wide + b",1\n"
