from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

from clary.controllers.fleet import Replica
from clary.controllers.rollout import CAPACITY_WAIT_S, Sight, Turn, take_turn
from clary.domain.endpoints import beginning, generation_of, rescaled, updating
from clary.domain.names import Account
from clary.store.base import Resource

ACCOUNT = Account("123456789012", "us-east-1")


def config(count: int = 1, **variant: Any) -> dict[str, Any]:
    main = {
        "VariantName": "main",
        "ModelName": "m",
        "InitialInstanceCount": count,
        "InstanceType": "ml.m5.large",
    }
    return {"EndpointConfigName": "c", "ProductionVariants": [{**main, **variant}]}


def wanted(count: int = 1, deployment: Mapping[str, Any] | None = None, **variant: Any) -> dict[str, Any]:
    return generation_of("c", config(count, **variant), {"m": {}}, now=0.0, deployment=deployment)


def creating(count: int = 1, **variant: Any) -> Resource:
    return Resource(**beginning(ACCOUNT, "e", "one", wanted(count, **variant), now=0.0))


def replica(generation: str, number: int, phase: str = "ready", **row: Any) -> Replica:
    status = {"ended": "Failed", "stopping": "Stopping"}.get(phase, "InProgress")
    state = {"secondary": "x", "transitions": [{"Status": "x", "StartTime": 0.0}], **row.pop("state", {})}
    spec = {"InstanceType": "ml.m5.large", "Generation": generation, "VariantName": "main"}
    name = f"e.{generation}{number}"
    fields: dict[str, Any] = {"status": status, "spec": spec, "state": state, "modified": 1.0, **row}
    resource = Resource(kind="endpoint-instance", name=name, arn=name, created=float(number), **fields)
    return Replica(f"{generation}{number}", generation, "main", phase, resource)  # type: ignore[arg-type]


def turn(endpoint: Resource, *replicas: Replica, now: float = 10.0, demand: int = 0) -> Turn:
    return take_turn(Sight(endpoint, replicas, lambda *_: demand, now))


def in_service(count: int = 1, **variant: Any) -> Resource:
    ready = [replica("one", number) for number in range(max(count, 1))]
    return turn(creating(count, **variant), *ready).endpoint


def test_an_endpoint_is_in_service_once_all_its_instances_answer() -> None:
    first = turn(creating(2))
    assert first.wanted == {("one", "main"): 2}
    half = turn(first.endpoint, replica("one", 0), replica("one", 1, "starting"))
    assert half.endpoint.status == "Creating"
    whole = turn(half.endpoint, replica("one", 0), replica("one", 1))
    assert whole.endpoint.status == "InService"
    assert whole.endpoint.state["traffic"] == [{"generation": "one", "share": 1.0}]


def test_a_failure_while_creating_fails_the_endpoint_and_wants_nothing() -> None:
    failed = replica("one", 0, "ended", state={"reason": "AlgorithmError: no config.json"})
    result = turn(creating(), failed)
    assert result.endpoint.status == "Failed"
    assert result.endpoint.state["reason"] == "AlgorithmError: no config.json"
    assert result.wanted == {}


def test_an_agent_lost_while_creating_is_replaced_twice() -> None:
    lost = [replica("one", n, "ended", state={"reason": "InternalServerError: gone"}) for n in range(3)]
    assert turn(creating(), *lost[:2]).endpoint.status == "Creating"
    assert turn(creating(), *lost).endpoint.status == "Failed"


def test_waiting_too_long_for_room_is_a_capacity_error() -> None:
    waiting = replica("one", 0, "waiting")
    assert turn(creating(), waiting, now=CAPACITY_WAIT_S - 1).endpoint.status == "Creating"
    result = turn(creating(), waiting, now=CAPACITY_WAIT_S + 1).endpoint
    assert result.status == "Failed"
    assert result.state["reason"].startswith("CapacityError: ")


def update(endpoint: Resource, **given: Any) -> Resource:
    return replace(endpoint, **updating(endpoint.state, "two", wanted(**given), now=20.0))


def test_an_update_keeps_the_old_fleet_until_the_new_one_has_the_traffic() -> None:
    endpoint = update(in_service())
    building = turn(endpoint, replica("one", 0), replica("two", 1, "starting"), now=20.0)
    assert building.wanted == {("one", "main"): 1, ("two", "main"): 1}
    assert building.endpoint.state["traffic"] == [{"generation": "one", "share": 1.0}]
    done = turn(building.endpoint, replica("one", 0), replica("two", 1), now=21.0)
    assert done.endpoint.status == "InService"
    assert done.endpoint.state["traffic"] == [{"generation": "two", "share": 1.0}]
    assert done.wanted == {("two", "main"): 1}
    assert list(done.endpoint.state["generations"]) == ["two"]


def canary(wait_s: int = 30) -> dict[str, Any]:
    size = {"Type": "CAPACITY_PERCENT", "Value": 10}
    routing = {"Type": "CANARY", "WaitIntervalInSeconds": wait_s, "CanarySize": size}
    return {"BlueGreenUpdatePolicy": {"TrafficRoutingConfiguration": routing, "TerminationWaitInSeconds": 60}}


def test_a_canary_bakes_then_takes_all_then_the_old_fleet_stays_a_while() -> None:
    both = replica("one", 0), replica("two", 1)
    baking = turn(update(in_service(), deployment=canary()), *both, now=20.0)
    shares = {part["generation"]: part["share"] for part in baking.endpoint.state["traffic"]}
    assert shares == {"one": 0.9, "two": 0.1}
    still = turn(baking.endpoint, *both, now=49.0)
    assert still.endpoint is baking.endpoint
    whole = turn(still.endpoint, *both, now=51.0)
    assert whole.endpoint.state["traffic"] == [{"generation": "two", "share": 1.0}]
    kept = turn(whole.endpoint, *both, now=100.0)
    assert kept.wanted[("one", "main")] == 1
    assert kept.endpoint.status == "Updating"
    assert turn(kept.endpoint, *both, now=161.0).endpoint.status == "InService"


def test_a_canary_that_fails_while_it_bakes_is_rolled_back() -> None:
    baking = turn(update(in_service(), deployment=canary()), replica("one", 0), replica("two", 1), now=20.0)
    failed = replica("two", 1, "ended", state={"reason": "AlgorithmError: x-42"})
    back = turn(baking.endpoint, replica("one", 0), failed, now=30.0)
    assert back.endpoint.status == "InService"
    assert "x-42" in back.endpoint.state["reason"]
    assert back.endpoint.state["live"] == back.endpoint.state["target"] == "one"
    assert back.endpoint.state["traffic"] == [{"generation": "one", "share": 1.0}]


def test_rolling_back_waits_until_the_new_fleet_is_gone() -> None:
    endpoint = update(in_service(2), count=2)
    failed = replica("two", 2, "ended", state={"reason": "broken"})
    olds = replica("one", 0), replica("one", 1)
    back = turn(endpoint, *olds, failed, replica("two", 3), now=30.0)
    assert back.endpoint.status == "RollingBack"
    assert back.wanted == {("one", "main"): 2}
    assert turn(back.endpoint, *olds, failed, replica("two", 3, "stopping")).endpoint.status == "RollingBack"
    assert turn(back.endpoint, *olds, failed).endpoint.status == "InService"


def test_a_rolling_update_changes_both_fleets_batch_by_batch() -> None:
    policy = {"MaximumBatchSize": {"Type": "INSTANCE_COUNT", "Value": 1}, "WaitIntervalInSeconds": 5}
    endpoint = update(in_service(2), count=2, deployment={"RollingUpdatePolicy": policy})
    olds = [replica("one", 0), replica("one", 1)]
    first = turn(endpoint, *olds, now=20.0)
    assert first.wanted == {("one", "main"): 2, ("two", "main"): 1}
    half = turn(first.endpoint, *olds, replica("two", 2), now=21.0)
    assert half.wanted == {("one", "main"): 1, ("two", "main"): 1}
    second = turn(half.endpoint, olds[0], replica("two", 2), now=27.0)
    assert second.wanted == {("one", "main"): 1, ("two", "main"): 2}
    whole = turn(second.endpoint, olds[0], replica("two", 2), replica("two", 3), now=28.0)
    assert whole.endpoint.state["traffic"] == [{"generation": "two", "share": 1.0}]
    assert turn(whole.endpoint, replica("two", 2), replica("two", 3), now=34.0).endpoint.status == "InService"


def test_a_rolling_update_that_fails_late_rebuilds_the_old_fleet_before_the_new_one_goes() -> None:
    policy = {"MaximumBatchSize": {"Type": "INSTANCE_COUNT", "Value": 1}, "WaitIntervalInSeconds": 5}
    endpoint = update(in_service(2), count=2, deployment={"RollingUpdatePolicy": policy})
    half = turn(endpoint, replica("one", 0), replica("one", 1), replica("two", 2), now=21.0)
    failed = replica("two", 3, "ended", state={"reason": "broken"})
    back = turn(half.endpoint, replica("one", 0), replica("two", 2), failed, now=27.0)
    assert back.endpoint.status == "RollingBack"
    assert back.wanted == {("one", "main"): 2, ("two", "main"): 1}
    assert len(back.endpoint.state["traffic"]) == 2
    whole = turn(back.endpoint, replica("one", 0), replica("one", 4), replica("two", 2), failed, now=30.0)
    assert whole.endpoint.state["traffic"] == [{"generation": "one", "share": 1.0}]
    assert whole.wanted == {("one", "main"): 2}


def test_an_update_that_takes_too_long_is_rolled_back() -> None:
    policy = {"BlueGreenUpdatePolicy": {"MaximumExecutionTimeoutInSeconds": 600}}
    began = turn(update(in_service(), deployment=policy), replica("one", 0), now=20.0)
    late = turn(began.endpoint, replica("one", 0), replica("two", 1, "starting"), now=700.0)
    assert late.endpoint.status == "RollingBack"
    assert "MaximumExecutionTimeoutInSeconds" in late.endpoint.state["reason"]


def test_scaling_is_over_when_the_wanted_number_answers() -> None:
    endpoint = in_service()
    more = replace(endpoint, **rescaled(endpoint.state, {"main": {"count": 2}}, now=30.0))
    scaling = turn(more, replica("one", 0), now=30.0)
    assert scaling.wanted == {("one", "main"): 2}
    assert scaling.endpoint.status == "Updating"
    assert turn(more, replica("one", 0), replica("one", 1), now=31.0).endpoint.status == "InService"


def test_scaling_that_fails_leaves_the_endpoint_in_service_with_the_reason() -> None:
    endpoint = in_service()
    more = replace(endpoint, **rescaled(endpoint.state, {"main": {"count": 2}}, now=30.0))
    failed = replica("one", 1, "ended", state={"reason": "broken"}, modified=31.0)
    result = turn(more, replica("one", 0), failed, now=32.0)
    assert result.endpoint.status == "InService"
    assert result.endpoint.state["reason"] == "broken"
    assert result.wanted == {("one", "main"): 2}


def test_an_old_crash_does_not_count_against_a_scaling() -> None:
    endpoint = in_service()
    more = replace(endpoint, **rescaled(endpoint.state, {"main": {"count": 2}}, now=30.0))
    crashed = replica("one", 7, "ended", state={"reason": "long ago"}, modified=5.0)
    assert turn(more, replica("one", 0), crashed, now=31.0).endpoint.status == "Updating"


SERVERLESS = {"ServerlessConfig": {"MemorySizeInMB": 2048, "MaxConcurrency": 5}}


def test_a_serverless_variant_is_tried_once_then_follows_the_demand() -> None:
    endpoint = creating(0, **SERVERLESS)
    assert turn(endpoint).wanted == {("one", "main"): 1}
    served = turn(endpoint, replica("one", 0))
    assert served.endpoint.status == "InService"
    assert served.wanted == {("one", "main"): 0}
    assert turn(served.endpoint, demand=1).wanted == {("one", "main"): 1}


def test_a_machine_that_restarts_while_many_instances_are_made_is_no_failure() -> None:
    lost = [replica("one", n, "ended", state={"reason": "InternalServerError: gone"}) for n in range(8)]
    assert turn(creating(4), *lost).endpoint.status == "Creating"
    more = [replica("one", n, "ended", state={"reason": "InternalServerError: gone"}) for n in range(8, 12)]
    assert turn(creating(4), *lost, *more).endpoint.status == "Failed"


def rolling(count: int) -> Resource:
    """A rolling update of which three quarters are done, where the next new instance fails."""
    policy = {"MaximumBatchSize": {"Type": "INSTANCE_COUNT", "Value": 1}, "WaitIntervalInSeconds": 0}
    endpoint = update(in_service(count), count=count, deployment={"RollingUpdatePolicy": policy})
    for done in range(1, count):
        olds = [replica("one", n) for n in range(count - done + 1)]
        endpoint = turn(endpoint, *olds, *(replica("two", n) for n in range(done)), now=20.0).endpoint
    return endpoint


FAILED = replica("two", 9, "ended", state={"reason": "broken"})


def test_a_roll_back_makes_room_for_the_old_fleet_bit_by_bit() -> None:
    """A machine that holds one instance more than the fleet has comes back to where it was."""
    endpoint = rolling(4)
    old, new, room = 1, 3, 5
    for _ in range(10):
        result = turn(endpoint, *(replica("one", n) for n in range(old)), *rest(new), FAILED, now=30.0)
        endpoint = result.endpoint
        if endpoint.status == "InService":
            break
        assert endpoint.status == "RollingBack"
        new = min(new, result.wanted.get(("two", "main"), 0))
        old = min(result.wanted[("one", "main")], room - new)
        assert old + new >= 4
    assert endpoint.status == "InService"
    assert endpoint.state["traffic"] == [{"generation": "one", "share": 1.0}]
    assert (old, new) == (4, 0)


def rest(count: int) -> list[Replica]:
    return [replica("two", n) for n in range(count)]


def test_a_roll_back_whose_old_fleet_fails_says_so_and_goes_on_trying() -> None:
    endpoint = turn(rolling(2), replica("one", 0), *rest(1), FAILED, now=30.0).endpoint
    assert endpoint.status == "RollingBack"
    gone = replica("one", 5, "ended", state={"reason": "no model data"}, modified=31.0)
    stuck = turn(endpoint, replica("one", 0), *rest(1), gone, FAILED, now=32.0)
    assert stuck.endpoint.status == "UpdateRollbackFailed"
    assert "broken" in stuck.endpoint.state["reason"]
    assert "no model data" in stuck.endpoint.state["reason"]
    assert stuck.wanted == {("one", "main"): 2, ("two", "main"): 1}
    again = turn(stuck.endpoint, replica("one", 0), *rest(1), gone, FAILED, now=33.0)
    assert again.endpoint is stuck.endpoint
    whole = turn(stuck.endpoint, replica("one", 0), replica("one", 6), gone, FAILED, now=40.0)
    assert whole.endpoint.status == "InService"


def test_a_roll_back_that_is_stuck_can_be_left_by_another_update_and_no_one_is_dropped() -> None:
    endpoint = turn(rolling(2), *rest(1), FAILED, now=30.0).endpoint
    gone = replica("one", 5, "ended", state={"reason": "no model data"}, modified=31.0)
    stuck = turn(endpoint, *rest(1), gone, FAILED, now=32.0).endpoint
    third = replace(stuck, **updating(stuck.state, "three", wanted(2), now=40.0))
    building = turn(third, *rest(1), gone, FAILED, now=40.0)
    assert building.wanted == {("one", "main"): 2, ("two", "main"): 1, ("three", "main"): 2}
    threes = [replica("three", n) for n in range(2)]
    done = turn(building.endpoint, *rest(1), gone, FAILED, *threes, now=41.0)
    assert done.endpoint.status == "InService"
    assert done.wanted == {("three", "main"): 2}
    assert list(done.endpoint.state["generations"]) == ["three"]


def test_a_clock_set_back_does_not_hold_up_an_update() -> None:
    both = replica("one", 0), replica("two", 1)
    baking = turn(update(in_service(), deployment=canary()), *both, now=90_000.0)
    back = turn(baking.endpoint, *both, now=20.0)
    whole = turn(back.endpoint, *both, now=51.0).endpoint
    assert whole.state["traffic"] == [{"generation": "two", "share": 1.0}]


def test_an_update_without_room_says_what_it_needs() -> None:
    endpoint = update(in_service())
    first = turn(endpoint, replica("one", 0), replica("two", 1, "waiting"), now=20.0).endpoint
    result = turn(first, replica("one", 0), replica("two", 1, "waiting"), now=CAPACITY_WAIT_S + 30)
    assert result.endpoint.status == "RollingBack"
    assert "room for new instances while the old ones still answer" in result.endpoint.state["reason"]
