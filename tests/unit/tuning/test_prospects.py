from __future__ import annotations

import numpy as np
import pytest

from clary.tuning.bayesian import Bayesian
from clary.tuning.prospects import Prospects, due, prospects
from clary.tuning.space import Continuous, Space
from clary.tuning.strategy import Observation

SPACE = Space([Continuous("x", "0", "1", "Linear")])
STEPS = 18


def final(x: float) -> float:
    return 0.9 - 0.3 * (x - 0.5) ** 2


def curve(x: float, seed: int, steps: int = STEPS) -> tuple[float, ...]:
    noise = 0.003 * np.random.default_rng(seed).standard_normal(STEPS)
    values = final(x) - 0.4 * np.exp(-np.arange(1, STEPS + 1) / 3.0) + noise
    return tuple(float(each) for each in values[:steps])


def history(*places: float, sign: float = 1.0) -> list[Observation]:
    curves = [tuple(sign * v for v in curve(x, n)) for n, x in enumerate(places)]
    return [Observation({"x": repr(x)}, c[-1], c) for x, c in zip(places, curves, strict=True)]


def known(*places: float, sign: float = 1.0) -> Prospects:
    found = prospects(SPACE, history(*places, sign=sign), np.random.default_rng(3), maximize=sign > 0)
    assert found is not None
    return found


def test_what_cannot_win_is_stopped_in_words() -> None:
    model = known(0.3, 0.5, 0.6, 0.7, 0.9)
    decision = model.decide({"x": "0.02"}, curve(0.02, 9, 6))
    assert decision.stop
    assert (decision.step, decision.jobs) == (6, 5)
    assert decision.value == curve(0.02, 9, 6)[-1]
    assert decision.threshold == pytest.approx(0.9, abs=0.02)
    assert "at step 6 of 18 it is expected to come to 0.8" in decision.reason
    assert "is not worth the rest: less than" in decision.reason


def test_what_may_win_goes_on() -> None:
    model = known(0.0, 0.1, 0.15, 0.2, 0.95)
    decision = model.decide({"x": "0.5"}, curve(0.5, 9, 6))
    assert not decision.stop
    assert "(chance " in decision.reason and "is worth the rest: at least" in decision.reason


def test_a_child_where_the_best_one_is_gains_nothing() -> None:
    model = known(0.1, 0.3, 0.48, 0.5, 0.52, 0.7, 0.9)
    decision = model.decide({"x": "0.5"}, curve(0.5, 9, 12))
    assert decision.stop


def test_minimising_is_the_mirror_image() -> None:
    places = (0.3, 0.5, 0.6, 0.7, 0.9)
    for x in (0.02, 0.45):
        up = known(*places).decide({"x": repr(x)}, curve(x, 9, 6))
        down = known(*places, sign=-1.0).decide({"x": repr(x)}, [-v for v in curve(x, 9, 6)])
        assert up.stop is down.stop
        assert up.threshold == pytest.approx(-float(down.threshold or 0))


def test_nothing_is_decided_before_three_ran_to_the_end_or_on_what_cannot_be_foretold() -> None:
    assert prospects(SPACE, history(0.3, 0.5), np.random.default_rng(3), maximize=True) is None
    for odd in (float("nan"), 1e12):
        decision = known(0.3, 0.5, 0.7).decide({"x": "0.4"}, [odd] * 6)
        assert not decision.stop and decision.threshold is None and "nothing is foretold" in decision.reason


@pytest.mark.parametrize("size", [1e-200, 1e200])
def test_the_size_of_the_values_does_not_matter(size: float) -> None:
    places = (0.3, 0.5, 0.6, 0.7, 0.9)
    sized = [
        Observation(o.values, size * o.curve[-1], tuple(size * v for v in o.curve)) for o in history(*places)
    ]
    model = prospects(SPACE, sized, np.random.default_rng(3), maximize=True)
    assert model is not None
    for x in (0.02, 0.45):
        decision = model.decide({"x": repr(x)}, [size * v for v in curve(x, 9, 6)])
        assert decision.stop is known(*places).decide({"x": repr(x)}, curve(x, 9, 6)).stop


def test_one_that_diverged_is_not_what_others_are_held_against() -> None:
    whole = history(0.3, 0.5, 0.6, 0.7, 0.9)
    diverged = Observation({"x": "0.5"}, None, (*whole[1].curve[:-1], float("nan")))
    model = prospects(SPACE, [*whole, diverged], np.random.default_rng(3), maximize=True)
    assert model is not None and len(model.finished) == 5


def test_looks_are_few_and_none_is_missed() -> None:
    steps, decided = [], 0
    for step in range(1, 28):
        if due(step, decided, 27):
            steps.append(step)
            decided = step
    assert steps == [6, 9, 12, 15, 18, 21, 24]
    assert due(14, 9, 27) and not due(14, 13, 27) and not due(27, 0, 27)
    assert not due(1, 0, 3)


def test_the_same_history_decides_the_same() -> None:
    first, second = (known(0.3, 0.5, 0.6, 0.7).decide({"x": "0.4"}, curve(0.4, 9, 6)) for _ in range(2))
    assert first == second


def test_bayesian_learns_from_stopped_children_what_they_would_have_come_to() -> None:
    """Those that were stopped have the best configurations and, so early, the lowest values."""
    done = history(0.0, 0.1, 0.2, 0.3, 0.95, 1.0)
    cut = [
        Observation({"x": repr(x)}, curve(x, 9, 4)[-1], curve(x, 9, 4), "Stopped") for x in (0.45, 0.55, 0.6)
    ]
    chosen = Bayesian(first=3, forecasts=True, jobs=10).propose(
        SPACE, [*done, *cut], [], 1, np.random.default_rng(2), maximize=True
    )
    assert 0.3 < float(chosen[0].values["x"]) < 0.7
