"""What CreateEndpointConfig demands beyond the shapes: meanings that fit together, and what Clary can do today.

Each rule names the field and the fix. A field that SageMaker knows and Clary cannot honour is refused here;
`docs/reference/hosting.md` lists those that are recorded without effect.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterator, Mapping
from math import isfinite
from typing import Any

from clary.domain.endpoints import DEFAULT_WEIGHT, MOST_INSTANCES, container_of
from clary.domain.kinds import MODEL
from clary.errors import ValidationException
from clary.services import hosting, tags
from clary.services.hosting import MODELS
from clary.services.job_rules import missing_buckets
from clary.services.operations import Context

Request = Mapping[str, Any]

ROUTING = ("LEAST_OUTSTANDING_REQUESTS", "RANDOM")
MEMORY_STEP_MB = 1024

NOT_SUPPORTED: Mapping[str, str] = {
    "ShadowProductionVariants": "give the variant a small weight among ProductionVariants",
    "ExplainerConfig": "leave it out",
    "EnableNetworkIsolation": "leave it out, or say false",
}
VARIANT_NOT_SUPPORTED: Mapping[str, str] = {
    "InstancePools": "give InstanceType and InitialInstanceCount",
    "VariantInstanceProvisionTimeoutInSeconds": "leave it out",
    "AcceleratorType": "choose an InstanceType with a GPU",
    "CoreDumpConfig": "leave it out",
    "EnableSSMAccess": "leave it out, or say false",
    "ManagedInstanceScaling": "register a scalable target with Application Auto Scaling",
    "CapacityReservationConfig": "leave it out",
}
# what says something about instances, of which a serverless variant has none to choose
INSTANCES_ONLY = ("InstanceType", "InitialInstanceCount", "VolumeSizeInGB", "RoutingConfig")


def check(context: Context, request: Request) -> None:
    """Raises ValidationException that lists every fault found."""
    faults = [fault for rule in RULES for fault in rule(request)]
    faults += missing_buckets(context, _uris(request))
    if not faults:
        faults += _models(context, request)
    if faults:
        raise ValidationException("; ".join(faults))


def _whole(request: Request) -> Iterator[str]:
    for name, fix in NOT_SUPPORTED.items():
        if request.get(name):
            yield f"{name} is not supported by Clary: {fix}"
    metrics = request.get("MetricsConfig", {})
    for name in ("EnableEnhancedMetrics", "EnableDetailedObservability", "MetricPublishFrequencyInSeconds"):
        if metrics.get(name):
            yield f"MetricsConfig.{name} is not supported: leave it out"


def _variants(request: Request) -> Iterator[str]:
    variants = request["ProductionVariants"]
    for name, count in Counter(variant["VariantName"] for variant in variants).items():
        if count > 1:
            yield f"ProductionVariants: VariantName {name!r} is there {count} times: it must be unique"
    if not sum(variant.get("InitialVariantWeight", DEFAULT_WEIGHT) for variant in variants):
        yield "ProductionVariants: InitialVariantWeight is 0 everywhere: give a variant a weight above 0"
    for variant in variants:
        where = f"ProductionVariants {variant['VariantName']!r}"
        if not isfinite(variant.get("InitialVariantWeight", DEFAULT_WEIGHT)):
            yield f"{where}: InitialVariantWeight must be a finite number"
        for name, fix in VARIANT_NOT_SUPPORTED.items():
            if variant.get(name):
                yield f"{where}: {name} is not supported by Clary: {fix}"
        if "ModelName" not in variant:
            yield f"{where}: ModelName is required: inference components are not supported by Clary"
        yield from (
            _serverless(where, variant) if "ServerlessConfig" in variant else _real_time(where, variant)
        )


def _real_time(where: str, variant: Request) -> Iterator[str]:
    if "InstancePools" in variant:
        return
    for name in ("InstanceType", "InitialInstanceCount"):
        if name not in variant:
            yield f"{where}: {name} is required, or ServerlessConfig"
    if variant.get("InitialInstanceCount", 1) > MOST_INSTANCES:
        yield f"{where}: InitialInstanceCount {variant['InitialInstanceCount']} is more than {MOST_INSTANCES}"
    routing = variant.get("RoutingConfig", {})
    if routing.get("RoutingStrategy", ROUTING[0]) not in ROUTING:
        yield (
            f"{where}: RoutingConfig.RoutingStrategy {routing['RoutingStrategy']} is not supported by Clary: "
            f"use {' or '.join(ROUTING)}"
        )
    elif "PrefixAwareRoutingConfig" in routing:
        yield f"{where}: RoutingConfig.PrefixAwareRoutingConfig is valid with PREFIX_AWARE only"


def _serverless(where: str, variant: Request) -> Iterator[str]:
    config = variant["ServerlessConfig"]
    for name in INSTANCES_ONLY:
        if name in variant:
            yield f"{where}: {name} is not valid with ServerlessConfig: leave one of them out"
    if config["MemorySizeInMB"] % MEMORY_STEP_MB:
        yield (
            f"{where}: ServerlessConfig.MemorySizeInMB {config['MemorySizeInMB']} is not one of "
            "1024, 2048, 3072, 4096, 5120, 6144"
        )
    provisioned = config.get("ProvisionedConcurrency", 0)
    if provisioned > config["MaxConcurrency"]:
        yield (
            f"{where}: ServerlessConfig.ProvisionedConcurrency {provisioned} is more than MaxConcurrency "
            f"{config['MaxConcurrency']}"
        )


def _together(request: Request) -> Iterator[str]:
    """What an endpoint cannot have at the same time."""
    variants = request["ProductionVariants"]
    is_asynchronous = "AsyncInferenceConfig" in request
    is_captured = request.get("DataCaptureConfig", {"EnableCapture": False}).get("EnableCapture", True)
    if is_captured and is_asynchronous:
        yield "DataCaptureConfig is not supported with AsyncInferenceConfig: requests and answers are in S3 already"
    if not any("ServerlessConfig" in variant for variant in variants):
        return
    if len(variants) > 1:
        yield "ProductionVariants: a serverless endpoint has one variant"
    if is_captured:
        yield "DataCaptureConfig is not supported with ServerlessConfig: leave it out"
    if is_asynchronous:
        yield "AsyncInferenceConfig is not supported with ServerlessConfig: leave one of them out"


def _asynchronous(request: Request) -> Iterator[str]:
    output = request.get("AsyncInferenceConfig", {}).get("OutputConfig", {})
    if any(output.get("NotificationConfig", {}).values()):
        yield (
            "AsyncInferenceConfig.OutputConfig.NotificationConfig is not supported by Clary: there are no SNS topics "
            "here, look for the objects in S3OutputPath and S3FailurePath"
        )


def _models(context: Context, request: Request) -> Iterator[str]:
    variants = request["ProductionVariants"]
    models = context.store.get_many(MODEL.name, {variant["ModelName"] for variant in variants})
    for variant in variants:
        model = models.get(variant["ModelName"])
        if model is None:
            yield hosting.missing(context, MODELS, variant["ModelName"]).message
        elif "ServerlessConfig" in variant and container_of(model.spec).get("Mode") == "MultiModel":
            yield (
                f"ProductionVariants {variant['VariantName']!r}: ServerlessConfig is not supported for the model "
                f"{model.name!r}, whose Mode is MultiModel"
            )


def _uris(request: Request) -> dict[str, str]:
    output = request.get("AsyncInferenceConfig", {}).get("OutputConfig", {})
    uris = {
        f"AsyncInferenceConfig.OutputConfig.{name}": output[name]
        for name in ("S3OutputPath", "S3FailurePath")
        if name in output
    }
    if "DataCaptureConfig" in request:
        uris["DataCaptureConfig.DestinationS3Uri"] = request["DataCaptureConfig"]["DestinationS3Uri"]
    return uris


RULES: tuple[Callable[[Request], Iterator[str]], ...] = (
    _whole,
    _variants,
    _together,
    _asynchronous,
    tags.faults,
)
