from __future__ import annotations

import math
from collections import Counter

import pytest

from clary.errors import ValidationException
from clary.tuning.hyperband import Hyperband, resource_limit

BAND = Hyperband(max_resource=27, brackets=1)


def test_rungs_lie_between_the_resources() -> None:
    assert BAND.rungs == (1, 3, 9)
    assert Hyperband(max_resource=20, min_resource=4).rungs == (4, 12)
    assert Hyperband(max_resource=3, min_resource=3).rungs == ()


def test_the_first_at_a_rung_go_on() -> None:
    decision = BAND.decide(1, [0.1], {0: [0.9]}, maximize=True)
    assert decision is not None and not decision.stop and decision.threshold is None


def test_the_best_third_goes_on_and_others_stop() -> None:
    others = {n: [0.1 * n] for n in range(5)}
    for value, stop in ((0.5, False), (0.35, False), (0.25, True)):
        decision = BAND.decide(9, [value], others, maximize=True)
        assert decision is not None and decision.stop is stop
    assert decision.threshold == pytest.approx(0.3) and decision.jobs == 5 and decision.step == 1


def test_minimising_keeps_the_lowest() -> None:
    others = {n: [0.1 * n] for n in range(5)}
    for value, stop in ((0.05, False), (0.25, True)):
        decision = BAND.decide(9, [value], others, maximize=False)
        assert decision is not None and decision.stop is stop


def test_nothing_to_say_between_rungs_or_twice() -> None:
    assert BAND.decide(9, [0.1, 0.2], {}, maximize=True, decided=1) is None
    assert BAND.decide(9, [], {}, maximize=True) is None


def test_rungs_passed_between_two_looks_are_made_up_for() -> None:
    others = {n: [0.5, 0.5, 0.5] for n in range(5)}
    decision = BAND.decide(9, [0.1, 0.2, 0.9, 0.9], others, maximize=True)
    assert decision is not None and decision.stop and decision.step == 1


def test_max_resource_ends_a_job() -> None:
    decision = BAND.decide(0, [0.9] * 27, {}, maximize=True)
    assert decision is not None and decision.stop and "MaxResource (27)" in decision.reason


def test_nothing_is_stopped_below_min_resource() -> None:
    band = Hyperband(max_resource=27, min_resource=3, brackets=1)
    others = {n: [0.9, 0.9] for n in range(9)}
    assert band.decide(9, [0.0, 0.0], others, maximize=True) is None


def test_not_a_number_is_stopped() -> None:
    decision = BAND.decide(9, [math.nan], {n: [0.5] for n in range(4)}, maximize=True)
    assert decision is not None and decision.stop


def test_brackets_skip_rungs_and_get_fewer_children_the_later_they_stop() -> None:
    band = Hyperband(max_resource=27, brackets=3)
    shares = Counter(band.bracket(n) for n in range(300))
    assert shares[0] > shares[1] > shares[2] > 0
    late = next(n for n in range(99) if band.bracket(n) == 1)
    assert band.decide(late, [0.0], {n: [0.9] for n in range(100, 200)}, maximize=True) is None


def test_brackets_are_compared_within_themselves() -> None:
    band = Hyperband(max_resource=27, brackets=2)
    zero = [n for n in range(99) if band.bracket(n) == 0]
    one = [n for n in range(99) if band.bracket(n) == 1]
    decision = band.decide(zero[0], [0.0], {n: [0.9] * 3 for n in one}, maximize=True)
    assert decision is not None and not decision.stop and decision.jobs == 0


def test_resources_out_of_order_are_refused() -> None:
    for low, high in ((0, 5), (6, 5), (1, 20_001)):
        with pytest.raises(ValidationException, match="MinResource"):
            Hyperband(max_resource=high, min_resource=low)


def test_max_resource_is_read_from_the_hyperparameter_that_counts_epochs() -> None:
    assert resource_limit({"epochs": "9"}) == 9
    assert resource_limit({"num_epochs": '"12"', "lr": "1"}) == 12
    for static in ({}, {"epochs": "many"}, {"steps": "9"}):
        with pytest.raises(ValidationException, match="MaxResource"):
            resource_limit(static)
