"""Metric points. Each function works in its caller's transaction."""

from __future__ import annotations

import math
from collections.abc import Sequence

from sqlalchemy import Connection, bindparam, delete, insert, or_, select
from sqlalchemy.dialects import postgresql, sqlite

from clary.store.base import Point
from clary.store.tables import POINTS, SERIES
from clary.store.transactions import Interrupted

_METRICS = select(SERIES.c.metric).where(SERIES.c.name == bindparam("s")).order_by(SERIES.c.metric)
_POINTS = (
    select(POINTS.c.at, POINTS.c.value, POINTS.c.step)
    .join(SERIES, POINTS.c.series_id == SERIES.c.id)
    .where(SERIES.c.name == bindparam("s"), SERIES.c.metric == bindparam("m"))
    .order_by(POINTS.c.at, POINTS.c.id)
)
_INSERT = insert(POINTS)
_KEYS_AT_ONCE = 200


def check_points(points: Sequence[Point]) -> None:
    """Raises ValueError for a point without a place in time. Its value may be anything, NaN too."""
    for point in points:
        if not math.isfinite(point.at):
            raise ValueError(
                f"point of {point.series} {point.metric}: `at` is {point.at}, give seconds since the epoch"
            )


def append_points(connection: Connection, points: Sequence[Point]) -> None:
    if not points:
        return
    numbers = _series_numbers(connection, sorted({(point.series, point.metric) for point in points}))
    rows = [
        {
            "series_id": numbers[point.series, point.metric],
            "at": float(point.at),
            "value": float(point.value),
            "step": point.step,
        }
        for point in points
    ]
    connection.execute(_INSERT, rows)


def read_points(
    connection: Connection, series: str, metric: str, *, start: float | None, end: float | None
) -> Sequence[Point]:
    statement = _POINTS
    if start is not None:
        statement = statement.where(POINTS.c.at >= start)
    if end is not None:
        statement = statement.where(POINTS.c.at < end)
    rows = connection.execute(statement, {"s": series, "m": metric})
    return tuple(Point(series, metric, at, value, step) for at, value, step in rows)


def list_metrics(connection: Connection, series: str) -> Sequence[str]:
    """In the order of their names."""
    return tuple(connection.scalars(_METRICS, {"s": series}))


def drop_series(connection: Connection, owner: str) -> None:
    """Remove the series called `owner`, and those called `owner` and something more behind a slash."""
    inner = f"{owner}/"
    mine = select(SERIES.c.id).where(
        or_(
            SERIES.c.name == owner,
            # "0" follows "/", so this is the index's range of names that begin with `inner`
            (SERIES.c.name >= inner) & (SERIES.c.name < f"{owner}0"),
        )
    )
    connection.execute(delete(SERIES).where(SERIES.c.id.in_(mine)))


def _series_numbers(connection: Connection, keys: Sequence[tuple[str, str]]) -> dict[tuple[str, str], int]:
    numbers = _find(connection, keys)
    missing = [key for key in keys if key not in numbers]
    if not missing:
        return numbers
    dialect = sqlite if connection.dialect.name == "sqlite" else postgresql
    added = dialect.insert(SERIES).on_conflict_do_nothing()
    connection.execute(added, [{"name": name, "metric": metric} for name, metric in missing])
    numbers |= _find(connection, missing)
    if len(numbers) < len(keys):
        raise Interrupted("a series was removed while it was written")
    return numbers


def _find(connection: Connection, keys: Sequence[tuple[str, str]]) -> dict[tuple[str, str], int]:
    """Numbers of the series that exist, which stay for as long as the transaction lasts."""
    numbers: dict[tuple[str, str], int] = {}
    for first in range(0, len(keys), _KEYS_AT_ONCE):
        some = keys[first : first + _KEYS_AT_ONCE]
        statement = (
            select(SERIES.c.name, SERIES.c.metric, SERIES.c.id)
            .where(or_(*((SERIES.c.name == name) & (SERIES.c.metric == metric) for name, metric in some)))
            .with_for_update(read=True, key_share=True)
        )
        numbers |= {(name, metric): number for name, metric, number in connection.execute(statement)}
    return numbers
