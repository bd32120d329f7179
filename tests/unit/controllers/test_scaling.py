from __future__ import annotations

from collections.abc import Iterator
from contextlib import closing
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import pytest

from clary.controllers.scaling import Means, Scaling
from clary.controllers.scaling_readings import read
from clary.domain.async_inference import beginning
from clary.domain.scalable import Metric, Target, policy_arn, target_arn
from clary.settings import Settings
from clary.store.base import Page, Point, Resource, Where
from clary.store.sql import SqlStore, open_store
from clary.testing import SteppedClock
from tests.unit.hosted import ACCOUNT, ASYNC, add_endpoint, set_instances

TARGET = Target("e", "AllTraffic")
SERIES = "endpoint/e/AllTraffic"
PER_INSTANCE = {"PredefinedMetricType": "SageMakerVariantInvocationsPerInstance"}


@dataclass
class Bench:
    """The controller on a real store; the test moves the clock and stands in for the endpoint controller."""

    store: SqlStore
    clock: SteppedClock
    home: Path
    most: int = 100
    load: float = 0.0
    told: list[int] = field(default_factory=list)

    def __post_init__(self) -> None:
        self.ids = iter(range(1, 100_000))
        self.scaling = self.controller()

    def controller(self) -> Scaling:
        return Scaling(
            Means(
                store=self.store,
                account=ACCOUNT,
                settings=Settings(home=self.home),
                owner="home-1",
                new_id=lambda digits: f"{next(self.ids):0{digits}x}",
                changed=lambda: self.told.append(1),
                most=lambda kind: self.most,
            )
        )

    def endpoint(self, instances: int = 1, **config: Any) -> None:
        add_endpoint(self.store, now=self.clock(), instances=instances, **config)

    def register(self, least: int = 1, most: int = 10, **given: Any) -> None:
        made = self.store.get("endpoint", "e")
        assert made is not None
        spec = {"ResourceId": TARGET.id, "MinCapacity": least, "MaxCapacity": most, **given}
        now = self.clock()
        arn = target_arn(ACCOUNT, "t")
        state = {"endpoint": made.created}
        self.store.create(
            Resource("scalable-target", TARGET.row, arn, "Active", spec, state, now, now, due=now)
        )

    def policy(self, name: str = "p", target: float = 100.0, **config: Any) -> None:
        config = {"TargetValue": target, **config}
        if "CustomizedMetricSpecification" not in config:
            config["PredefinedMetricSpecification"] = PER_INSTANCE
        spec = {"PolicyName": name, "TargetTrackingScalingPolicyConfiguration": config}
        arn = policy_arn(ACCOUNT, name, TARGET, name)
        now = self.clock()
        self.store.create(
            Resource("scaling-policy", TARGET.policy_row(name), arn, "Active", spec, {}, now, now)
        )

    def row(self) -> Resource:
        found = self.store.get("endpoint", "e")
        assert found is not None
        return found

    def count(self) -> int:
        row = self.row()
        found: int = row.state["generations"]["g1"]["variants"]["AllTraffic"]["count"]
        return found

    def instances(self) -> int:
        return len(self.row().state["instances"])

    def run(self, minutes: float, *, load: float | None = None, settle: bool = True) -> None:
        """Time goes by under a load: requests a minute that the instances share."""
        self.load = self.load if load is None else load
        for _ in range(round(minutes * 6)):
            if self.load:
                many = round(self.load / 6)
                each = 1 / max(self.instances(), 1)
                self.store.append([Point(SERIES, "InvocationsPerInstance", self.clock(), many * each, many)])
            self.clock.advance(10)
            self.scaling.step(self.clock())
            if settle:
                self.settle()

    def settle(self) -> None:
        """The endpoint controller has made it so."""
        if self.row().status == "Updating":
            set_instances(self.store, "e", self.count(), status="InService")

    def activities(self) -> list[dict[str, Any]]:
        rows, _ = self.store.list("scaling-activity", page=Page(sort="created"))
        return [{**row.spec, **row.state} for row in rows]


@pytest.fixture
def bench(tmp_path: Path) -> Iterator[Bench]:
    with closing(open_store(f"sqlite:///{tmp_path / 'clary.db'}")) as store:
        yield Bench(store, SteppedClock(1_700_000_040.0), tmp_path)


def test_a_load_is_followed_out_and_in(bench: Bench) -> None:
    bench.endpoint()
    bench.register()
    bench.policy()
    bench.run(3, load=60)
    assert bench.count() == 1
    bench.run(4, load=480)
    assert bench.count() == 5
    (activity,) = bench.activities()
    assert activity["Description"] == "Setting desired instance count to 5."
    assert activity["Cause"].startswith(
        "SageMakerVariantInvocationsPerInstance was 480 in the last 3 data points, above the target of 100 of policy p"
    )
    assert activity["StatusCode"] == "InProgress" or activity["StatusMessage"].startswith("Successfully set")
    bench.run(30)
    assert bench.count() == 5
    bench.run(14, load=0)
    assert bench.count() == 5
    bench.run(3)
    assert bench.count() == 1
    assert [each["StatusCode"] for each in bench.activities()] == ["Successful", "Successful"]
    assert bench.activities()[1]["EndTime"] > bench.activities()[1]["StartTime"]
    assert bench.told


def test_a_short_burst_changes_nothing(bench: Bench) -> None:
    bench.endpoint()
    bench.register()
    bench.policy()
    for _ in range(5):
        bench.run(1, load=1000)
        bench.run(2, load=0)
    assert bench.activities() == []


def test_without_a_policy_only_the_limits_count(bench: Bench) -> None:
    bench.endpoint()
    bench.register(least=3)
    bench.run(0.2)
    assert bench.count() == 3
    bench.run(20, load=10_000)
    (activity,) = bench.activities()
    assert activity["Cause"] == "the scalable target's MinCapacity is 3"


def test_an_endpoint_that_is_being_changed_is_left_alone(bench: Bench) -> None:
    bench.endpoint()
    bench.register(least=3)
    set_instances(bench.store, "e", 1, status="Updating")
    bench.run(1, settle=False)
    assert bench.activities() == []


def test_while_instances_start_no_more_are_asked_for(bench: Bench) -> None:
    bench.endpoint()
    bench.register()
    bench.policy(ScaleOutCooldown=0)
    bench.run(4, load=480, settle=False)
    assert bench.count() == 5
    bench.run(20, load=2000, settle=False)
    assert bench.count() == 5
    (activity,) = bench.activities()
    assert activity["StatusCode"] == "InProgress"


def test_no_more_than_the_machine_holds(bench: Bench) -> None:
    bench.most = 3
    bench.endpoint()
    bench.register()
    bench.policy()
    bench.run(4, load=10_000)
    assert bench.count() == 3


def test_instances_that_cannot_be_had_are_given_up(bench: Bench) -> None:
    bench.endpoint()
    bench.register()
    bench.policy()
    bench.run(4, load=480, settle=False)

    def give_up(row: Resource) -> Resource:
        return replace(row, status="InService", state={**row.state, "reason": "CapacityError: no room"})

    bench.store.update("endpoint", "e", give_up)
    bench.run(0.5, settle=False)
    assert (bench.count(), bench.row().status) == (1, "Updating")
    (activity,) = bench.activities()
    assert activity["StatusCode"] == "Failed"
    assert activity["StatusMessage"] == (
        "Set the desired instance count back to 1. Reason: CapacityError: no room"
    )


def test_someone_else_set_the_number_meanwhile(bench: Bench) -> None:
    bench.endpoint()
    bench.register()
    bench.policy()
    bench.run(4, load=480, settle=False)
    set_instances(bench.store, "e", 2, status="InService")
    bench.scaling.step(bench.clock.advance(1))
    assert bench.count() == 2
    assert bench.activities()[0]["StatusCode"] == "Overridden"


def test_what_was_decided_before_a_crash_is_carried_out(bench: Bench) -> None:
    bench.endpoint()
    bench.register(least=3)

    def crash(*_: object) -> None:
        raise KeyboardInterrupt

    broken = replace(bench.scaling.means)
    scaling = Scaling(broken)
    type(scaling)._begin, kept = crash, type(scaling)._begin  # type: ignore[method-assign,assignment]
    try:
        with pytest.raises(KeyboardInterrupt):
            scaling.step(bench.clock())
    finally:
        type(scaling)._begin = kept  # type: ignore[method-assign]
    assert (bench.count(), bench.activities()) == (1, [])
    bench.scaling = bench.controller()
    bench.scaling.resume(bench.clock())
    bench.run(1)
    assert bench.count() == 3
    (activity,) = bench.activities()
    assert activity["StatusCode"] == "Successful"


def test_what_belongs_to_a_deleted_endpoint_is_forgotten(bench: Bench) -> None:
    bench.endpoint()
    bench.register(least=2)
    bench.policy()
    bench.run(1)
    bench.store.delete("endpoint", "e")
    bench.run(1, settle=False)
    for kind in ("scalable-target", "scaling-policy", "scaling-activity"):
        assert bench.store.count(kind) == 0


def test_one_targets_trouble_does_not_hold_up_the_others(bench: Bench) -> None:
    bench.endpoint()
    bench.register(least=2)
    odd = Resource("scalable-target", "a.b", "arn:odd", "Active", {"ResourceId": "x"}, {}, 1.0, 1.0, due=1.0)
    bench.store.create(odd)
    bench.run(1)
    assert bench.count() == 2


class TestFromZero:
    def begin(self, bench: Bench, instances: int = 0) -> None:
        bench.endpoint(instances, AsyncInferenceConfig=ASYNC)
        bench.register(least=0, most=4)
        metric = {
            "MetricName": "ApproximateBacklogSizePerInstance",
            "Namespace": "AWS/SageMaker",
            "Dimensions": [{"Name": "EndpointName", "Value": "e"}],
            "Statistic": "Average",
        }
        bench.policy(target=5.0, CustomizedMetricSpecification=metric)

    def send(self, bench: Bench, id: str) -> None:  # noqa: A002
        spec = {"EndpointName": "e", "Body": ""}
        bench.store.create(Resource(**beginning(ACCOUNT, id, spec, {}, now=bench.clock())))

    def gauge(self, bench: Bench, minutes: int, value: float) -> None:
        for _ in range(minutes * 6):
            bench.store.append(
                [Point("endpoint/e", "ApproximateBacklogSizePerInstance", bench.clock(), value)]
            )
            bench.run(1 / 6)

    def test_the_first_request_starts_an_instance(self, bench: Bench) -> None:
        self.begin(bench)
        bench.run(10)
        assert bench.count() == 0
        self.send(bench, "1")
        bench.run(0.2)
        assert bench.count() == 1
        assert bench.activities()[0]["Cause"] == (
            "1 requests wait and there is no instance (HasBacklogWithoutCapacity)"
        )

    def test_a_backlog_gets_more_and_none_gets_none(self, bench: Bench) -> None:
        self.begin(bench, instances=1)
        self.gauge(bench, 4, 14.0)
        assert bench.count() == 3
        self.gauge(bench, 17, 0.0)
        assert bench.count() == 0


class TestReadings:
    def points(self, bench: Bench, *values: tuple[float, float, int | None]) -> None:
        bench.store.append([Point("s", "m", at, value, step) for at, value, step in values])

    def read(self, bench: Bench, now: float, statistic: str = "Sum", **given: Any) -> list[float | None]:
        metric = Metric("s", "m", statistic, rate=given.pop("rate", False))
        return list(read(bench.store, metric, now=now, **{"period_s": 60.0, "since": 0.0, **given}))

    def test_only_complete_periods_count(self, bench: Bench) -> None:
        self.points(bench, (6000.0, 1.0, None), (6059.9, 2.0, None), (6060.0, 4.0, None))
        assert self.read(bench, 6065.0)[-1] is None
        assert self.read(bench, 6066.0)[-1] == 3.0
        assert self.read(bench, 6126.0)[-2:] == [3.0, 4.0]

    def test_points_have_weights(self, bench: Bench) -> None:
        self.points(bench, (6000.0, 12.0, 4), (6001.0, 6.0, 1))
        at = 6066.0
        assert self.read(bench, at, "Sum")[-1] == 18.0
        assert self.read(bench, at, "SampleCount")[-1] == 5.0
        assert self.read(bench, at, "Average")[-1] == 3.6
        assert self.read(bench, at, "Minimum")[-1] == 3.0
        assert self.read(bench, at, "Maximum")[-1] == 6.0

    def test_points_of_utilisation_have_none(self, bench: Bench) -> None:
        self.points(bench, (6000.0, 12.0, 4), (6001.0, 6.0, 1))
        metric = Metric("s", "m", "Average", weighted=False)
        assert read(bench.store, metric, now=6066.0, period_s=60.0, since=0.0)[-1] == 9.0

    def test_a_rate_is_per_minute_and_no_data_is_none_of_it(self, bench: Bench) -> None:
        self.points(bench, (6000.0, 3.0, None))
        values = self.read(bench, 6036.0, period_s=10.0, rate=True, since=5990.0)
        assert values[-5:] == [None, 0.0, 18.0, 0.0, 0.0][-5:]


def test_only_the_latest_activities_are_kept(bench: Bench, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("clary.controllers.scaling.MOST_ACTIVITIES", 3)
    bench.endpoint()
    bench.register()
    for least in (2, 3, 4, 5, 6):
        bench.store.update(
            "scalable-target",
            TARGET.row,
            lambda row, n=least: replace(row, spec={**row.spec, "MinCapacity": n}),
        )
        bench.run(1)
    assert bench.count() == 6
    assert [each["Description"][-2] for each in bench.activities()] == ["4", "5", "6"]
    assert bench.store.count("scaling-activity", Where(name_prefix="e.AllTraffic.")) == 3
