"""What CloudWatch is told of asynchronous endpoints: their backlogs, and what became of requests."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field

from clary.controllers.async_request import Ended
from clary.domain.async_inference import endpoint_of, instance_count, row_prefix
from clary.domain.kinds import ASYNC_INVOCATION, ENDPOINT
from clary.store.base import Page, Point, Resource, Store, Where

IDLE_PERIODS = 3  # so that no data point of autoscaling is without

BACKLOG = "ApproximateBacklogSize"
BACKLOG_PER_INSTANCE = "ApproximateBacklogSizePerInstance"
WITHOUT_CAPACITY = "HasBacklogWithoutCapacity"
OLDEST = "ApproximateAgeOfOldestRequest"

# how AWS writes it
PROCESSED = "InvocationsProcesssed"


@dataclass(slots=True)
class Tally:
    """Of one endpoint since it was last told of: events by metric, and lengths of time in ms by metric."""

    events: defaultdict[str, int] = field(default_factory=lambda: defaultdict(int))
    lengths: defaultdict[str, list[float]] = field(default_factory=lambda: defaultdict(list))


@dataclass(slots=True)
class Gauges:
    """Written every `period_s` while there is something to tell, and less often while there is not."""

    store: Store
    period_s: float
    _tallies: defaultdict[str, Tally] = field(default_factory=lambda: defaultdict(Tally))
    _told: float = 0.0
    _was_idle: bool = False

    @property
    def pause_s(self) -> float:
        """How long an idle controller may sleep."""
        return self.period_s * (IDLE_PERIODS - 1)

    def is_due(self, now: float) -> bool:
        period_s = self.period_s * IDLE_PERIODS if self._was_idle and not self._tallies else self.period_s
        return not 0 <= now - self._told < period_s

    def begun(self, row: Resource, now: float) -> None:
        """A request leaves the backlog to be asked."""
        self._of(row).lengths["TimeInBacklog"].append((now - row.created) * 1000)

    def ended(self, row: Resource, ended: Ended) -> None:
        tally = self._of(row)
        if ended.result == "again":
            return
        tally.events[PROCESSED] += 1
        tally.events["InvocationFailures"] += ended.result != "output"
        tally.events["ExpiredRequests"] += ended.result == "expired"
        if ended.download_s is not None:
            tally.lengths["RequestDownloadLatency"].append(ended.download_s * 1000)
        if ended.asked_s is not None:
            tally.lengths["TotalProcessingTime"].append(ended.asked_s * 1000)

    def tell(self, endpoints: Mapping[str, Resource], sizes: Mapping[str, int], now: float) -> None:
        """Write it, if it is time. `sizes` are backlogs; 0 where there is none given."""
        if not self.is_due(now):
            return
        points = [
            point
            for name, endpoint in endpoints.items()
            for point in self._points(endpoint, sizes.get(name, 0), now)
        ]
        if points:
            self.store.append(points)
        self._told, self._was_idle = now, not any(sizes.values())
        self._tallies.clear()

    def _of(self, row: Resource) -> Tally:
        return self._tallies[endpoint_of(row.name)]

    def _points(self, endpoint: Resource, size: int, now: float) -> Iterator[Point]:
        values: dict[str, float] = {BACKLOG: size}
        instances = instance_count(endpoint.state)
        if instances:
            values[BACKLOG_PER_INSTANCE] = size / instances
        values[WITHOUT_CAPACITY] = float(size > 0 and not instances)
        if size:
            values[OLDEST] = self._oldest_age(endpoint.name, now)
        if endpoint.name in self._tallies:
            tally = self._tallies[endpoint.name]
            values |= tally.events
            values |= {metric: sum(many) / len(many) for metric, many in tally.lengths.items()}
        series = f"{ENDPOINT.name}/{endpoint.name}"
        for metric, value in values.items():
            yield Point(series, metric, now, float(value))

    def _oldest_age(self, endpoint: str, now: float) -> float:
        where = Where(name_prefix=row_prefix(endpoint))
        rows, _ = self.store.list(ASYNC_INVOCATION.name, where, Page(limit=1))
        return max(0.0, now - rows[0].created) if rows else 0.0
