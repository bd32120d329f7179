"""Metrics of runs: BatchPutMetrics and BatchGetMetrics.

A point is known by its metric, time, step and value: one that is sent again, as a client does whose answer was lost,
adds nothing. What is answered is on the disk. Points with a fault are named by their index, and the others stored.

More is taken than SageMaker takes: any metric name of the published shape, in capitals too, any time of the years
1970 to 9999, NaN (stored, but in no statistic) and infinite values.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from clary.domain.experiments import row_name, series_of
from clary.domain.kinds import COMPONENT
from clary.errors import ResourceNotFound
from clary.services.operations import Context, operation
from clary.services.run_statistics import PERIODS_S, STATISTICS, curve
from clary.store.base import Point, Resource

Request = Mapping[str, Any]

MOST_METRICS = 10_000
MOST_VALUES = 10_000
MESSAGE_LIMIT = 2_048


class _CannotTell(Exception):
    """A query that has no answer; the message says why."""


@operation("sagemaker-metrics", "BatchPutMetrics")
def batch_put_metrics(context: Context, request: Request) -> Request:
    """Store up to ten points of a trial component, whose name is written in lower case here whatever its spelling."""
    name = request["TrialComponentName"]
    component = context.store.get(COMPONENT.name, row_name(name))
    if component is None:
        raise ResourceNotFound(
            f"There is no trial component of the name {name!r}: make it with CreateTrialComponent first."
        )
    series = f"{COMPONENT.name}/{component.name}"
    wrong = dict(_faults(context, series, request["MetricData"]))
    points = [
        Point(series, each["MetricName"], each["Timestamp"], each["Value"], each.get("Step"))
        for index, each in enumerate(request["MetricData"])
        if index not in wrong
    ]
    context.store.append(points, once=True)
    return (
        {"Errors": [{"Code": code, "MetricIndex": index} for index, code in wrong.items()]} if wrong else {}
    )


def _faults(context: Context, series: str, data: Sequence[Request]) -> Iterator[tuple[int, str]]:
    known = _known(context, series, {each["MetricName"] for each in data})
    room = None
    for index, each in enumerate(data):
        name = each["MetricName"]
        if each["Timestamp"] < 0 or not name.strip():
            yield index, "VALIDATION_ERROR"
            continue
        if name in known:
            continue
        if room is None:
            room = MOST_METRICS - len(context.store.metrics(series))
        if room <= 0:
            yield index, "METRIC_LIMIT_EXCEEDED"
            continue
        room -= 1
        known.add(name)


def _known(context: Context, series: str, names: set[str]) -> set[str]:
    return {found.metric for found in context.store.summaries([series], metrics=names)}


@operation("sagemaker-metrics", "BatchGetMetrics")
def batch_get_metrics(context: Context, request: Request) -> Request:
    """Each query is answered by itself: one that cannot be has its own status and message."""
    return {"MetricQueryResults": [_result(context, query) for query in request["MetricQueries"]]}


def _result(context: Context, query: Request) -> Request:
    try:
        found = _curve(context, query)
    except _CannotTell as why:
        found, status = [], {"Status": "ValidationError", "Message": str(why)[:MESSAGE_LIMIT]}
    else:
        status = {"Status": "Complete"}
    if len(found) > MOST_VALUES:
        status = {
            "Status": "Truncated",
            "Message": f"These are the first {MOST_VALUES:,} of {len(found):,} values: go on with Start one behind the "
            "last of XAxisValues.",
        }
    shown = found[:MOST_VALUES]
    return {
        **status,
        "XAxisValues": [place for place, _ in shown],
        "MetricValues": [value for _, value in shown],
    }


def _curve(context: Context, query: Request) -> list[tuple[int, float]]:
    """Places and values from Start to End, both included: seconds since the epoch, or steps."""
    period_s, by_step = PERIODS_S.get(query["Period"]), query["XAxisType"] == "IterationNumber"
    if by_step and period_s is not None:
        raise _CannotTell(
            f"Period {query['Period']} with XAxisType IterationNumber: give Period IterationNumber, or "
            "XAxisType Timestamp"
        )
    start, end = query.get("Start", -math.inf), query.get("End", math.inf)
    if start > end:
        raise _CannotTell(f"Start {start} is behind End {end}: exchange them")
    points = _points(context, query["ResourceArn"], query["MetricName"])
    found = curve(points, period_s, STATISTICS[query["MetricStat"]], by_step=by_step)
    return [(place, value) for place, value in found if start <= place <= end]


def _points(context: Context, arn: str, metric: str) -> Sequence[Point]:
    owner = context.store.find(arn) or _component(context, arn)
    if owner is None:
        raise _CannotTell(f"there is no resource with the ARN {arn}")
    series = tuple(series_of(owner)) if owner.kind == COMPONENT.name else (f"{owner.kind}/{owner.name}",)
    points = [point for each in series for point in context.store.points(each, metric)]
    return sorted(points, key=lambda point: point.at)


def _component(context: Context, arn: str) -> Resource | None:
    """A component by an ARN whose name is spelled in another case than it was made with."""
    if f":{COMPONENT.name}/" not in arn:
        return None
    return context.store.get(COMPONENT.name, row_name(arn))
