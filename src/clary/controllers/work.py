"""The table of what the job controller works on: what differs between kinds of jobs, so that its loop need not know."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from clary.agent.contract import Plan
from clary.controllers.plan import Station, processing_plan, training_plan
from clary.controllers.plan_serving import serving_plan
from clary.controllers.plan_transform import transform_plan
from clary.domain import processing, training, transform
from clary.domain.endpoints import container_of
from clary.domain.kinds import ENDPOINT_INSTANCE, PROCESSING_JOB, TRAINING_JOB, TRANSFORM_JOB, Kind
from clary.runners.instances import InstanceTypes, Request
from clary.store.base import Resource

Document = Mapping[str, Any]


def _by_type(spec: Document, types: InstanceTypes, instance_type: str) -> Request:  # noqa: ARG001
    return types.request(instance_type)


def _own_series(job: Resource) -> str:
    return f"{job.kind}/{job.name}"


@dataclass(frozen=True, slots=True)
class Work:
    """One kind. `noun` is what messages call a job; `running` its agent's word for a program that runs.

    `instances` reads type and number out of a request, `image` the image's URI out of a row; `plan` is what the agent
    at a station is to do. `request` is what one instance takes of the machine, and `series` where a job's metrics go.
    Where hosts work for themselves (`alone`), one that fails does not end the others.

    What does not wait `in_line` starts as soon as its memory and GPUs are free, whoever waits, and takes no CPU from
    the count: it is idle most of the time, and nobody knows when it ends.
    """

    kind: Kind
    noun: str
    running: str
    instances: Callable[[Document], tuple[str, int]]
    image: Callable[[Resource], str]
    plan: Callable[[Resource, Station], Plan]
    request: Callable[[Document, InstanceTypes, str], Request] = _by_type
    series: Callable[[Resource], str] = _own_series
    in_line: bool = True
    alone: bool = False

    def message(self, secondary: str) -> str:
        """Of a final secondary status."""
        noun = self.noun.capitalize()
        if secondary == "MaxRuntimeExceeded":
            return f"{noun} runtime exceeded MaxRuntimeInSeconds provided"
        return f"{noun} {secondary.lower()}"


MIB_PER_CPU = 2048  # of a serverless instance


def _of_instance(spec: Document, types: InstanceTypes, instance_type: str) -> Request:
    """A serverless one has the memory of its class, and a CPU for each 2 GB of it."""
    serverless = spec.get("ServerlessConfig")
    if not serverless:
        return types.request(instance_type)
    mib = serverless["MemorySizeInMB"]
    return Request(cpus=max(1, mib // MIB_PER_CPU), memory_gib=mib / 1024)


WORK: Mapping[str, Work] = {
    work.kind.name: work
    for work in (
        Work(
            kind=TRAINING_JOB,
            noun="training job",
            running="Training",
            instances=training.instances,
            image=lambda job: str(job.spec["AlgorithmSpecification"].get("TrainingImage", "")),
            plan=training_plan,
        ),
        Work(
            kind=PROCESSING_JOB,
            noun="processing job",
            running="Processing",
            instances=processing.instances,
            image=lambda job: str(job.spec["AppSpecification"]["ImageUri"]),
            plan=processing_plan,
        ),
        Work(
            kind=TRANSFORM_JOB,
            noun="transform job",
            running="Transforming",
            instances=transform.instances,
            image=lambda job: str(container_of(job.state["model"]).get("Image", "")),
            plan=transform_plan,
            alone=True,
        ),
        Work(
            kind=ENDPOINT_INSTANCE,
            noun="instance",
            running="Loading",
            instances=lambda spec: (str(spec["InstanceType"]), 1),
            image=lambda job: str(container_of(job.spec["Model"]).get("Image", "")),
            plan=serving_plan,
            request=_of_instance,
            series=lambda job: f"endpoint/{job.spec['EndpointName']}/{job.spec['VariantName']}",
            in_line=False,
        ),
    )
}
