"""What an endpoint should become next: how many instances of what, who gets the traffic, which status. Pure.

One call looks at an endpoint's row and its replicas and gives the row as it should be, and the wanted counts:

    Creating      the first generation is built; it answers once all its instances do, one that fails fails the endpoint
    Updating      another generation is built beside the live one, gets the traffic step by step, and takes its place
    RollingBack   the live one gets all traffic again, and the other goes; UpdateRollbackFailed while that is stuck
    InService     lost instances are replaced; a serverless variant has instances while it is asked

`state["rollout"]` notes where an update stands: {"step", "phase": building | waiting | keeping, "since", "began"}.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

from clary.controllers.fleet import MOST_REMEMBERED, Replica
from clary.domain.deployments import Deployment, deployment_of
from clary.store.base import Resource

Counts = Mapping[tuple[str, str], int]
"""Instances wanted, by generation and variant."""

State = dict[str, Any]

CAPACITY_WAIT_S = 60.0
MOST_INTERRUPTED = 3  # instances in the place of one


@dataclass(frozen=True, slots=True)
class Turn:
    """`endpoint` is the row as it should be (the same object if nothing is to change)."""

    endpoint: Resource
    wanted: Counts


@dataclass(frozen=True, slots=True)
class Sight:
    """`demand` is how many instances a serverless variant of the live generation needs now."""

    endpoint: Resource
    replicas: Sequence[Replica]
    demand: Callable[[str, Mapping[str, Any]], int]
    now: float

    @property
    def state(self) -> Mapping[str, Any]:
        return self.endpoint.state

    def ready(self, generation: str, variant: str) -> int:
        return sum(
            one.phase == "ready" and (one.generation, one.variant) == (generation, variant)
            for one in self.replicas
        )

    def has(self, wanted: Counts) -> bool:
        """True once all of them are ready."""
        return all(self.ready(*key) >= count for key, count in wanted.items())

    def is_gone(self, generation: str) -> bool:
        return not any(one.generation == generation and one.phase != "ended" for one in self.replicas)

    def trouble(self, generation: str, *, since: float = 0.0) -> str | None:
        """Why this generation cannot come to be, if it cannot."""
        own = [one for one in self.replicas if one.generation == generation]
        failed = [one for one in own if one.failure and one.row.modified >= since]
        fatal = next((one for one in failed if not one.was_interrupted), None)
        if fatal is None and len(failed) >= self._most_interrupted(generation):
            fatal = failed[-1]
        if fatal is not None:
            return f"{fatal.failure}"
        waiting = [one for one in own if one.phase == "waiting" and self._waited(one) > CAPACITY_WAIT_S]
        if waiting:
            return (
                f"CapacityError: no room for {len(waiting)} more instance(s) of variant {waiting[0].variant!r} "
                f"({waiting[0].row.spec['InstanceType']}) after {CAPACITY_WAIT_S:g} s: other jobs and endpoints hold "
                "the machine's memory or GPUs. Delete endpoints, take a smaller instance type, or fewer instances."
            )
        return None

    def _most_interrupted(self, generation: str) -> int:
        """A machine that restarts interrupts all of them at once. More are not remembered."""
        variants = self.state["generations"][generation]["variants"].values()
        count = sum(int(values["count"]) for values in variants)
        return min(MOST_INTERRUPTED * max(1, count), MOST_REMEMBERED)

    def _waited(self, replica: Replica) -> float:
        return self.now - float(replica.row.state["transitions"][-1]["StartTime"])


def take_turn(sight: Sight) -> Turn:
    """Until nothing more follows from what is seen."""
    turn = _one(sight)
    while turn.endpoint is not sight.endpoint:
        sight = replace(sight, endpoint=turn.endpoint)
        turn = _one(sight)
    return turn


def _one(sight: Sight) -> Turn:
    endpoint, state = sight.endpoint, sight.state
    if endpoint.status in {"Deleting", "Failed"}:
        return Turn(endpoint, {})
    if state["live"] is None:
        return _create(sight)
    if endpoint.status in {"RollingBack", "UpdateRollbackFailed"}:
        return _roll_back(sight)
    if state["target"] != state["live"]:
        return _update(sight)
    return _keep(sight)


def _create(sight: Sight) -> Turn:
    target = sight.state["target"]
    wanted = _whole(sight, target)
    if trouble := sight.trouble(target):
        return Turn(_changed(sight, {"reason": trouble}, status="Failed"), {})
    if not sight.has(wanted):
        return Turn(sight.endpoint, wanted)
    return Turn(_changed(sight, _settled(sight, target), status="InService"), wanted)


def _keep(sight: Sight) -> Turn:
    """Nothing new is wanted but perhaps other counts and weights."""
    live = sight.state["live"]
    generation = sight.state["generations"][live]
    wanted = {
        (live, variant["VariantName"]): sight.demand(variant["VariantName"], variant)
        if "ServerlessConfig" in variant
        else int(generation["variants"][variant["VariantName"]]["count"])
        for variant in generation["config"]["ProductionVariants"]
    }
    if sight.endpoint.status == "Updating" and sight.has(wanted):
        return Turn(_changed(sight, {}, status="InService", without=("reason",)), wanted)
    if sight.endpoint.status == "Updating" and (
        trouble := sight.trouble(live, since=sight.endpoint.modified)
    ):
        # those that are up go on answering, and the missing ones are tried again
        return Turn(_changed(sight, {"reason": trouble}, status="InService"), wanted)
    return Turn(sight.endpoint, wanted)


def _update(sight: Sight) -> Turn:
    state, now = sight.state, sight.now
    live, target = state["live"], state["target"]
    deployment = _deployment(sight)
    rollout = state.get("rollout")
    if rollout is None or rollout["target"] != target:
        first = {"target": target, "step": 0, "phase": "building", "since": now, "began": now}
        return Turn(_changed(sight, {"rollout": first}), _counts(sight, deployment, first))
    wanted = _counts(sight, deployment, rollout)
    if now < rollout["since"]:  # the clock was set back
        return Turn(_moved(sight, rollout["phase"], rollout["step"]), wanted)
    trouble = sight.trouble(target) if rollout["phase"] != "keeping" else None
    if trouble is None and now - rollout["began"] > deployment.most_s:
        trouble = f"The update took longer than MaximumExecutionTimeoutInSeconds ({deployment.most_s:g})."
    if trouble:
        if trouble.startswith("CapacityError"):
            trouble += " An update needs room for new instances while the old ones still answer."
        reason = f"The update was rolled back: {trouble}"
        return Turn(_changed(sight, {"reason": reason}, status="RollingBack"), wanted)
    step, waited = rollout["step"], now - rollout["since"]
    if rollout["phase"] == "building" and sight.has(_of(target, wanted)):
        shift = _traffic(live, target, deployment.steps[step])
        return Turn(_moved(sight, "waiting", step, traffic=shift), wanted)
    if rollout["phase"] == "waiting" and waited >= deployment.wait_s:
        if step + 1 < len(deployment.steps):
            return Turn(_moved(sight, "building", step + 1), wanted)
        return Turn(_moved(sight, "keeping", step), wanted)
    if rollout["phase"] == "keeping" and waited >= deployment.keep_s:
        return Turn(
            _changed(sight, _settled(sight, target), status="InService", without=("rollout",)), wanted
        )
    return Turn(sight.endpoint, wanted)


def _roll_back(sight: Sight) -> Turn:
    live, target = sight.state["live"], sight.state["target"]
    wanted = _whole(sight, live)
    if target == live:
        return Turn(_changed(sight, {}, status="InService", without=("rollout",)), wanted)
    if not sight.has(wanted):
        # a rolling update had taken some of it away: the new ones answer until it is back
        trouble = sight.trouble(live, since=sight.endpoint.modified)
        endpoint = sight.endpoint
        if trouble and endpoint.status == "RollingBack":
            reason = f"{sight.state['reason']} The roll-back is stuck, and goes on trying: {trouble}"
            endpoint = _changed(sight, {"reason": reason}, status="UpdateRollbackFailed")
        return Turn(endpoint, {**wanted, **_until_replaced(sight)})
    if sight.state["traffic"] != _traffic(live, target, 0.0):
        return Turn(_changed(sight, {"traffic": _traffic(live, target, 0.0)}), wanted)
    if not sight.is_gone(target):
        return Turn(sight.endpoint, wanted)
    settled = {**_settled(sight, live), "reason": sight.state["reason"]}
    return Turn(_changed(sight, settled, status="InService", without=("rollout",)), wanted)


def _until_replaced(sight: Sight) -> dict[tuple[str, str], int]:
    """Instances of the new fleet that go on answering: as many as the old one lacks, for whose room they make way."""
    live, target = sight.state["live"], sight.state["target"]
    old = _whole(sight, live)
    kept: dict[tuple[str, str], int] = {}
    for key in _whole(sight, target):
        before = live, key[1]
        lacking = old[before] - sight.ready(*before) if before in old else sight.ready(*key)
        kept[key] = min(sight.ready(*key), max(1, lacking))
    return kept


def _deployment(sight: Sight) -> Deployment:
    generation = sight.state["generations"][sight.state["target"]]
    counts = {name: int(values["count"]) for name, values in generation["variants"].items()}
    return deployment_of(generation["deployment"], counts)


def _counts(sight: Sight, deployment: Deployment, rollout: Mapping[str, Any]) -> Counts:
    """What both fleets should have at this moment of an update."""
    live, target, step = sight.state["live"], sight.state["target"], int(rollout["step"])
    new = {key: deployment.new_wanted(step, count) for key, count in _whole(sight, target).items()}
    reached = step if rollout["phase"] != "building" else step - 1  # the last step that has its traffic
    old = {
        key: deployment.old_wanted(reached, count) if reached >= 0 else count
        for key, count in _whole(sight, live).items()
    }
    return {**_astray(sight), **old, **new}


def _astray(sight: Sight) -> Counts:
    """What a roll-back that got stuck left of a third generation: it goes once no traffic is its."""
    known = {sight.state["live"], sight.state["target"]}
    others = [part["generation"] for part in sight.state["traffic"] if part["generation"] not in known]
    return {key: sight.ready(*key) for generation in others for key in _whole(sight, generation)}


def _whole(sight: Sight, generation: str) -> dict[tuple[str, str], int]:
    """A whole fleet. A serverless variant is tried with one instance before it may have none."""
    wanted = sight.state["generations"][generation]
    serverless = {
        variant["VariantName"]
        for variant in wanted["config"]["ProductionVariants"]
        if "ServerlessConfig" in variant
    }
    return {
        (generation, name): max(1, int(values["count"])) if name in serverless else int(values["count"])
        for name, values in wanted["variants"].items()
    }


def _of(generation: str, wanted: Counts) -> Counts:
    return {key: count for key, count in wanted.items() if key[0] == generation}


def _traffic(live: str, target: str, share: float) -> list[State]:
    shares = {live: 1.0 - share, target: share}
    return [{"generation": generation, "share": part} for generation, part in shares.items() if part > 0]


def _settled(sight: Sight, generation: str) -> State:
    return {
        "generations": {generation: sight.state["generations"][generation]},
        "live": generation,
        "target": generation,
        "traffic": [{"generation": generation, "share": 1.0}],
    }


def _moved(sight: Sight, phase: str, step: int, **changes: Any) -> Resource:
    rollout = {**sight.state["rollout"], "phase": phase, "step": step, "since": sight.now}
    return _changed(sight, {"rollout": rollout, **changes})


def _changed(
    sight: Sight, changes: Mapping[str, Any], *, status: str | None = None, without: Sequence[str] = ()
) -> Resource:
    state = {key: value for key, value in {**sight.state, **changes}.items() if key not in without}
    is_news = status is not None or "traffic" in changes
    return replace(
        sight.endpoint,
        status=status or sight.endpoint.status,
        state=state,
        modified=sight.now if is_news else sight.endpoint.modified,
    )
