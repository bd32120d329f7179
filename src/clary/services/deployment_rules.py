"""What a DeploymentConfig demands beyond the shapes: one policy, steps that SageMaker takes, times that fit."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from clary.errors import ValidationException

Request = Mapping[str, Any]

CANARY = (1, 50)
LINEAR = (10, 50)
BATCH = (5, 50)
ROLLBACK_BATCH = (5, 100)
WHERE = "DeploymentConfig"


def check(config: Request, *, instances: int) -> None:
    """`instances`: how many the new fleet will have. Raises ValidationException that lists every fault found."""
    if faults := list(_faults(config, instances)):
        raise ValidationException("; ".join(faults))


def _faults(config: Request, instances: int) -> Iterator[str]:
    if config.get("AutoRollbackConfiguration", {}).get("Alarms"):
        yield (
            f"{WHERE}.AutoRollbackConfiguration.Alarms is not supported by Clary: there are no alarms here. Leave it "
            "out: an update is rolled back by itself when a new instance fails or it takes too long"
        )
    blue_green, rolling = config.get("BlueGreenUpdatePolicy"), config.get("RollingUpdatePolicy")
    if blue_green and rolling:
        yield f"{WHERE}: give either BlueGreenUpdatePolicy or RollingUpdatePolicy, not both"
    elif blue_green:
        yield from _blue_green(f"{WHERE}.BlueGreenUpdatePolicy", blue_green, instances)
    elif rolling:
        where = f"{WHERE}.RollingUpdatePolicy"
        yield from _size(f"{where}.MaximumBatchSize", rolling["MaximumBatchSize"], BATCH, instances)
        if "RollbackMaximumBatchSize" in rolling:
            rollback = rolling["RollbackMaximumBatchSize"]
            yield from _size(f"{where}.RollbackMaximumBatchSize", rollback, ROLLBACK_BATCH, instances)
        yield from _times(where, rolling, rolling["WaitIntervalInSeconds"])


def _blue_green(where: str, policy: Request, instances: int) -> Iterator[str]:
    routing = policy["TrafficRoutingConfiguration"]
    at = f"{where}.TrafficRoutingConfiguration"
    for kind, field, limits in (("CANARY", "CanarySize", CANARY), ("LINEAR", "LinearStepSize", LINEAR)):
        if routing["Type"] != kind and field in routing:
            yield f"{at}.{field} is valid with Type {kind} only"
        elif routing["Type"] == kind and field not in routing:
            yield f"{at}.{field} is required with Type {kind}"
        elif field in routing:
            yield from _size(f"{at}.{field}", routing[field], limits, instances)
    waits = routing["WaitIntervalInSeconds"] + policy.get("TerminationWaitInSeconds", 0)
    yield from _times(where, policy, waits)


def _size(where: str, size: Request, limits: tuple[int, int], instances: int) -> Iterator[str]:
    least, most = limits
    value = size["Value"]
    if size["Type"] == "CAPACITY_PERCENT":
        if not least <= value <= most:
            yield f"{where}: {value} percent is not between {least} and {most}"
    elif value > max(1, instances * most // 100):
        yield (
            f"{where}: {value} instances are more than {most} percent of the {instances} that the endpoint will have"
        )


def _times(where: str, policy: Request, waits: int) -> Iterator[str]:
    most = policy.get("MaximumExecutionTimeoutInSeconds")
    if most is not None and most <= waits:
        yield (
            f"{where}.MaximumExecutionTimeoutInSeconds {most} is not more than the waits of the update, {waits} seconds"
        )
