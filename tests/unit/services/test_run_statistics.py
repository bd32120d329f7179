from __future__ import annotations

import math

import numpy as np
import pytest

from clary.services.run_statistics import STATISTICS, curve
from clary.store.base import Point


def points(*rows: tuple[float, float, int | None]) -> list[Point]:
    return [Point("s", "m", at, value, step) for at, value, step in rows]


def test_periods_begin_at_whole_multiples() -> None:
    found = curve(
        points((59.9, 1.0, 1), (60.0, 2.0, 1), (119.0, 4.0, 2), (3600.5, 8.0, None)),
        60,
        STATISTICS["Avg"],
        by_step=False,
    )
    assert found == [(0, 1.0), (60, 3.0), (3600, 8.0)]


def test_steps_are_in_order_and_points_without_one_are_passed_over() -> None:
    found = curve(
        points((1.0, 5.0, 3), (2.0, 6.0, 1), (3.0, 9.0, None), (4.0, 7.0, 3)),
        None,
        STATISTICS["Last"],
        by_step=True,
    )
    assert found == [(1, 6.0), (3, 7.0)]


def test_steps_on_the_axis_of_time() -> None:
    found = curve(
        points((1.9, 5.0, 3), (2.0, 6.0, 1), (3.0, 9.0, None), (4.7, 7.0, 3)),
        None,
        STATISTICS["Avg"],
        by_step=False,
    )
    assert found == [(2, 6.0), (3, 9.0), (4, 6.0)]


def test_not_a_number_is_passed_over() -> None:
    assert curve(points((1.0, math.nan, 1)), 60, STATISTICS["Count"], by_step=False) == []
    assert curve(points((1.0, math.nan, 1), (2.0, 1.0, 1)), None, STATISTICS["Count"], by_step=True) == [
        (1, 1.0)
    ]


@pytest.mark.parametrize("values", [[3.0], [1.0, 2.0, 4.0], [1e9, 1e9 + 1], [1.0, math.inf]])
def test_statistics_are_those_of_numpy(values: list[float]) -> None:
    found = {name: measure(values) for name, measure in STATISTICS.items()}
    with np.errstate(invalid="ignore"):
        wanted = {
            "Min": np.min(values),
            "Max": np.max(values),
            "Avg": np.mean(values),
            "Count": len(values),
            "StdDev": np.std(values),
            "Last": values[-1],
        }
    np.testing.assert_equal(found, wanted)
