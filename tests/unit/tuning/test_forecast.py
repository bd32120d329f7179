from __future__ import annotations

import math

import numpy as np
import pytest

from clary.tuning.forecast import foreseen, learn, length_of
from clary.tuning.space import Continuous, Space
from clary.tuning.strategy import Observation

SPACE = Space([Continuous("x", "0", "1", "Linear")])
STEPS = 20


def final(x: float) -> float:
    return 0.9 - 0.3 * (x - 0.4) ** 2


def curve(x: float, *, seed: int | None = None, steps: int = STEPS, slow: float = 0.0) -> tuple[float, ...]:
    """Exponential towards `final`; with `slow`, the slower the smaller x."""
    noise = 0.0 if seed is None else 0.004 * np.random.default_rng(seed).standard_normal(STEPS)
    pace = 3.0 * (1.0 + slow * (1.0 - x))
    values = final(x) - 0.4 * np.exp(-np.arange(1, STEPS + 1) / pace) + noise
    return tuple(float(each) for each in values[:steps])


def child(x: float, values: tuple[float, ...], status: str = "Completed") -> Observation:
    return Observation({"x": repr(x)}, values[-1] if values else None, values, status)  # type: ignore[arg-type]


def whole(slow: float = 0.0) -> list[Observation]:
    return [child(x, curve(x, seed=n, slow=slow)) for n, x in enumerate((0.0, 0.2, 0.4, 0.6, 0.8))]


def test_a_short_curve_is_extended_and_the_more_it_shows_the_surer() -> None:
    family = learn(SPACE, whole(slow=2.0), STEPS)
    assert family is not None
    found = [family.forecast(curve(0.5, seed=9, steps=s, slow=2.0), np.array([0.5])) for s in (3, 20)]
    early, late = (each for each in found if each is not None)
    truth = curve(0.5, slow=2.0)[-1]
    assert abs(early.mean - truth) < 0.05 and abs(late.mean - truth) < 0.01
    assert early.deviation > late.deviation
    assert curve(0.5, seed=9, steps=3, slow=2.0)[-1] < truth - 0.1


def test_neighbours_tell_how_much_is_still_to_come() -> None:
    family = learn(SPACE, whole(slow=3.0), STEPS)
    assert family is not None
    for x in (0.1, 0.7):
        found = family.forecast(curve(x, steps=4, slow=3.0), np.array([x]))
        assert found is not None and found.mean == pytest.approx(
            curve(x, slow=3.0)[-1], abs=2.5 * found.deviation
        )


def test_deviations_are_honest() -> None:
    draws = np.random.default_rng(5)
    family = learn(SPACE, whole(slow=1.0), STEPS)
    assert family is not None
    for step in (4, 8, 12):
        misses = []
        for n in range(40):
            x = float(draws.random() * 0.8)
            found = family.forecast(curve(x, seed=100 + n, steps=step, slow=1.0), np.array([x]))
            assert found is not None
            misses.append((found.mean - curve(x, slow=1.0)[-1]) / found.deviation)
        assert 0.1 < float(np.sqrt(np.mean(np.square(misses)))) < 1.6


def test_stopped_children_count_with_what_they_would_have_come_to() -> None:
    history = [*whole(), child(0.5, curve(0.5, seed=8, steps=6), "Stopped"), child(0.9, (), "Failed")]
    told = foreseen(SPACE, history)
    assert told[5].objective == pytest.approx(final(0.5), abs=0.03)
    assert told[5].curve == history[5].curve and told[5].spread > 0.0
    assert told[6] == history[6]
    assert [each.spread for each in told[:5]].count(0.0) >= 2
    assert all(
        abs(each.objective - final(float(each.values["x"]))) < 0.006 for each in told[:5] if each.objective
    )


def test_minimising_is_the_mirror_image() -> None:
    history = [*whole(), child(0.5, curve(0.5, seed=8, steps=6), "Stopped")]
    mirrored = [
        Observation(o.values, -float(o.objective or 0), tuple(-v for v in o.curve), o.status) for o in history
    ]
    for one, other in zip(foreseen(SPACE, history), foreseen(SPACE, mirrored), strict=True):
        assert one.objective == pytest.approx(-float(other.objective or 0))
        assert one.spread == pytest.approx(other.spread)


def test_nothing_is_foretold_from_too_few_or_unequal_children() -> None:
    few = [*whole()[:2], child(0.5, curve(0.5, steps=6), "Stopped")]
    assert length_of(few) is None and foreseen(SPACE, few) == few
    unequal = [child(x, curve(x, steps=n)) for x, n in ((0.1, 20), (0.2, 20), (0.3, 8))]
    assert length_of(unequal) is None and foreseen(SPACE, unequal) == unequal
    short = [child(x, curve(x, steps=3)) for x in (0.1, 0.2, 0.3)]
    assert length_of(short) is None


def test_what_diverged_is_left_as_it_is_and_teaches_nothing() -> None:
    diverged = child(0.95, tuple(10.0**n for n in range(STEPS)))
    infinite = child(0.9, (math.inf,) * 4, "Stopped")
    told = foreseen(SPACE, [*whole(), diverged, infinite])
    assert told[5:] == [diverged, infinite]
    assert told[:5] == foreseen(SPACE, whole())


def test_a_script_that_ends_when_it_diverges_leaves_the_length_known() -> None:
    gave_up = child(0.95, (0.5, 0.4, math.nan))
    assert length_of([*whole(), gave_up]) == STEPS
    assert foreseen(SPACE, [*whole(), gave_up])[:5] == foreseen(SPACE, whole())


def test_values_whose_squares_are_no_numbers_are_borne() -> None:
    size = 1e200
    huge = [child(float(o.values["x"]), tuple(size * v for v in o.curve)) for o in whole()]
    part = child(0.5, tuple(size * v for v in curve(0.5, steps=8)), "Stopped")
    told = foreseen(SPACE, [*huge, part])[5]
    assert told.objective == pytest.approx(size * final(0.5), rel=0.05)
    assert 0.0 < told.spread < 0.2 * size


def test_gaps_and_constant_curves_are_borne() -> None:
    gap = child(0.5, (*curve(0.5, steps=4), math.nan, *curve(0.5, steps=8)[5:]), "Stopped")
    assert foreseen(SPACE, [*whole(), gap])[5].objective == pytest.approx(final(0.5), abs=0.05)
    flat = [child(0.1 * n, (0.5,) * STEPS) for n in range(4)]
    assert foreseen(SPACE, flat) == flat


def test_children_from_outside_the_space_stay() -> None:
    strange = Observation({"other": "1"}, 0.5, (0.1, 0.5))
    assert foreseen(SPACE, [*whole(), strange])[5] == strange


def test_long_curves_are_thinned() -> None:
    long = [
        child(x, tuple(np.interp(np.linspace(1, 20, 2000), np.arange(1, 21), curve(x))))
        for x in (0.1, 0.3, 0.6)
    ]
    part = child(0.4, long[1].curve[:700], "Stopped")
    told = foreseen(SPACE, [*long, part])
    assert told[3].objective == pytest.approx(final(0.3), abs=0.02)
