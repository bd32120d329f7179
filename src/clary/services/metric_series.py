"""Where the store keeps what CloudWatch calls a metric: namespace, dimensions and unit to a series and back.

Jobs' own metrics lie in the series that their controller writes, endpoints' in those of `endpoint_metrics`; a user's
lie in one series for each set of dimensions, of which a row of kind `metric-series` tells that it exists.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from hashlib import sha256
from typing import Any

from clary.domain.kinds import ENDPOINT
from clary.domain.names import Account
from clary.services import endpoint_metrics
from clary.services.endpoint_metrics import USAGE_UNIT
from clary.services.metric_statistics import Sample
from clary.store.base import AlreadyExists, Page, Point, Resource, Store, Where

JOB_NAMESPACES: Mapping[str, tuple[str, str]] = {
    "/aws/sagemaker/TrainingJobs": ("training-job", "TrainingJobName"),
    "/aws/sagemaker/ProcessingJobs": ("processing-job", "ProcessingJobName"),
    "/aws/sagemaker/TransformJobs": ("transform-job", "TransformJobName"),
}
SERIES_KIND = "metric-series"
KINDS: Mapping[str, str] = {
    **{namespace: kind for namespace, (kind, _) in JOB_NAMESPACES.items()},
    **dict.fromkeys(endpoint_metrics.NAMESPACES, ENDPOINT.name),
}
"""Kinds of the rows that tell of our own metrics, by namespace."""

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
        return self.namespace not in KINDS

    def metric_names(self, store: Store) -> Sequence[str]:
        return sorted({stored.partition(UNIT_MARK)[0] for stored in store.metrics(self.series)})


def source_of(namespace: str, dimensions: Dimensions) -> Source | None:
    """The series of exactly these dimensions; None where no metric can have them."""
    if namespace not in KINDS:
        return users_source(namespace, dimensions)
    if namespace in endpoint_metrics.NAMESPACES:
        series = endpoint_metrics.series_of(namespace, dict(dimensions))
        return None if series is None else Source(namespace, dimensions, series)
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
        own = _own_unit(source, metric)
        points = store.points(source.series, metric, start=start, end=end) if unit in {None, own} else ()
        read = sample_of_many if source.namespace == endpoint_metrics.INVOCATIONS else sample_of_one
        return {own: [read(point) for point in points]}
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


def sample_of_one(point: Point) -> Sample:
    return Sample(point.at, point.value)


def sample_of_many(point: Point) -> Sample:
    """Of a point that is `step` measurements whose sum is its value."""
    count = point.step or 1
    return Sample(point.at, point.value / count, float(count))


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
    read = _READERS.get(kind, _job_sources)
    return [source for row in rows for source in read(row)], token


def _own_unit(source: Source, metric: str) -> str:
    if source.namespace in endpoint_metrics.NAMESPACES:
        return endpoint_metrics.unit_of(source.namespace, metric)
    return USAGE_UNIT if source.dimensions[0][0] == "Host" else "None"


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


def _endpoint_sources(row: Resource) -> Iterator[Source]:
    for namespace, dimensions in endpoint_metrics.dimensions_of(row):
        series = endpoint_metrics.series_of(namespace, dimensions)
        if series is not None:
            yield Source(namespace, tuple(sorted(dimensions.items())), series)


_READERS = {SERIES_KIND: _users_sources, ENDPOINT.name: _endpoint_sources}


def _is(stored: str, metric: str) -> bool:
    return stored.partition(UNIT_MARK)[0] == metric


def _unit(stored: str) -> str:
    return stored.partition(UNIT_MARK)[2]
