"""CloudWatch metrics: those of jobs and endpoints, under the names SageMaker gives them, and those a user puts there.

TrainingJobAnalytics of the SageMaker SDK asks for a period of 60 s and reads the Average: several values of one
minute are one row there. GetMetricStatistics with Period=1 tells them apart.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from clary.errors import ClientFault
from clary.services.metric_data import (
    InvalidParameterCombination,
    InvalidParameterValue,
    read_datum,
)
from clary.services.metric_series import (
    KINDS,
    SERIES_KIND,
    Dimensions,
    Source,
    known_sources,
    points_of,
    read_samples,
    remember,
    source_of,
    users_source,
)
from clary.services.metric_statistics import (
    STATISTICS,
    Datapoint,
    datapoints,
    floor_to_period,
    is_statistic,
)
from clary.services.operations import Context, operation
from clary.store.base import Point

MAX_DATAPOINTS = 1_440
MAX_DATA_PAGE = 100_800
LIST_PAGE = 500


class InvalidNextToken(ClientFault):
    """The next token specified is invalid."""

    code = "InvalidNextToken"


@operation("cloudwatch", "GetMetricStatistics")
def get_metric_statistics(context: Context, request: Mapping[str, Any]) -> Mapping[str, Any]:
    """Datapoints in order of time; none for a metric nobody wrote."""
    plain, extended = request.get("Statistics") or (), request.get("ExtendedStatistics") or ()
    if not plain and not extended:
        raise InvalidParameterCombination(
            "At least one of the parameters Statistics and ExtendedStatistics must be specified."
        )
    names = [_statistic(name) for name in (*plain, *extended)]
    period_s = _period(request["Period"])
    start, end = _times(request)
    requested = -(-(end - start) // period_s)
    if requested > MAX_DATAPOINTS:
        raise InvalidParameterCombination(
            f"You have requested up to {requested:,.0f} datapoints, which exceeds the limit of "
            f"{MAX_DATAPOINTS:,}. You may reduce the datapoints requested by increasing Period, or decreasing "
            "the time range."
        )
    found = [
        {
            "Timestamp": float(point.at),
            "Unit": unit,
            **{name: point.values[name] for name in plain},
            **({"ExtendedStatistics": {name: point.values[name] for name in extended}} if extended else {}),
        }
        for unit, points in _read(context, request, period_s, names, (start, end)).items()
        for point in points
    ]
    return {"Label": request["MetricName"], "Datapoints": sorted(found, key=lambda point: point["Timestamp"])}


@operation("cloudwatch", "GetMetricData")
def get_metric_data(context: Context, request: Mapping[str, Any]) -> Mapping[str, Any]:
    """A page holds MaxDatapoints over all queries; a query cut short has the status PartialData."""
    queries = request["MetricDataQueries"]
    identifiers = [query["Id"] for query in queries]
    if len(set(identifiers)) != len(identifiers):
        raise InvalidParameterValue("MetricDataQueries: each Id must be used once.")
    times = _times(request)
    descending = request.get("ScanBy", "TimestampDescending") == "TimestampDescending"
    skip = _offset(request.get("NextToken"))
    room = min(int(request.get("MaxDatapoints", MAX_DATA_PAGE)), MAX_DATA_PAGE)
    results, seen, given = [], 0, 0
    for query in (query for query in queries if query.get("ReturnData", True)):
        points = sorted(_run_query(context, query, times), reverse=descending)
        first = min(max(skip - seen, 0), len(points))
        page = points[first : first + room - given]
        seen, given = seen + len(points), given + len(page)
        results.append(
            {
                "Id": query["Id"],
                "Label": query.get("Label") or query["MetricStat"]["Metric"]["MetricName"],
                "Timestamps": [at for at, _ in page],
                "Values": [value for _, value in page],
                "StatusCode": "Complete" if first + len(page) == len(points) else "PartialData",
            }
        )
    more = skip + given < seen
    return {
        "MetricDataResults": results,
        "Messages": [],
        **({"NextToken": str(skip + given)} if more else {}),
    }


@operation("cloudwatch", "ListMetrics")
def list_metrics(context: Context, request: Mapping[str, Any]) -> Mapping[str, Any]:
    """Metrics of a page of jobs or endpoints, or of a page of users' series. A page may be empty, and have a token."""
    kinds = _kinds_in(request.get("Namespace"))
    kind, after = _list_token(request.get("NextToken"), kinds)
    try:
        sources, token = known_sources(context.store, kind, after, LIST_PAGE)
    except ValueError:
        raise InvalidNextToken() from None
    metrics = [
        {
            "Namespace": source.namespace,
            "MetricName": name,
            "Dimensions": [{"Name": key, "Value": value} for key, value in source.dimensions],
        }
        for source in sources
        if _is_wanted(source, request)
        for name in source.metric_names(context.store)
        if request.get("MetricName") in {None, name}
    ]
    position = kinds.index(kind)
    if token is None and position + 1 < len(kinds):
        kind, token = kinds[position + 1], ""
    return {"Metrics": metrics, **({"NextToken": f"{kind} {token}"} if token is not None else {})}


def _kinds_in(namespace: str | None) -> list[str]:
    """Kinds of rows that tell of metrics: of those in a namespace, or of all."""
    if namespace is None:
        return [*dict.fromkeys(KINDS.values()), SERIES_KIND]
    return [KINDS.get(namespace, SERIES_KIND)]


@operation("cloudwatch", "PutMetricData")
def put_metric_data(context: Context, request: Mapping[str, Any]) -> Mapping[str, Any]:
    """All of the data is stored, or none of it."""
    namespace = request["Namespace"]
    if namespace.startswith(("AWS/", "/aws/")):
        raise InvalidParameterValue(
            f"The value {namespace} for parameter Namespace is invalid: names that begin with AWS/ or /aws/ "
            "belong to the service; use a name of your own."
        )
    now = context.now()
    points: list[Point] = []
    sources: dict[str, Source] = {}
    for index, datum in enumerate(request.get("MetricData") or ()):
        source = users_source(namespace, _dimensions(datum))
        samples = read_datum(f"MetricData.member.{index + 1}", datum, now)
        points.extend(points_of(source, datum["MetricName"], datum.get("Unit", "None"), samples))
        sources[source.series] = source
    for source in sources.values():
        remember(context.store, context.account, source, now)
    context.store.append(points)
    return {}


def _read(
    context: Context,
    metric: Mapping[str, Any],
    period_s: int,
    statistics: Sequence[str],
    times: tuple[float, float],
) -> Mapping[str, Sequence[Datapoint]]:
    """The datapoints of a metric by unit. The first period is read from its beginning, as CloudWatch does."""
    source = source_of(metric["Namespace"], _dimensions(metric))
    if source is None:
        return {}
    start, end = times
    samples = read_samples(
        context.store,
        source,
        metric["MetricName"],
        start=floor_to_period(start, period_s),
        end=end,
        unit=metric.get("Unit"),
    )
    return {unit: datapoints(each, period_s, statistics) for unit, each in samples.items()}


def _run_query(
    context: Context, query: Mapping[str, Any], times: tuple[float, float]
) -> Iterator[tuple[float, float]]:
    stat = query.get("MetricStat")
    if stat is None:
        raise InvalidParameterValue(
            f"MetricDataQueries: {query['Id']} has no MetricStat; Expression is not supported: "
            "ask for the metrics with MetricStat and compute with what comes back."
        )
    name = _statistic(stat["Stat"])
    metric = {**stat["Metric"], **({"Unit": stat["Unit"]} if "Unit" in stat else {})}
    for points in _read(context, metric, _period(stat["Period"]), [name], times).values():
        for point in points:
            yield float(point.at), point.values[name]


def _dimensions(metric: Mapping[str, Any]) -> Dimensions:
    return tuple(sorted((entry["Name"], entry["Value"]) for entry in metric.get("Dimensions") or ()))


def _is_wanted(source: Source, request: Mapping[str, Any]) -> bool:
    if request.get("Namespace") not in {None, source.namespace}:
        return False
    own = dict(source.dimensions)
    return all(
        entry["Name"] in own and entry.get("Value") in {None, own[entry["Name"]]}
        for entry in request.get("Dimensions") or ()
    )


def _list_token(token: str | None, kinds: Sequence[str]) -> tuple[str, str | None]:
    if token is None:
        return kinds[0], None
    kind, _, after = token.partition(" ")
    if kind not in kinds:
        raise InvalidNextToken()
    return kind, after or None


def _offset(token: str | None) -> int:
    if token is None:
        return 0
    if not token.isdecimal() or len(token) > 18:
        raise InvalidNextToken()
    return int(token)


def _period(period_s: int) -> int:
    if period_s < 1:
        raise InvalidParameterValue("The parameter Period must be a number of seconds of at least 1.")
    return int(period_s)


def _statistic(name: str) -> str:
    if not is_statistic(name):
        raise InvalidParameterValue(
            f"The value {name} for a statistic is not supported: use {', '.join(STATISTICS)}, or p0 to p100."
        )
    return name


def _times(request: Mapping[str, Any]) -> tuple[float, float]:
    start, end = request["StartTime"], request["EndTime"]
    if start >= end:
        raise InvalidParameterValue("The parameter StartTime must be less than the parameter EndTime.")
    return start, end
