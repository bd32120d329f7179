from __future__ import annotations

from itertools import pairwise
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from clary.domain.deployments import deployment_of


def blue_green(routing: dict[str, Any], **policy: Any) -> dict[str, Any]:
    return {"BlueGreenUpdatePolicy": {"TrafficRoutingConfiguration": routing, **policy}}


def percent(value: int) -> dict[str, Any]:
    return {"Type": "CAPACITY_PERCENT", "Value": value}


def test_without_a_configuration_traffic_shifts_at_once_and_nothing_waits() -> None:
    deployment = deployment_of({}, {"main": 2})
    assert (deployment.steps, deployment.wait_s, deployment.keep_s) == ((1.0,), 0.0, 0.0)
    assert deployment.new_wanted(0, 2) == deployment.old_wanted(0, 2) == 2


def test_canary_gets_its_part_then_all() -> None:
    routing = {"Type": "CANARY", "WaitIntervalInSeconds": 30, "CanarySize": percent(20)}
    deployment = deployment_of(blue_green(routing, TerminationWaitInSeconds=60), {"main": 5})
    assert deployment.steps == (0.2, 1.0)
    assert (deployment.wait_s, deployment.keep_s) == (30.0, 60.0)


def test_canary_of_instances_is_a_part_of_the_fleet_and_at_most_half() -> None:
    routing = {
        "Type": "CANARY",
        "WaitIntervalInSeconds": 0,
        "CanarySize": {"Type": "INSTANCE_COUNT", "Value": 1},
    }
    assert deployment_of(blue_green(routing), {"main": 4}).steps == (0.25, 1.0)
    assert deployment_of(blue_green(routing), {"main": 1}).steps == (0.5, 1.0)


def test_several_variants_shift_all_at_once() -> None:
    routing = {"Type": "CANARY", "WaitIntervalInSeconds": 0, "CanarySize": percent(10)}
    assert deployment_of(blue_green(routing), {"a": 1, "b": 1}).steps == (1.0,)


@given(value=st.integers(10, 50), count=st.integers(1, 20))
def test_linear_steps_rise_to_the_whole(value: int, count: int) -> None:
    routing = {"Type": "LINEAR", "WaitIntervalInSeconds": 1, "LinearStepSize": percent(value)}
    steps = deployment_of(blue_green(routing), {"main": count}).steps
    assert steps[0] == pytest.approx(value / 100)
    assert steps[-1] == 1.0
    assert all(before < after for before, after in pairwise(steps))


@given(value=st.integers(5, 50), count=st.integers(1, 20))
def test_rolling_never_has_fewer_instances_than_wanted(value: int, count: int) -> None:
    policy = {"MaximumBatchSize": percent(value), "WaitIntervalInSeconds": 0}
    deployment = deployment_of({"RollingUpdatePolicy": policy}, {"main": count})
    kept = count
    for step in range(len(deployment.steps)):
        assert deployment.new_wanted(step, count) + kept >= count  # before the old ones of this step go
        kept = deployment.old_wanted(step, count)
        assert deployment.new_wanted(step, count) + kept >= count
    assert kept == 0
    assert deployment.new_wanted(len(deployment.steps) - 1, count) == count
