"""Where the store keeps what CloudWatch calls a metric: namespace, dimensions and unit to a series and back.

Jobs' own metrics lie in the series that their controller writes; a user's lie in one series for each set of
dimensions, of which a row of kind `metric-series` tells that it exists.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from hashlib import sha256
from typing import Any

from clary.domain.names import Account
from clary.services.metric_statistics import Sample
from clary.store.base import AlreadyExists, Page, Point, Resource, Store, Where

JOB_NAMESPACES: Mapping[str, tuple[str, str]] = {
    "/aws/sagemaker/TrainingJobs": ("training-job", "TrainingJobName"),
    "/aws/sagemaker/ProcessingJobs": ("processing-job", "ProcessingJobName"),
}
USAGE_UNIT = "Percent"
SERIES_KIND = "metric-series"

# A user's metric is stored under its name, this mark and its unit: CloudWatch keeps units apart.
UNIT_MARK = "\x1f"

Dimensions = tuple[tuple[str, str], ...]


@dataclass(frozen=True, slots=True)
class Source:
    """One series of the store and how CloudWatch would name what lies in it."""

    namespace: str
    dimensions: Dimensions
    series: str

    @property
    def is_users(self) -> bool:
        return self.namespace not in JOB_NAMESPACES

    def metric_names(self, store: Store) -> Sequence[str]:
        return sorted({stored.partition(UNIT_MARK)[0] for stored in store.metrics(self.series)})


def source_of(namespace: str, dimensions: Dimensions) -> Source | None:
    """The series of exactly these dimensions; None where no metric can have them."""
    if namespace not in JOB_NAMESPACES:
        return users_source(namespace, dimensions)
    kind, job_dimension = JOB_NAMESPACES[namespace]
    if len(dimensions) != 1 or dimensions[0][0] not in {job_dimension, "Host"}:
        return None
    return Source(namespace, dimensions, f"{kind}/{dimensions[0][1]}")


def users_source(namespace: str, dimensions: Dimensions) -> Source:
    text = json.dumps(sorted(dimensions), separators=(",", ":"))
    # Database indexes bound the length of a key.
    text = text if len(text) <= 512 else sha256(text.encode()).hexdigest()
    return Source(namespace, dimensions, f"metrics/{namespace}/{text}")


def read_samples(
    store: Store, source: Source, metric: str, *, start: float, end: float, unit: str | None
) -> Mapping[str, Sequence[Sample]]:
    """start <= at < end, by unit; only the unit asked for, if one is."""
    if not source.is_users:
        own = USAGE_UNIT if source.dimensions[0][0] == "Host" else "None"
        points = store.points(source.series, metric, start=start, end=end) if unit in {None, own} else ()
        return {own: [Sample(point.at, point.value) for point in points]}
    units = (
        [unit] if unit else [_unit(stored) for stored in store.metrics(source.series) if _is(stored, metric)]
    )
    return {
        each: [
            Sample(point.at, point.value, float(point.step or 1))
            for point in store.points(source.series, f"{metric}{UNIT_MARK}{each}", start=start, end=end)
        ]
        for each in units
    }


def points_of(source: Source, metric: str, unit: str, samples: Iterable[Sample]) -> Iterator[Point]:
    """As stored. A sample's weight is kept as the point's step, which means nothing else in a user's series."""
    for sample in samples:
        yield Point(source.series, f"{metric}{UNIT_MARK}{unit}", sample.at, sample.value, int(sample.weight))


def remember(store: Store, account: Account, source: Source, now: float) -> None:
    """Make the series known to `known_sources`."""
    name = sha256(source.series.encode()).hexdigest()
    spec = {"Namespace": source.namespace, "Dimensions": [list(pair) for pair in source.dimensions]}
    arn = f"arn:{account.partition}:cloudwatch:{account.region}:{account.id}:metric-series/{name}"
    try:
        store.create(Resource(SERIES_KIND, name, arn, "Active", spec, {}, created=now, modified=now))
    except AlreadyExists:
        return


def known_sources(
    store: Store, kind: str, after: str | None, limit: int
) -> tuple[Sequence[Source], str | None]:
    """A page of the series that rows of a kind tell of, and the token of the next page."""
    rows, token = store.list(kind, Where(), Page(sort="name", limit=limit, after=after))
    read = _users_sources if kind == SERIES_KIND else _job_sources
    return [source for row in rows for source in read(row)], token


def _users_sources(row: Resource) -> Iterator[Source]:
    yield users_source(row.spec["Namespace"], tuple((name, value) for name, value in row.spec["Dimensions"]))


def _job_sources(row: Resource) -> Iterator[Source]:
    streams: Mapping[str, Any] = row.state.get("streams", {})
    for namespace, (kind, dimension) in JOB_NAMESPACES.items():
        if kind == row.kind:
            yield Source(namespace, ((dimension, row.name),), f"{kind}/{row.name}")
            for host in sorted(set(streams.values())):
                name = f"{row.name}/{host}"
                yield Source(namespace, (("Host", name),), f"{kind}/{name}")


def _is(stored: str, metric: str) -> bool:
    return stored.partition(UNIT_MARK)[0] == metric


def _unit(stored: str) -> str:
    return stored.partition(UNIT_MARK)[2]
