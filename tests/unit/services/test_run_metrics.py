from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import replace
from typing import Any

import pytest

from clary.domain.experiments import component_of, row_of
from clary.domain.names import Account
from clary.errors import ResourceNotFound
from clary.services import run_metrics
from clary.services.operations import Context
from clary.services.run_metrics import batch_get_metrics, batch_put_metrics
from clary.store.base import Point, Resource

ACCOUNT = Account("123456789012", "us-east-1")
KIND = "experiment-trial-component"
SERIES = f"{KIND}/run"


@pytest.fixture
def changes() -> list[int]:
    return []


@pytest.fixture
def now() -> Callable[[], float]:
    return lambda: 5000.0


@pytest.fixture
def context(context: Context, changes: list[int]) -> Context:
    return replace(context, changed=lambda: changes.append(1))


@pytest.fixture
def component(context: Context) -> Resource:
    """The component `Run`, whose name is written `run` by the metrics plane."""
    fields = row_of(ACCOUNT, KIND, {"TrialComponentName": "Run"}, now=1.0)
    return context.store.create(Resource(**fields))


def datum(
    name: str = "loss", value: float = 1.0, at: float = 100.0, step: int | None = None
) -> dict[str, Any]:
    return {"MetricName": name, "Value": value, "Timestamp": at, **({} if step is None else {"Step": step})}


def put(context: Context, *data: dict[str, Any], name: str = "run") -> Any:
    return batch_put_metrics(context, {"TrialComponentName": name, "MetricData": list(data)})


def get(context: Context, arn: str, **given: Any) -> Any:
    query = {
        "MetricName": "loss",
        "ResourceArn": arn,
        "MetricStat": "Last",
        "Period": "IterationNumber",
        "XAxisType": "IterationNumber",
        **given,
    }
    (found,) = batch_get_metrics(context, {"MetricQueries": [query]})["MetricQueryResults"]
    return found


class TestPut:
    def test_stores_the_points_under_the_components_name(self, context: Context, component: Resource) -> None:
        assert put(context, datum(step=3), datum("Train:Loss %", math.inf), datum("lost", math.nan)) == {}
        assert list(context.store.points(SERIES, "loss")) == [Point(SERIES, "loss", 100.0, 1.0, 3)]
        assert context.store.points(SERIES, "Train:Loss %")[0].value == math.inf
        assert math.isnan(context.store.points(SERIES, "lost")[0].value)

    def test_a_batch_sent_again_adds_nothing(self, context: Context, component: Resource) -> None:
        batch = [datum(step=step, value=step / 3) for step in range(10)]
        for _ in range(3):
            assert put(context, *batch) == {}
        assert context.store.summaries([SERIES])[0].count == 10

    def test_a_component_that_is_not_there_is_named(self, context: Context) -> None:
        with pytest.raises(ResourceNotFound, match=r"'nobody'.*CreateTrialComponent"):
            put(context, datum(), name="nobody")
        assert not context.store.metrics(f"{KIND}/nobody")

    def test_good_points_are_stored_beside_bad_ones(self, context: Context, component: Resource) -> None:
        answer = put(context, datum(" "), datum("a"), datum("b", at=-1.0), datum("c"))
        assert answer == {
            "Errors": [
                {"Code": "VALIDATION_ERROR", "MetricIndex": 0},
                {"Code": "VALIDATION_ERROR", "MetricIndex": 2},
            ]
        }
        assert context.store.metrics(SERIES) == ("a", "c")

    def test_no_controller_is_woken(self, context: Context, component: Resource, changes: list[int]) -> None:
        """Metrics come by the thousand, and none of what they do hangs on them."""
        put(context, datum())
        assert changes == []

    def test_there_is_a_limit_to_the_metrics_of_a_component(
        self, context: Context, component: Resource, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr(run_metrics, "MOST_METRICS", 3)
        put(context, datum("a"), datum("b"))
        answer = put(context, datum("c"), datum("d"), datum("a", step=1), datum("c", step=1), datum("e"))
        assert answer["Errors"] == [
            {"Code": "METRIC_LIMIT_EXCEEDED", "MetricIndex": 1},
            {"Code": "METRIC_LIMIT_EXCEEDED", "MetricIndex": 4},
        ]
        assert {found.metric: found.count for found in context.store.summaries([SERIES])} == {
            "a": 2,
            "b": 1,
            "c": 2,
        }


class TestGet:
    @pytest.fixture
    def arn(self, context: Context, component: Resource) -> str:
        put(context, *(datum(value=value, at=60.0 * at, step=at) for at, value in enumerate([4.0, 2.0, 1.0])))
        return component.arn

    def test_by_step(self, context: Context, arn: str) -> None:
        assert get(context, arn) == {
            "Status": "Complete",
            "XAxisValues": [0, 1, 2],
            "MetricValues": [4.0, 2.0, 1.0],
        }

    @pytest.mark.parametrize(
        ("statistic", "value"),
        [
            ("Min", 1.0),
            ("Max", 4.0),
            ("Avg", 7 / 3),
            ("Count", 3.0),
            ("Last", 1.0),
            ("StdDev", 1.2472191289246),
        ],
    )
    def test_by_the_hour(self, context: Context, arn: str, statistic: str, value: float) -> None:
        found = get(context, arn, MetricStat=statistic, Period="OneHour", XAxisType="Timestamp")
        assert (found["Status"], found["XAxisValues"]) == ("Complete", [0])
        assert found["MetricValues"] == [pytest.approx(value)]

    def test_between_start_and_end(self, context: Context, arn: str) -> None:
        assert get(context, arn, Start=1, End=1)["MetricValues"] == [2.0]
        by_time = {"Period": "OneMinute", "XAxisType": "Timestamp"}
        assert get(context, arn, Start=60, **by_time)["XAxisValues"] == [60, 120]

    def test_a_jobs_component_shows_the_jobs_metrics_too(self, context: Context) -> None:
        fields = component_of(ACCOUNT, "training-job", "job", {}, now=1.0, name="job-aws-training-job")
        made = context.store.create(Resource(**fields))
        put(context, datum(value=8.0, step=2), name="job-aws-training-job")
        context.store.append([Point("training-job/job", "loss", 1.0, 9.0, 1)])
        assert get(context, made.arn)["MetricValues"] == [9.0, 8.0]

    def test_a_job_shows_its_own(self, context: Context) -> None:
        arn = ACCOUNT.sagemaker("training-job", "job")
        context.store.create(Resource("training-job", "job", arn, "Completed", {}, {}, 1.0, 1.0))
        context.store.append([Point("training-job/job", "loss", 1.0, 9.0, 1)])
        assert get(context, arn)["MetricValues"] == [9.0]

    def test_an_arn_in_another_case(self, context: Context, arn: str) -> None:
        assert get(context, arn.lower()) == get(context, arn)

    def test_a_metric_that_nobody_wrote_has_no_values(self, context: Context, arn: str) -> None:
        assert get(context, arn, MetricName="none") == {
            "Status": "Complete",
            "XAxisValues": [],
            "MetricValues": [],
        }

    @pytest.mark.parametrize(
        ("given", "message"),
        [
            ({"ResourceArn": "arn:aws:sagemaker:us-east-1:123456789012:model/x"}, "no resource"),
            ({"Period": "OneMinute"}, "give Period IterationNumber"),
            ({"Start": 3, "End": 2}, "exchange"),
        ],
    )
    def test_a_query_that_cannot_be_has_its_own_status(
        self, context: Context, arn: str, given: dict[str, Any], message: str
    ) -> None:
        found = get(context, arn, **given)
        assert (found["Status"], found["XAxisValues"], found["MetricValues"]) == ("ValidationError", [], [])
        assert message in found["Message"]

    def test_too_many_values_are_cut(
        self, context: Context, arn: str, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr(run_metrics, "MOST_VALUES", 2)
        found = get(context, arn)
        assert (found["Status"], found["XAxisValues"]) == ("Truncated", [0, 1])
        assert "first 2 of 3" in found["Message"]
        assert get(context, arn, Start=2)["Status"] == "Complete"
