"""The data points that autoscaling decides by, from the points of a series."""

from __future__ import annotations

import math
from collections import defaultdict
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import replace

from clary.domain.autoscaling import IN_POINTS
from clary.domain.scalable import Metric
from clary.store.base import Point, Store

SETTLE_S = 6.0  # until what happened is written: points lie at the beginning of the few seconds they cover
MINUTE_S = 60.0


def read(
    store: Store, metric: Metric, *, now: float, period_s: float, since: float
) -> Sequence[float | None]:
    """The latest complete periods, oldest first; None without data. Rates are per minute.

    Nobody having asked in a period after `since` is data, too: that a rate was 0.
    """
    end = math.floor((now - SETTLE_S) / period_s) * period_s
    start = end - IN_POINTS * period_s
    periods: defaultdict[int, list[Point]] = defaultdict(list)
    for point in store.points(metric.series, metric.name, start=start, end=end):
        periods[math.floor((point.at - start) / period_s + 1e-9)].append(point)
    values: list[float | None] = []
    for number in range(IN_POINTS):
        if points := periods.get(number):
            values.append(_STATISTICS[metric.statistic](points if metric.weighted else _single(points)))
        else:
            values.append(0.0 if metric.rate and start + number * period_s >= since else None)
    if metric.rate:
        return [value if value is None else value * MINUTE_S / period_s for value in values]
    return values


def _single(points: Iterable[Point]) -> Sequence[Point]:
    return [replace(point, step=None) for point in points]


# A point is `step` measurements whose sum is its value.


def _weight(points: Iterable[Point]) -> float:
    return float(sum(point.step or 1 for point in points))


def _total(points: Iterable[Point]) -> float:
    return math.fsum(point.value for point in points)


def _means(points: Iterable[Point]) -> Sequence[float]:
    return [point.value / (point.step or 1) for point in points]


_STATISTICS: Mapping[str, Callable[[Sequence[Point]], float]] = {
    "Sum": _total,
    "SampleCount": _weight,
    "Average": lambda points: _total(points) / _weight(points),
    "Minimum": lambda points: min(_means(points)),
    "Maximum": lambda points: max(_means(points)),
}
