"""What endpoints' requests come to, as points of their variants' series.

A point is `step` measurements whose sum is its value, so that sums, counts and means are exact however few points
there are. Latencies of a few seconds become at most about fifty points: each a stretch of the ordered values.
"""

from __future__ import annotations

import logging
import math
import threading
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from itertools import pairwise

from clary.store.base import Point, Store

log = logging.getLogger("clary.routing")

STRETCHES = 40
SHARES = (0.5, 0.9, 0.95, 0.99, 0.995, 0.999)  # percentiles that stay exact
MOST_KEPT = 200_000  # measurements of one variant between two flushes that failed


@dataclass(frozen=True, slots=True)
class Flown:
    """One request that ended. Times are seconds.

    `status` is the model server's; None: it gave no answer. `model_s`, `overhead_s`: None where nothing was asked.
    `setup_s`: how long the request waited for a serverless instance to come up.
    """

    endpoint: str
    variant: str
    instances: int
    status: int | None
    model_s: float | None
    overhead_s: float | None
    setup_s: float | None = None


@dataclass(slots=True)
class _Tally:
    """What is not written yet of one variant. `since` is epoch seconds."""

    since: float
    values: dict[str, list[float]] = field(default_factory=dict)

    def add(self, metric: str, value: float) -> None:
        self.values.setdefault(metric, []).append(value)


def series_of(endpoint: str, variant: str) -> str:
    return f"endpoint/{endpoint}/{variant}"


class Gauges:
    """Gathers what ended, until `flush` writes it. May be used by many threads at once."""

    def __init__(self, store: Store, now: Callable[[], float]) -> None:
        self._store = store
        self._now = now
        self._lock = threading.Lock()
        self._tallies: dict[str, _Tally] = {}

    def note(self, flown: Flown) -> None:
        """Takes a microsecond or two; writes nothing."""
        values = dict(_measurements(flown))
        series = series_of(flown.endpoint, flown.variant)
        with self._lock:
            tally = self._tallies.get(series)
            if tally is None:
                tally = self._tallies[series] = _Tally(self._now())
            for metric, value in values.items():
                tally.add(metric, value)

    def flush(self) -> None:
        """Write all that was gathered, in one append. What cannot be written is kept for the next flush."""
        with self._lock:
            tallies, self._tallies = self._tallies, {}
        points = [point for series, tally in tallies.items() for point in _points(series, tally)]
        if not points:
            return
        try:
            self._store.append(points)
        except Exception:
            self._keep(tallies)
            raise

    def _keep(self, tallies: dict[str, _Tally]) -> None:
        with self._lock:
            for series, old in tallies.items():
                newer = self._tallies.get(series)
                for metric, values in newer.values.items() if newer else ():
                    old.values.setdefault(metric, []).extend(values)
                if max(len(values) for values in old.values.values()) > MOST_KEPT:
                    log.warning("%s: metrics of %d s are lost", series, self._now() - old.since)
                else:
                    self._tallies[series] = old


def _measurements(flown: Flown) -> Iterator[tuple[str, float]]:
    status = flown.status
    yield "Invocations", 1.0
    yield "InvocationsPerInstance", 1.0 / max(flown.instances, 1)
    yield "Invocation4XXErrors", float(status is not None and 400 <= status < 500)
    yield "Invocation5XXErrors", float(status is None or status >= 500)
    yield "InvocationModelErrors", float(status is None or not 200 <= status < 300)
    if flown.model_s is not None:
        yield "ModelLatency", flown.model_s * 1e6
    if flown.overhead_s is not None:
        yield "OverheadLatency", flown.overhead_s * 1e6
    if flown.setup_s is not None:
        yield "ModelSetupTime", flown.setup_s * 1e6


def _points(series: str, tally: _Tally) -> Iterator[Point]:
    for metric, values in tally.values.items():
        for stretch in stretches(sorted(values)):
            yield Point(series, metric, tally.since, math.fsum(stretch), len(stretch))


def stretches(ordered: Sequence[float]) -> Iterator[Sequence[float]]:
    """Cut ordered values so that each stretch may stand as its mean: few, with the ends and usual percentiles alone."""
    if not ordered:
        return
    if ordered[0] == ordered[-1]:
        yield ordered
        return
    if set(ordered) == {0.0, 1.0}:
        zeros = ordered.index(1.0)
        yield from (ordered[:zeros], ordered[zeros:])
        return
    count = len(ordered)
    ranks = {1, count, *(max(math.ceil(share * count - 1e-9), 1) for share in SHARES)}
    cuts = {round(count * part / STRETCHES) for part in range(STRETCHES + 1)} | {
        place for rank in ranks for place in (rank - 1, rank)
    }
    places = sorted(cuts)
    yield from (ordered[first:last] for first, last in pairwise(places))
