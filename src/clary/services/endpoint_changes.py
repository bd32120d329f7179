"""What an update of an endpoint comes to: the generation that is wanted next, or other weights and counts. Pure."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from math import isfinite
from typing import Any

from clary.domain.endpoints import MOST_INSTANCES, current, generation_of, variant_of
from clary.errors import ValidationException
from clary.store.base import Resource

Request = Mapping[str, Any]

# a retained property, as a generation's variants have it
RETAINED = {"DesiredInstanceCount": "count", "DesiredWeight": "weight"}


def next_generation(
    state: Request, config: Resource, models: Mapping[str, Request], request: Request, *, now: float
) -> dict[str, Any]:
    """The generation that an UpdateEndpoint wants. Raises ValidationException where the one cannot follow the other."""
    present = current(state)
    old, new = _sort_of(present["config"]), _sort_of(config.spec)
    if old != new:
        raise ValidationException(
            f"EndpointConfigName: the endpoint is {old}, and {config.name!r} is {new}: an endpoint cannot be updated "
            "from one to the other. Make another endpoint."
        )
    excluded = {each["VariantPropertyType"] for each in request.get("ExcludeRetainedVariantProperties", ())}
    kept: dict[str, Any] = {}
    spec = dict(config.spec)
    if request.get("RetainAllVariantProperties"):
        names = [name for property_, name in RETAINED.items() if property_ not in excluded]
        kept = {
            variant: {name: values[name] for name in names} for variant, values in present["variants"].items()
        }
        if "DataCaptureConfig" not in excluded:
            spec = _with_capture_of(present["config"], spec)
    wanted = generation_of(
        config.name, spec, models, now=now, deployment=_deployment(present, request), variants=kept
    )
    if not sum(values["weight"] for values in wanted["variants"].values()):
        raise ValidationException(
            "RetainAllVariantProperties: the weights retained are all 0, so no variant would get requests: exclude "
            "DesiredWeight in ExcludeRetainedVariantProperties"
        )
    return wanted


def weights_and_counts(state: Request, desired: Sequence[Request]) -> dict[str, dict[str, Any]]:
    """The changes that `domain.endpoints.rescaled` takes, by variant. Raises ValidationException."""
    generation = state["generations"][state["target"]]
    if faults := list(_faults(generation, desired)):
        raise ValidationException("; ".join(faults))
    changes = {each["VariantName"]: _change(generation, each) for each in desired}
    weights = {name: values["weight"] for name, values in generation["variants"].items()}
    weights |= {name: change["weight"] for name, change in changes.items() if "weight" in change}
    if not sum(weights.values()):
        raise ValidationException("DesiredWeight would be 0 everywhere: leave a variant a weight above 0")
    return changes


def _faults(generation: Request, desired: Sequence[Request]) -> Iterator[str]:
    for name, count in Counter(each["VariantName"] for each in desired).items():
        if count > 1:
            yield f"DesiredWeightsAndCapacities: the variant {name!r} is there {count} times: it must be unique"
    for each in desired:
        name = each["VariantName"]
        if name not in generation["variants"]:
            known = ", ".join(generation["variants"])
            yield f"DesiredWeightsAndCapacities: there is no variant {name!r}, there is {known}"
        else:
            yield from _variant(f"DesiredWeightsAndCapacities {name!r}", generation, each)


def _variant(where: str, generation: Request, each: Request) -> Iterator[str]:
    serverless = variant_of(generation, each["VariantName"]).get("ServerlessConfig")
    if not {"DesiredWeight", "DesiredInstanceCount", "ServerlessUpdateConfig"} & each.keys():
        yield f"{where}: give DesiredWeight, DesiredInstanceCount or ServerlessUpdateConfig"
    if not isfinite(each.get("DesiredWeight", 1.0)):
        yield f"{where}: DesiredWeight must be a finite number"
    if serverless is None:
        if "ServerlessUpdateConfig" in each:
            yield f"{where}: ServerlessUpdateConfig is valid for a serverless variant only"
        is_asynchronous = "AsyncInferenceConfig" in generation["config"]
        if each.get("DesiredInstanceCount") == 0 and not is_asynchronous:
            yield f"{where}: DesiredInstanceCount 0 is valid for an asynchronous endpoint only: 1 is the least"
        if each.get("DesiredInstanceCount", 1) > MOST_INSTANCES:
            yield f"{where}: DesiredInstanceCount {each['DesiredInstanceCount']} is more than {MOST_INSTANCES}"
        return
    if "DesiredInstanceCount" in each:
        yield f"{where}: DesiredInstanceCount is not valid for a serverless variant: its instances come and go"
    after = {**serverless, **each.get("ServerlessUpdateConfig", {})}
    if after.get("ProvisionedConcurrency", 0) > after["MaxConcurrency"]:
        yield (
            f"{where}: ProvisionedConcurrency {after['ProvisionedConcurrency']} would be more than MaxConcurrency "
            f"{after['MaxConcurrency']}"
        )


def _change(generation: Request, each: Request) -> dict[str, Any]:
    change: dict[str, Any] = {}
    if "DesiredWeight" in each:
        change["weight"] = float(each["DesiredWeight"])
    if "DesiredInstanceCount" in each:
        change["count"] = int(each["DesiredInstanceCount"])
    if "ServerlessUpdateConfig" in each:
        serverless = variant_of(generation, each["VariantName"])["ServerlessConfig"]
        change["serverless"] = {**serverless, **each["ServerlessUpdateConfig"]}
    return change


def _deployment(present: Request, request: Request) -> Request:
    given: Request = request.get("DeploymentConfig", {})
    if not request.get("RetainDeploymentConfig"):
        return given
    if given:
        raise ValidationException(
            "give either DeploymentConfig or RetainDeploymentConfig true, which takes that of the last update"
        )
    last: Request = present["deployment"]
    return last


def _with_capture_of(present: Request, spec: Request) -> dict[str, Any]:
    """The configuration with the present one's data capture, or without any if there is none."""
    others = {key: value for key, value in spec.items() if key != "DataCaptureConfig"}
    return {**others, **{key: value for key, value in present.items() if key == "DataCaptureConfig"}}


def _sort_of(config: Request) -> str:
    if any("ServerlessConfig" in variant for variant in config["ProductionVariants"]):
        return "serverless"
    return "asynchronous" if "AsyncInferenceConfig" in config else "real-time"
