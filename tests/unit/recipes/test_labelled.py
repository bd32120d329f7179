from collections.abc import Sequence
from typing import Any

import pytest

from clary.recipes.labelled import Columns, identities, labelled
from clary.recipes.refusal import CannotEvaluate
from clary.recipes.rows import Row

NAMES = ["negative", "positive"]


def rows(*values: dict[str, Any]) -> list[Row]:
    return [Row(f"test.csv, line {n}", each) for n, each in enumerate(values, 2)]


def of_labels(labels: Sequence[Any], names: Sequence[str] = NAMES) -> list[int]:
    data = rows(*({"text": f"t{n}", "label": label} for n, label in enumerate(labels)))
    return labelled(data, names).labels.tolist()


def refusal(data: list[Row], columns: Columns | None = None, names: Sequence[str] = NAMES) -> str:
    with pytest.raises(CannotEvaluate) as caught:
        labelled(data, names, columns=columns)
    return str(caught.value)


@pytest.mark.parametrize(
    "labels",
    [
        ["negative", "positive", "positive"],
        ["Negative", " POSITIVE ", "positive"],
        ["0", "1", "1"],
        [0, 1, 1],
        [0.0, 1.0, 1.0],
        ["0.0", "1.0", "1.0"],
        [False, True, True],
        ["LABEL_0", "LABEL_1", "label_1"],
    ],
)
def test_labels_are_names_or_numbers(labels: list[Any]) -> None:
    assert of_labels(labels) == [0, 1, 1]


def test_names_win_over_numbers() -> None:
    assert of_labels(["1", "3", "2"], ["1", "2", "3"]) == [0, 2, 1]


def test_case_tells_twins_apart() -> None:
    assert of_labels(["a", "A", "a"], ["A", "a"]) == [1, 0, 1]


def test_columns_are_found_by_the_names_of_public_data() -> None:
    found = labelled(rows({"sentence": "a", "label": 0}, {"sentence": "b", "label": 1}), NAMES)
    assert found.columns == Columns("sentence", None, "label") and found.pairs is None
    pairs = rows(
        {"sentence1": "a", "sentence2": "b", "label": 0}, {"sentence1": "c", "sentence2": "d", "label": 1}
    )
    found = labelled(pairs, NAMES)
    assert found.texts == ["a", "c"] and found.pairs == ["b", "d"]


def test_columns_that_are_named_win() -> None:
    data = rows(
        {"text": "a", "other": "b", "label": 0, "y2": "positive"},
        {"text": "c", "other": "d", "label": 1, "y2": "negative"},
    )
    found = labelled(data, NAMES, columns=Columns("other", None, "y2"))
    assert found.texts == ["b", "d"] and found.labels.tolist() == [1, 0]


@pytest.mark.parametrize(
    ("values", "says"),
    [
        ({"text": "a", "label": ""}, "test.csv, line 3, column 'label': no label"),
        ({"text": "a", "label": None}, "test.csv, line 3, column 'label': no label"),
        ({"text": "a", "label": float("nan")}, "test.csv, line 3, column 'label': no label"),
        ({"text": "\ud800", "label": 1}, "test.csv, line 3, column 'text': not valid Unicode"),
        ({"text": " \n", "label": 1}, "test.csv, line 3, column 'text': empty text"),
        ({"text": 7, "label": 1}, "test.csv, line 3, column 'text': int where a text belongs"),
        (
            {"text": "a", "label": 2},
            "test.csv, line 3, column 'label': label '2' is none of the model's classes",
        ),
        ({"text": "a", "label": "meh"}, "0 = negative, 1 = positive; mend the data, or give"),
        ({"text": "a", "label": [0, 1]}, "test.csv, line 3, column 'label': several labels"),
        ({"text": "a", "label": "positive"}, "labels are numbers in some rows and names in others"),
        ({"text": "a", "label": 0}, "all 2 rows have the label 'negative'"),
    ],
)
def test_a_bad_row_is_named_with_its_place(values: dict[str, Any], says: str) -> None:
    assert says in refusal(rows({"text": "fine", "label": 0}, values))


def test_columns_that_are_not_there() -> None:
    data = rows({"body": "a", "score": 1})
    assert "which column is the text? There are 'body', 'score'; name it with --text-column" in refusal(data)
    assert "which column is the label?" in refusal(data, Columns(text="body"))
    assert "no column 'nope' (--label-column)" in refusal(data, Columns("body", None, "nope"))


def test_an_example_has_the_same_name_everywhere_and_no_two_have_one() -> None:
    first = identities([("a",), ("b",), ("a",)])
    assert first == [first[0], first[1], f"{first[0]}-2"] and first[0] != first[1]
    assert identities([("b",)]) == [first[1]]
    assert len(set(identities([("ab", "c"), ("a", "bc"), ("abc",)]))) == 3


@pytest.mark.parametrize("missing", ["text", "label"])
def test_a_file_that_lacks_a_column_of_the_others_is_named(missing: str) -> None:
    last = {name: value for name, value in {"text": "b", "label": 1}.items() if name != missing}
    said = refusal(rows({"text": "a", "label": 0}, {**last, "other": "c"}))
    assert said.startswith(f"test.csv, line 3: no column {missing!r} here; there are")
