"""From the points of a metric to a curve: points grouped by period or by step, and a statistic of each group. Pure."""

from __future__ import annotations

import math
from collections import defaultdict
from collections.abc import Callable, Mapping, Sequence

import numpy as np

from clary.store.base import Point

Statistic = Callable[[Sequence[float]], float]

PERIODS_S: Mapping[str, int] = {"OneMinute": 60, "FiveMinute": 300, "OneHour": 3600}


def curve(
    points: Sequence[Point], period_s: int | None, statistic: Statistic, *, by_step: bool
) -> list[tuple[int, float]]:
    """Place on the x axis and value of each group, in the order of the places. `points` are in the order of time.

    A group is a period of `period_s`, which begins at its place, or for None a step. The place of a step is the step
    itself if `by_step`, else the time of its last point in whole seconds. Values that are NaN are passed over, and so
    is a point without a step if `by_step`.
    """
    groups: defaultdict[int, list[Point]] = defaultdict(list)
    loose: list[tuple[int, float]] = []
    for point in points:
        if math.isnan(point.value):
            continue
        if period_s is not None:
            groups[math.floor(point.at / period_s) * period_s].append(point)
        elif point.step is not None:
            groups[point.step].append(point)
        elif not by_step:
            loose.append((math.floor(point.at), statistic([point.value])))
    on_time = period_s is None and not by_step
    found = [
        (math.floor(group[-1].at) if on_time else place, statistic([point.value for point in group]))
        for place, group in groups.items()
    ]
    return sorted(found + loose, key=_place)


def _place(found: tuple[int, float]) -> int:
    return found[0]


def _mean(values: Sequence[float]) -> float:
    with np.errstate(invalid="ignore", over="ignore"):
        return float(np.mean(values))


def _deviation(values: Sequence[float]) -> float:
    """Of the population."""
    with np.errstate(invalid="ignore", over="ignore"):
        return float(np.std(values))


def _last(values: Sequence[float]) -> float:
    return values[-1]


def _count(values: Sequence[float]) -> float:
    return float(len(values))


STATISTICS: Mapping[str, Statistic] = {
    "Min": min,
    "Max": max,
    "Avg": _mean,
    "Count": _count,
    "StdDev": _deviation,
    "Last": _last,
}
