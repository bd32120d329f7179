import numpy as np
import pytest

from clary.recipes.intervals import Bootstrap
from clary.recipes.refusal import CannotEvaluate
from clary.recipes.rows import Row
from clary.recipes.slicing import LENGTH, MISSING, MOST, OTHER, check_columns, measure_slices, slice_columns


def rows(column: str, values: list) -> list[Row]:
    return [Row(f"a.csv, line {n}", {column: value}) for n, value in enumerate(values, 2)]


def column(values: list) -> list[str]:
    return slice_columns(rows("c", values), ["x"] * len(values), ["c"])["c"]


def test_length_in_words_in_four_parts() -> None:
    texts = [" ".join("w" * n) for n in range(1, 101)]
    found = slice_columns(rows("c", texts), texts, [])[LENGTH]
    assert list(dict.fromkeys(found)) == [
        "1 to 24 words",
        "25 to 49 words",
        "50 to 74 words",
        "75 to 100 words",
    ]
    assert found[23] == "1 to 24 words" and found[24] == "25 to 49 words"


def test_few_values_are_slices_of_their_own_and_rare_ones_of_many_share_one() -> None:
    assert column(["a", "b", "", None, "a"]) == ["a", "b", MISSING, MISSING, "a"]
    assert column([1, 2, 2]) == ["1", "2", "2"]
    many = [f"v{n}" for n in range(40) for _ in range(40 - n)]
    assert len(set(column(many))) == MOST and OTHER in column(many)


def test_numbers_become_ranges_and_missing_ones_stay_apart() -> None:
    found = column([*[str(n / 2) for n in range(40)], ""])
    assert found[-1] == MISSING and len(set(found)) == 5
    assert all(" to " in name for name in found[:-1])


def test_one_value_is_one_slice() -> None:
    assert set(slice_columns(rows("c", [1, 2]), ["a b", "c d"], [])[LENGTH]) == {"2 words"}


def test_each_slices_share_and_interval() -> None:
    columns = {"c": ["a"] * 40 + ["b"] * 10}
    scores = np.array([1.0] * 30 + [0.0] * 10 + [1.0] * 10)
    first, second = measure_slices(columns, scores, Bootstrap(50))
    assert (first.value, first.examples, first.figure) == ("a", 40, 0.75)
    assert first.low < 0.75 < first.high
    assert second.figure == second.high == 1.0 and second.low == pytest.approx(0.722, abs=1e-3)


def test_means_that_are_no_shares_are_bootstrapped() -> None:
    scores = np.linspace(0, 1, 50)
    (found,) = measure_slices({"c": ["a"] * 50}, scores, Bootstrap(500))
    assert found.figure == pytest.approx(0.5) and 0.38 < found.low < 0.46 < 0.54 < found.high < 0.62


def test_ranges_stand_in_order_of_size() -> None:
    values = ["90 to 110 words", "2 to 9 words", MISSING, "10 to 89 words"]
    found = measure_slices({"c": values}, np.ones(4), Bootstrap(5))
    assert [each.value for each in found] == ["2 to 9 words", "10 to 89 words", "90 to 110 words", MISSING]


def test_names_stand_as_people_sort_them() -> None:
    found = measure_slices({"c": ["item 10", "b", "item 2", OTHER]}, np.ones(4), Bootstrap(5))
    assert [each.value for each in found] == ["b", "item 2", "item 10", OTHER]


def test_a_column_that_is_not_there() -> None:
    with pytest.raises(CannotEvaluate, match=r"a.csv, line 2: no column 'd' \(--slice-by\); there are 'c'"):
        check_columns(rows("c", ["x"]), ["d"])
    with pytest.raises(CannotEvaluate, match="made anyway"):
        check_columns(rows("c", ["x"]), ["text length"])
