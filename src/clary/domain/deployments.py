"""How traffic passes from one generation of an endpoint to the next: a DeploymentConfig, read as steps. Pure."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from math import ceil
from typing import Any

Document = Mapping[str, Any]

MOST_S = 28_800.0
LARGEST_CANARY = 0.5


@dataclass(frozen=True, slots=True)
class Deployment:
    """`steps` are the parts of the traffic that the new generation has, one after the other; the last is 1.

    rolling: the new fleet grows, and the old one shrinks, with the steps; otherwise the new one is whole before the
    first. wait_s: after each step; what fails meanwhile is rolled back. keep_s: how long the old fleet is kept after
    the last wait. most_s: an update that takes longer is rolled back.
    """

    steps: Sequence[float] = (1.0,)
    rolling: bool = False
    wait_s: float = 0.0
    keep_s: float = 0.0
    most_s: float = MOST_S

    def new_wanted(self, step: int, count: int) -> int:
        """Instances of the new fleet that this step needs, of a variant with `count` in all."""
        return ceil(self.steps[step] * count) if self.rolling else count

    def old_wanted(self, step: int, count: int) -> int:
        """Instances that the old fleet keeps once this step has its traffic."""
        return count - int(self.steps[step] * count + 1e-9) if self.rolling else count


def deployment_of(config: Document, counts: Mapping[str, int]) -> Deployment:
    """`config` is a DeploymentConfig, perhaps empty; `counts` are the new generation's instances by variant.

    With several variants traffic shifts all at once, as in SageMaker.
    """
    if rolling := config.get("RollingUpdatePolicy"):
        return _rolling(rolling, counts)
    policy = config.get("BlueGreenUpdatePolicy", {})
    routing = policy.get("TrafficRoutingConfiguration", {})
    return Deployment(
        steps=_steps(routing, counts),
        wait_s=float(routing.get("WaitIntervalInSeconds", 0)),
        keep_s=float(policy.get("TerminationWaitInSeconds", 0)),
        most_s=float(policy.get("MaximumExecutionTimeoutInSeconds", MOST_S)),
    )


def _rolling(policy: Document, counts: Mapping[str, int]) -> Deployment:
    step = part_of(policy["MaximumBatchSize"], max(counts.values(), default=1), largest=1.0)
    return Deployment(
        steps=_up_to_all(step),
        rolling=True,
        wait_s=float(policy.get("WaitIntervalInSeconds", 0)),
        most_s=float(policy.get("MaximumExecutionTimeoutInSeconds", MOST_S)),
    )


def _steps(routing: Document, counts: Mapping[str, int]) -> Sequence[float]:
    kind = routing.get("Type", "ALL_AT_ONCE")
    if kind == "ALL_AT_ONCE" or len(counts) > 1:
        return (1.0,)
    count = max(counts.values(), default=1)
    if kind == "CANARY":
        return (part_of(routing["CanarySize"], count, largest=LARGEST_CANARY), 1.0)
    return _up_to_all(part_of(routing["LinearStepSize"], count, largest=LARGEST_CANARY))


def part_of(size: Document, count: int, *, largest: float) -> float:
    """A CapacitySize as a part of the whole."""
    value = float(size["Value"])
    part = value / 100 if size["Type"] == "CAPACITY_PERCENT" else value / max(count, 1)
    return min(part, largest)


def _up_to_all(step: float) -> Sequence[float]:
    whole = int(1 / step + 1e-9)
    steps = [min(1.0, step * number) for number in range(1, whole + 1)]
    return (*steps, 1.0) if steps[-1] < 1 - 1e-9 else (*steps[:-1], 1.0)
