"""What the points of a series come to, kept beside them. Each function works in its caller's transaction.

A tally follows Welford's rule on what values exceed an anchor by, the first finite value. So figures stay exact to the
last few digits where values are large and close together, and it does not matter how points were cut into writes.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from sqlalchemy import ColumnElement, Connection, bindparam, select, update

from clary.store.base import Point, Summary
from clary.store.columns import begins_with
from clary.store.tables import SERIES

_C = SERIES.c
TALLY = (
    _C.count,
    _C.minimum,
    _C.maximum,
    _C.anchor,
    _C.excess,
    _C.squares,
    _C.last,
    _C.last_at,
    _C.last_step,
)
_SUMMARIES = select(_C.name, _C.metric, *TALLY).where(_C.count > 0).order_by(_C.name, _C.metric)
_NAMES_AT_ONCE = 500


@dataclass(slots=True)
class Tally:
    """`excess` is the mean of value - anchor, `squares` the sum of the squared distances from the mean."""

    count: int = 0
    minimum: float = math.inf
    maximum: float = -math.inf
    anchor: float = 0.0
    excess: float = 0.0
    squares: float = 0.0
    last: float = 0.0
    last_at: float = -math.inf
    last_step: int | None = None

    def add(self, point: Point) -> None:
        value = float(point.value)
        if math.isnan(value):
            return
        if self.count == 0 and math.isfinite(value):
            self.anchor = value
        self.count += 1
        self.minimum = min(self.minimum, value)
        self.maximum = max(self.maximum, value)
        self._weigh(value - self.anchor)
        if point.at >= self.last_at:
            self.last, self.last_at, self.last_step = value, float(point.at), point.step

    def _weigh(self, excess: float) -> None:
        distance = excess - self.excess
        if math.isfinite(distance):
            self.excess += distance / self.count
            self.squares += distance * (excess - self.excess)
        else:
            self.excess += excess
            self.squares = math.nan


def read_tally(row: Sequence[Any]) -> Tally:
    """From the columns TALLY."""
    return Tally(*row) if row[0] else Tally()


def write_tallies(connection: Connection, tallies: Mapping[int, Tally]) -> None:
    """By the number of their series, whose rows the caller holds."""
    rows = [
        {"i": number, **{f"n_{column.name}": getattr(tally, column.name) for column in TALLY}}
        for number, tally in tallies.items()
        if tally.count
    ]
    if rows:
        connection.execute(_UPDATE, rows)


_UPDATE = (
    update(SERIES)
    .where(_C.id == bindparam("i"))
    .values({column: bindparam(f"n_{column.name}") for column in TALLY})
)


def read_summaries(
    connection: Connection, series: Iterable[str], metrics: Iterable[str] | None
) -> Sequence[Summary]:
    names = sorted(set(series))
    metric = list(_among(metrics))
    found: list[Summary] = []
    for first in range(0, len(names), _NAMES_AT_ONCE):
        some = _C.name.in_(names[first : first + _NAMES_AT_ONCE])
        found += (_summary(row) for row in connection.execute(_SUMMARIES.where(some, *metric)))
    return found


def read_summaries_under(
    connection: Connection, prefix: str, metrics: Iterable[str] | None
) -> Sequence[Summary]:
    rows = connection.execute(_SUMMARIES.where(*_under(prefix), *_among(metrics)))
    return [_summary(row) for row in rows]


def _among(metrics: Iterable[str] | None) -> Iterator[ColumnElement[bool]]:
    if metrics is not None:
        yield _C.metric.in_(tuple(metrics))


def _under(prefix: str) -> Iterator[ColumnElement[bool]]:
    if prefix:
        yield from begins_with(_C.name, prefix)


def _summary(row: Sequence[Any]) -> Summary:
    series, metric, count, minimum, maximum, anchor, excess, squares, last, last_at, last_step = row
    deviation = math.sqrt(squares / count)
    mean = anchor + excess
    return Summary(series, metric, count, minimum, maximum, mean, deviation, last, last_at, last_step)
