"""What is valid for scalable targets and scaling policies, and what they forbid an endpoint's update."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping
from typing import Any

from clary.domain.endpoints import MOST_INSTANCES
from clary.domain.kinds import SCALABLE_TARGET
from clary.domain.scalable import INVOCATIONS_PER_INSTANCE, Target, metric_of
from clary.errors import ValidationException
from clary.store.base import Store, Where

Request = Mapping[str, Any]

TRACKING = "TargetTrackingScalingPolicyConfiguration"


def limits(spec: Request, *, is_asynchronous: bool, is_serverless: bool = False) -> Request:
    """The spec of a scalable target, if it is valid. Raises ValidationException."""
    if faults := list(_limits(spec, is_asynchronous=is_asynchronous, is_serverless=is_serverless)):
        raise ValidationException("; ".join(faults))
    return spec


def _limits(spec: Request, *, is_asynchronous: bool, is_serverless: bool) -> Iterator[str]:
    if is_serverless:
        yield f"ResourceId {spec['ResourceId']!r}: a serverless variant is not scaled, its instances come and go"
    missing = [name for name in ("MinCapacity", "MaxCapacity") if name not in spec]
    if missing:
        yield f"{' and '.join(missing)}: required for a scalable target that is new"
        return
    least, most = spec["MinCapacity"], spec["MaxCapacity"]
    if least > most:
        yield f"MinCapacity {least} is larger than MaxCapacity {most}"
    if least < 0:
        yield f"MinCapacity {least}: give a number of instances"
    if least == 0 and not is_asynchronous:
        yield "MinCapacity 0 is valid for an asynchronous endpoint only: 1 is the least"
    if most > MOST_INSTANCES:
        yield f"MaxCapacity {most} is more than {MOST_INSTANCES}"


def check_policy(request: Request, target: Target) -> None:
    """Raises ValidationException for a policy that is not valid, or not supported."""
    kind = request.get("PolicyType") or ("TargetTrackingScaling" if TRACKING in request else "StepScaling")
    if kind != "TargetTrackingScaling":
        raise ValidationException(
            f"PolicyType {kind} is not supported by Clary, which has no alarms: use TargetTrackingScaling. An "
            "asynchronous endpoint without instances is started by the first request in its queue as soon as it has "
            "a target tracking policy."
        )
    if TRACKING not in request:
        raise ValidationException(f"{TRACKING} is required for the policy type {kind}")
    if faults := list(_tracking(request[TRACKING], target)):
        raise ValidationException("; ".join(faults))


def _tracking(config: Request, target: Target) -> Iterator[str]:
    if not 0 < config["TargetValue"] < math.inf:
        yield f"{TRACKING}.TargetValue {config['TargetValue']} must be a number larger than 0"
    for name in ("ScaleOutCooldown", "ScaleInCooldown"):
        if config.get(name, 0) < 0:
            yield f"{TRACKING}.{name} {config[name]} must be a number of seconds"
    given = [name for name in ("Predefined", "Customized") if f"{name}MetricSpecification" in config]
    if len(given) != 1:
        yield f"{TRACKING}: give exactly one of PredefinedMetricSpecification and CustomizedMetricSpecification"
    elif metric_of(config, target) is None:
        yield from _unknown_metric(config)


def _unknown_metric(config: Request) -> Iterator[str]:
    if predefined := config.get("PredefinedMetricSpecification"):
        yield (
            f"{TRACKING}.PredefinedMetricSpecification.PredefinedMetricType {predefined['PredefinedMetricType']!r} is "
            f"not supported by Clary: use {INVOCATIONS_PER_INSTANCE!r}"
        )
    elif "Metrics" in config["CustomizedMetricSpecification"]:
        yield f"{TRACKING}.CustomizedMetricSpecification.Metrics is not supported by Clary: name one metric"
    else:
        yield (
            f"{TRACKING}.CustomizedMetricSpecification must name a metric of an endpoint: MetricName, Namespace "
            "'AWS/SageMaker' or '/aws/sagemaker/Endpoints', and Dimensions EndpointName and VariantName (EndpointName "
            "alone for those of an asynchronous endpoint's queue)"
        )


def check_update(store: Store, endpoint: str, before: Request, after: Request) -> None:
    """Raises ValidationException where an update would take away, or change the type of, what is scaled.

    `before` and `after` are the specs of endpoint configurations.
    """
    rows = store.heads(SCALABLE_TARGET.name, Where(name_prefix=f"{endpoint}."))
    scaled = [row.name.partition(".")[2] for row in rows]
    old, new = _types(before), _types(after)
    held = [name for name in scaled if name in old and old[name] != new.get(name)]
    if held:
        raise ValidationException(
            f'The variant(s) "{", ".join(held)}" must be deregistered as scalable targets with AWS Auto Scaling before '
            "they can be removed or have their instance type updated."
        )


def _types(config: Request) -> dict[str, Any]:
    return {each["VariantName"]: each.get("InstanceType") for each in config["ProductionVariants"]}
