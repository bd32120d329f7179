from __future__ import annotations

import math

from clary.tuning.stopping import decide, first_step
from clary.tuning.strategy import Observation


def child(*curve: float, status: str = "Completed") -> Observation:
    return Observation({}, curve[-1] if curve else None, curve, status)  # type: ignore[arg-type]


FIVE = [child(0.1, 0.5), child(0.2, 0.6), child(0.3, 0.7), child(0.4, 0.8), child(0.5, 0.9)]


def test_stops_what_is_worse_than_the_median_of_running_averages() -> None:
    decision = decide([0.2, 0.49], FIVE, maximize=True)
    assert decision is not None
    # the averages over two steps are 0.3, 0.4, 0.5, 0.6 and 0.7
    assert (decision.stop, decision.step, decision.value, decision.jobs) == (True, 2, 0.49, 5)
    assert decision.threshold == 0.5
    assert "worse than 0.5, the median of 5 jobs' running averages" in decision.reason


def test_keeps_what_equals_the_median_and_what_is_better() -> None:
    for value in (0.5, 0.6):
        decision = decide([0.2, value], FIVE, maximize=True)
        assert decision is not None and not decision.stop


def test_minimising_turns_the_comparison() -> None:
    for value, stop in ((0.49, False), (0.51, True)):
        decision = decide([0.2, value], FIVE, maximize=False)
        assert decision is not None and decision.stop is stop


def test_nothing_to_say_before_the_first_value() -> None:
    assert decide([], FIVE, maximize=True) is None


def test_few_jobs_stop_nothing() -> None:
    decision = decide([0.0, 0.0], FIVE[:4], maximize=True)
    assert decision is not None and not decision.stop and decision.threshold is None and decision.jobs == 4


def test_only_curves_that_reach_the_step_count() -> None:
    decision = decide([0.0, 0.0], [*FIVE[:4], child(0.9)], maximize=True)
    assert decision is not None and not decision.stop and decision.jobs == 4


def test_the_first_step_is_spared() -> None:
    decision = decide([0.0], FIVE, maximize=True)
    assert decision is not None and not decision.stop and decision.threshold == 0.3


def test_long_jobs_are_spared_for_a_tenth_of_their_length() -> None:
    long = [child(*[0.5] * 50)] * 5
    assert first_step(long) == 5
    assert [d.stop for s in (4, 5) if (d := decide([0.1] * s, long, maximize=True))] == [False, True]


def test_stopped_jobs_do_not_shorten_the_grace() -> None:
    assert first_step([child(*[0.5] * 50), child(0.1, 0.1, status="Stopped")]) == 5


def test_not_a_number_is_worse_than_any() -> None:
    decision = decide([0.5, math.nan], FIVE, maximize=True)
    assert decision is not None and decision.stop


def test_gaps_of_a_curve_are_skipped_unless_it_ends_in_one() -> None:
    back, gone = child(math.nan, 0.9, 0.9), child(0.9, math.nan, math.inf)
    decision = decide([0.2, 0.49], [*FIVE, back, gone], maximize=True)
    assert decision is not None and decision.jobs == 6
    assert decision.threshold == 0.55  # of 0.3, 0.4, 0.5, 0.6, 0.7 and 0.9
    first = decide([0.2], [*FIVE, back, gone], maximize=True)
    assert first is not None and first.jobs == 6  # before it was gone the one is as good as any
