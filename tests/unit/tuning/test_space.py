from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from clary.errors import ValidationException
from clary.tuning.space import Categorical, Continuous, Integer, Space

finite = st.floats(-1e9, 1e9, allow_subnormal=False)
positive = st.floats(1e-9, 1e9)
below_one = st.floats(0.0, 0.999999)
fractions = st.floats(0.0, 1.0)


def ranges() -> st.SearchStrategy[Continuous | Integer | Categorical]:
    def ordered(pair: tuple[float, float]) -> tuple[str, str]:
        return repr(min(pair)), repr(max(pair))

    def continuous(scaling: str, of: st.SearchStrategy[float]) -> st.SearchStrategy[Continuous]:
        return st.tuples(of, of).map(ordered).map(lambda b: Continuous("x", *b, scaling))  # type: ignore[arg-type]

    whole = st.integers(-1000, 10**6)
    natural = st.integers(1, 10**6)
    return st.one_of(
        continuous("Linear", finite),
        continuous("Auto", finite),
        continuous("Logarithmic", positive),
        continuous("ReverseLogarithmic", below_one),
        st.tuples(whole, whole).map(lambda p: Integer("x", str(min(p)), str(max(p)), "Linear")),
        st.tuples(natural, natural).map(lambda p: Integer("x", str(min(p)), str(max(p)), "Logarithmic")),
        st.lists(st.text(max_size=8), min_size=1, max_size=5, unique=True).map(
            lambda v: Categorical("x", tuple(v))
        ),
    )


@given(each=ranges(), seed=st.integers(0, 2**32))
def test_what_decode_gives_survives_encode(each: Continuous | Integer | Categorical, seed: int) -> None:
    space = Space([each])
    values = space.decode(np.random.default_rng(seed).random(space.width))
    assert space.holds(values)
    assert space.decode(space.encode(values)) == values


@given(each=ranges(), seed=st.integers(0, 2**32))
def test_snapping_does_not_change_what_a_point_means(
    each: Continuous | Integer | Categorical, seed: int
) -> None:
    space = Space([each])
    units = np.random.default_rng(seed).random((5, space.width))
    snapped = space.snap(units)
    assert snapped.shape == units.shape
    assert [space.decode(unit) for unit in snapped] == [space.decode(unit) for unit in units]


@given(low=st.integers(-50, 50), span=st.integers(0, 40))
def test_every_integer_comes_back(low: int, span: int) -> None:
    each = Integer("n", str(low), str(low + span), "Linear")
    for value in range(low, low + span + 1):
        assert each.decode(each.encode(str(value))) == str(value)


def test_bounds_are_reached_exactly() -> None:
    each = Continuous("lr", "5e-6", "5e-4", "Logarithmic")
    assert each.decode(np.array([0.0])) == "5e-06"
    assert each.decode(np.array([1.0])) == "0.0005"


def test_scalings_put_the_middle_where_they_say() -> None:
    middle = np.array([0.5])
    assert float(Continuous("x", "1e-4", "1e-2", "Logarithmic").decode(middle)) == pytest.approx(1e-3)
    assert float(Continuous("x", "0.9", "0.999", "ReverseLogarithmic").decode(middle)) == pytest.approx(0.99)
    assert float(Continuous("x", "0", "10", "Linear").decode(middle)) == 5.0


def test_categorical_values_are_passed_verbatim() -> None:
    space = Space([Categorical("optimizer", ('"adam"', " sgd", ""))])
    for value in ('"adam"', " sgd", ""):
        assert space.decode(space.encode({"optimizer": value})) == {"optimizer": value}


def test_integers_have_equal_shares_of_a_linear_range() -> None:
    each = Integer("layers", "1", "4", "Linear")
    found = [each.decode(np.array([u])) for u in np.linspace(0.001, 0.999, 400)]
    assert all(90 <= found.count(str(n)) <= 110 for n in range(1, 5))


def test_sizes() -> None:
    assert Space([Categorical("a", ("x", "y")), Integer("b", "1", "3")]).size == 6
    assert Space([Continuous("a", "1", "1")]).size == 1
    assert Space([Continuous("a", "1", "2")]).size is None


def test_grid_turns_the_last_range_fastest_and_takes_categories_only() -> None:
    space = Space([Categorical("a", ("x", "y")), Categorical("b", ("1", "2"))])
    assert [tuple(each.values()) for each in space.grid()] == [("x", "1"), ("x", "2"), ("y", "1"), ("y", "2")]
    with pytest.raises(ValidationException, match="'n' is not one"):
        list(Space([Integer("n", "1", "2")]).grid())


def test_holds_tells_what_is_outside() -> None:
    space = Space([Continuous("lr", "0.1", "0.2"), Integer("n", "1", "3"), Categorical("c", ("a",))])
    inside = {"lr": "0.15", "n": "2", "c": "a"}
    assert space.holds(inside)
    assert not space.holds({**inside, "lr": "0.3"})
    assert not space.holds({**inside, "n": "many"})
    assert not space.holds({**inside, "c": "b"})
    assert not space.holds({"lr": "0.15"})


@pytest.mark.parametrize(
    ("make", "words"),
    [
        (lambda: Continuous("x", "2", "1"), "above its MaxValue"),
        (lambda: Continuous("x", "-1e308", "1e308"), "too wide"),
        (lambda: Integer("x", "-1" + "0" * 308, "1" + "0" * 308), "too wide"),
        (lambda: Continuous("x", "0", "1", "Logarithmic"), "above 0 only"),
        (lambda: Continuous("x", "0", "1", "ReverseLogarithmic"), "below 1"),
        (lambda: Continuous("x", "nan", "1"), "no finite number"),
        (lambda: Integer("x", "1", "5", "ReverseLogarithmic"), "continuous ones"),
        (lambda: Integer("x", "1.5", "5"), "no whole number"),
        (lambda: Categorical("x", ()), "no values"),
        (lambda: Categorical("x", ("a", "a")), "twice"),
        (lambda: Space([Integer("x", "1", "2"), Integer("x", "1", "2")]), "same parameter name"),
        (lambda: Space([Categorical("c", ("a",))]).encode({"c": "b"}), "no value of"),
        (lambda: Space([Categorical("c", ("a",))]).encode({}), "no value for c"),
    ],
)
def test_what_makes_no_sense_is_refused(make, words) -> None:  # type: ignore[no-untyped-def]
    with pytest.raises(ValidationException, match=words):
        make()
