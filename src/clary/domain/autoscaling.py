"""How many instances a variant should have: target tracking, from data points to a number and the reason for it. Pure.

As Application Auto Scaling does it: a policy scales out once its metric was above the target in three data points in a
row, in proportion to how far the last of them was; it scales in once it was well below in fifteen, to no fewer than the
busiest of those fifteen needs. Of several policies the one that wants most instances wins, and none scales in that
another would not. A data point is a minute of the metric.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal

OUT_POINTS = 3
IN_POINTS = 15
IN_MARGIN = 0.9  # of the target: below it a metric is well below
DEFAULT_COOLDOWN_S = 300.0

Direction = Literal["out", "in"]


@dataclass(frozen=True, slots=True)
class Bounds:
    """Between which numbers of instances a variant is scaled, and which ways are suspended."""

    least: int
    most: int
    out_suspended: bool = False
    in_suspended: bool = False

    def clamp(self, count: int) -> int:
        return min(max(count, self.least), self.most)


@dataclass(frozen=True, slots=True)
class Tracking:
    """A target tracking policy. `metric` is what messages call it."""

    name: str
    metric: str
    target: float
    out_cooldown_s: float = DEFAULT_COOLDOWN_S
    in_cooldown_s: float = DEFAULT_COOLDOWN_S
    may_scale_in: bool = True


@dataclass(frozen=True, slots=True)
class Reading:
    """A policy and its metric: one value a data point, the oldest first, None where there is no data."""

    policy: Tracking
    values: Sequence[float | None]


@dataclass(frozen=True, slots=True)
class Last:
    """The last time that a policy scaled: `before` and `after` are numbers of instances."""

    at: float
    direction: Direction
    before: int
    after: int


@dataclass(frozen=True, slots=True)
class Decision:
    """`policy` is "" where no policy is the reason."""

    count: int
    cause: str
    policy: str = ""


def decide(
    count: int,
    bounds: Bounds,
    readings: Sequence[Reading],
    *,
    last: Last | None,
    now: float,
    waiting: int = 0,
) -> Decision | None:
    """The number of instances that there should be instead of `count`, or None if it is right.

    `waiting` requests are in a queue and wait for an instance: where there is none, the first is started for them.
    """
    if (bounded := bounds.clamp(count)) != count:
        which = "MinCapacity" if bounded > count else "MaxCapacity"
        return Decision(bounded, f"the scalable target's {which} is {bounded}")
    if count == 0 and waiting and readings and not bounds.out_suspended and bounds.most:
        cause = f"{waiting} requests wait and there is no instance (HasBacklogWithoutCapacity)"
        return Decision(1, cause, readings[0].policy.name)
    out = [found for reading in readings if (found := scale_out(count, bounds, reading, last, now))]
    if out and not bounds.out_suspended:
        return max(out, key=lambda decision: decision.count)
    if bounds.in_suspended or any(_is_high(reading) for reading in readings):
        return None
    return scale_in(count, bounds, readings, last=last, now=now)


def scale_out(count: int, bounds: Bounds, reading: Reading, last: Last | None, now: float) -> Decision | None:
    """What one policy wants more."""
    policy = reading.policy
    if not _is_high(reading) or count == 0:
        return None
    latest = float(reading.values[-1] or 0.0)
    base = count
    if last and last.direction == "out" and 0 <= now - last.at < policy.out_cooldown_s:
        base = last.before  # what was added counts: only a larger step than the last one adds more
    wanted = bounds.clamp(needed(base, latest, policy.target))
    if wanted <= count:
        return None
    return Decision(wanted, _why(reading, OUT_POINTS, "above", wanted), policy.name)


def scale_in(
    count: int, bounds: Bounds, readings: Sequence[Reading], *, last: Last | None, now: float
) -> Decision | None:
    """What all policies that may scale in agree to do without."""
    shrinking = [reading for reading in readings if reading.policy.may_scale_in]
    if not shrinking or count == 0 or not all(_is_low(reading) for reading in shrinking):
        return None
    for reading in shrinking:
        policy = reading.policy
        if last and 0 <= now - last.at < _rest_s(policy, last.direction):
            return None
    wanted, reading = max(
        ((_held(count, reading), reading) for reading in shrinking), key=lambda pair: pair[0]
    )
    wanted = bounds.clamp(wanted)
    if wanted >= count:
        return None
    return Decision(wanted, _why(reading, IN_POINTS, "below", wanted), reading.policy.name)


def needed(count: int, value: float, target: float) -> int:
    """Instances that bring a metric per instance from `value`, with `count`, to the target or below."""
    return math.ceil(count * value / target - 1e-9)


def _held(count: int, reading: Reading) -> int:
    """Instances that the busiest data point needs."""
    busiest = max(value or 0.0 for value in reading.values[-IN_POINTS:])
    return needed(count, busiest, reading.policy.target)


def _rest_s(policy: Tracking, direction: Direction) -> float:
    return policy.out_cooldown_s if direction == "out" else policy.in_cooldown_s


def _is_high(reading: Reading) -> bool:
    return _all(reading, OUT_POINTS, lambda value: value > reading.policy.target)


def _is_low(reading: Reading) -> bool:
    return _all(reading, IN_POINTS, lambda value: value < reading.policy.target * IN_MARGIN)


def _all(reading: Reading, points: int, test: Any) -> bool:
    latest = reading.values[-points:]
    return len(latest) == points and all(value is not None and test(value) for value in latest)


def _why(reading: Reading, points: int, where: str, wanted: int) -> str:
    policy = reading.policy
    values = [value or 0.0 for value in reading.values[-points:]]
    low, high = min(values), max(values)
    measured = f"{low:g}" if low == high else f"{low:.4g} to {high:.4g}"
    instances = f"{wanted} instance{'' if wanted == 1 else 's'}"
    return (
        f"{policy.metric} was {measured} in the last {points} data points, {where} the target of {policy.target:g} "
        f"of policy {policy.name}: {instances} {'are' if wanted != 1 else 'is'} what that needs"
    )


# -- documents


def bounds_of(target: Mapping[str, Any]) -> Bounds:
    """`target` is the spec of a scalable target."""
    suspended = target.get("SuspendedState", {})
    return Bounds(
        least=int(target["MinCapacity"]),
        most=int(target["MaxCapacity"]),
        out_suspended=bool(suspended.get("DynamicScalingOutSuspended")),
        in_suspended=bool(suspended.get("DynamicScalingInSuspended")),
    )


def tracking_of(policy: Mapping[str, Any]) -> Tracking:
    """`policy` is the spec of a scaling policy of the type TargetTrackingScaling."""
    config = policy["TargetTrackingScalingPolicyConfiguration"]
    predefined = config.get("PredefinedMetricSpecification", {}).get("PredefinedMetricType")
    return Tracking(
        name=policy["PolicyName"],
        metric=predefined or config["CustomizedMetricSpecification"]["MetricName"],
        target=float(config["TargetValue"]),
        out_cooldown_s=float(config.get("ScaleOutCooldown", DEFAULT_COOLDOWN_S)),
        in_cooldown_s=float(config.get("ScaleInCooldown", DEFAULT_COOLDOWN_S)),
        may_scale_in=not config.get("DisableScaleIn", False),
    )


def last_of(state: Mapping[str, Any]) -> Last | None:
    """`state` is that of a scalable target."""
    found = state.get("last")
    return Last(**found) if found else None
