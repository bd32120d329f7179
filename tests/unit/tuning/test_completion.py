from __future__ import annotations

import math

from clary.tuning.completion import Criteria, progress
from clary.tuning.strategy import Observation


def children(*objectives: float | None) -> list[Observation]:
    return [Observation({}, each, () if each is None else (each,)) for each in objectives]


def test_goes_on_without_criteria() -> None:
    state = progress(children(*[0.5] * 40), Criteria(), maximize=True)
    assert state.cause is None and state.converged and state.not_improving == 39 and state.best == 0.5


def test_target_is_reached_by_any_child() -> None:
    assert progress(children(0.5, 0.8, 0.6), Criteria(target=0.8), maximize=True).cause == "target"
    assert progress(children(0.5, 0.8, 0.6), Criteria(target=0.81), maximize=True).cause is None
    assert progress(children(0.5, 0.8), Criteria(target=0.4), maximize=False).cause is None
    assert progress(children(0.5, 0.3), Criteria(target=0.4), maximize=False).cause == "target"


def test_target_is_reached_by_a_running_child() -> None:
    state = progress([], Criteria(target=0.8), maximize=True, running=[(0.1, 0.85)])
    assert state.cause == "target" and "0.85" in state.reason


def test_gains_below_one_percent_are_no_improvement() -> None:
    criteria = Criteria(max_not_improving=3)
    assert progress(children(0.8, 0.805, 0.807, 0.8079), criteria, maximize=True).cause == "not improving"
    assert progress(children(0.8, 0.805, 0.81, 0.811), criteria, maximize=True).cause is None


def test_failed_children_do_not_improve() -> None:
    state = progress(children(0.8, None, math.nan, 0.5), Criteria(max_not_improving=3), maximize=True)
    assert state.cause == "not improving" and state.best == 0.8


def test_nothing_is_counted_before_the_first_value() -> None:
    assert (
        progress(children(None, None, None, None), Criteria(max_not_improving=3), maximize=True).not_improving
        == 0
    )


def test_minimising_counts_falls() -> None:
    assert (
        progress(children(1.0, 0.98, 0.96), Criteria(max_not_improving=3), maximize=False).not_improving == 0
    )


def test_negative_objectives() -> None:
    state = progress(children(-10.0, -9.95, -9.8), Criteria(), maximize=True)
    assert state.not_improving == 0 and state.best == -9.8


def test_convergence_fires_only_when_asked_for() -> None:
    history = children(0.5, *[0.5] * 10)
    assert progress(history, Criteria(convergence=True), maximize=True).cause == "converged"
    assert progress(history, Criteria(), maximize=True).converged
    assert not progress(history[:-1], Criteria(convergence=True), maximize=True).converged


def test_target_wins_over_the_others() -> None:
    state = progress(children(*[0.5] * 20), Criteria(0.5, 3, True), maximize=True)
    assert state.cause == "target"
