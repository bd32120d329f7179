"""Metric points. Each function works in its caller's transaction."""

from __future__ import annotations

import math
from collections.abc import Sequence
from functools import cache
from typing import Any

from sqlalchemy import Connection, Select, bindparam, delete, insert, or_, select, update
from sqlalchemy.dialects import postgresql, sqlite
from sqlalchemy.exc import IntegrityError

from clary.store.base import Point
from clary.store.summaries import TALLY, Tally, read_tally, write_tallies
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
_FEW = 10  # points in a batch of a client

Held = dict[tuple[str, str], tuple[int, Tally]]
"""By series and metric: the number of the row and its tally."""


def check_points(points: Sequence[Point]) -> None:
    """Raises ValueError for a point without a place in time. Its value may be anything, NaN too."""
    for point in points:
        if not math.isfinite(point.at):
            raise ValueError(
                f"point of {point.series} {point.metric}: `at` is {point.at}, give seconds since the epoch"
            )


def append_points(connection: Connection, points: Sequence[Point], *, once: bool = False) -> None:
    """Write the points and bring the summaries along. `once`: only those that equal none before them."""
    if not points:
        return
    held = _hold_series(connection, sorted({(point.series, point.metric) for point in points}))
    numbered = [(held[point.series, point.metric][0], point) for point in points]
    if once:
        numbered = _new_ones(connection, numbered)
        if not numbered:
            return
    connection.execute(_INSERT, [_row(number, point) for number, point in numbered])
    tallies = dict(held.values())
    for number, point in numbered:
        tallies[number].add(point)
    write_tallies(connection, tallies)


def _row(number: int, point: Point) -> dict[str, Any]:
    return {"series_id": number, "at": float(point.at), "value": float(point.value), "step": point.step}


def _new_ones(connection: Connection, numbered: Sequence[tuple[int, Point]]) -> list[tuple[int, Point]]:
    moments = sorted({(number, float(point.at)) for number, point in numbered})
    there: set[tuple[int, float, int | None, float | None]] = set()
    size = _FEW if len(moments) <= _FEW else _KEYS_AT_ONCE
    for first in range(0, len(moments), size):
        some = moments[first : first + size]
        some += some[-1:] * (size - len(some))  # a statement of one length is made once
        places = {
            f"{name}{place}": value
            for place, moment in enumerate(some)
            for name, value in zip("sa", moment, strict=True)
        }
        there |= {_identity(*row) for row in connection.execute(_at(size), places)}
    fresh = []
    for number, point in numbered:
        identity = _identity(number, float(point.at), point.step, float(point.value))
        if identity not in there:
            there.add(identity)
            fresh.append((number, point))
    return fresh


@cache
def _at(size: int) -> Select[Any]:
    """Points of series `s0` at `a0`, of `s1` at `a1`, and so on."""
    moments = (
        (POINTS.c.series_id == bindparam(f"s{place}")) & (POINTS.c.at == bindparam(f"a{place}"))
        for place in range(size)
    )
    return select(POINTS.c.series_id, POINTS.c.at, POINTS.c.step, POINTS.c.value).where(or_(*moments))


def _identity(
    number: int, at: float, step: int | None, value: float
) -> tuple[int, float, int | None, float | None]:
    return number, at, step, None if math.isnan(value) else value


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


def pass_series(connection: Connection, owner: str, heir: str) -> None:
    """Give the series called `owner` to `heir`, except for metrics that the heir has already."""
    theirs = select(SERIES.c.metric).where(SERIES.c.name == heir)
    statement = update(SERIES).where(SERIES.c.name == owner, SERIES.c.metric.not_in(theirs))
    try:
        with connection.begin_nested():
            connection.execute(statement.values(name=heir))
    except IntegrityError:
        raise Interrupted(f"{heir} got a metric in between") from None


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


def _hold_series(connection: Connection, keys: Sequence[tuple[str, str]]) -> Held:
    """The series, made if need be, which stay as they are for others until the transaction ends."""
    held = _find(connection, keys)
    missing = [key for key in keys if key not in held]
    if not missing:
        return held
    dialect = sqlite if connection.dialect.name == "sqlite" else postgresql
    added = dialect.insert(SERIES).on_conflict_do_nothing()
    connection.execute(added, [{"name": name, "metric": metric} for name, metric in missing])
    held |= _find(connection, missing)
    if len(held) < len(keys):
        raise Interrupted("a series was removed while it was written")
    return held


def _find(connection: Connection, keys: Sequence[tuple[str, str]]) -> Held:
    held: Held = {}
    for first in range(0, len(keys), _KEYS_AT_ONCE):
        some = keys[first : first + _KEYS_AT_ONCE]
        statement = (
            select(SERIES.c.name, SERIES.c.metric, SERIES.c.id, *TALLY)
            .where(or_(*((SERIES.c.name == name) & (SERIES.c.metric == metric) for name, metric in some)))
            # all take their rows in one order, so that no two wait for each other
            .order_by(SERIES.c.name, SERIES.c.metric)
            .with_for_update(key_share=True)
        )
        for name, metric, number, *tally in connection.execute(statement):
            held[name, metric] = number, read_tally(tally)
    return held
