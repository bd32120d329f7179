from __future__ import annotations

import math

import pytest

from clary.tuning.curves import completed
from clary.tuning.strategy import Observation


def child(*curve: float, status: str = "Completed") -> Observation:
    return Observation({}, curve[-1] if curve else None, curve, status)  # type: ignore[arg-type]


def test_a_stopped_child_gets_the_gain_of_those_that_went_on() -> None:
    full = [child(0.1 * n, 0.2 + 0.1 * n, 0.25 + 0.1 * n) for n in range(3)]
    found = completed([*full, child(0.5, status="Stopped")], 3)
    assert [each.objective for each in found[:3]] == [each.objective for each in full]
    assert found[3].objective == pytest.approx(0.75)
    assert found[3].curve == (0.5,)


def test_longer_curves_are_read_at_the_length() -> None:
    assert completed([child(0.1, 0.2, 0.9)], 2)[0].objective == 0.2


def test_no_gain_is_made_up_from_too_few() -> None:
    assert completed([child(0.1, 0.9), child(0.1, 0.9), child(0.3, status="Stopped")], 2)[2].objective == 0.3


def test_failed_and_silent_children_are_left_as_they_are() -> None:
    odd = [child(0.5, status="Failed"), child()]
    assert completed([*odd, child(0.1, 0.2), child(math.nan, 0.2)], 2)[:2] == odd
