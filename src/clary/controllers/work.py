"""The table of what the job controller works on: what differs between kinds of jobs, so that its loop need not know."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from clary.agent.contract import Plan
from clary.controllers.plan import Station, processing_plan, training_plan
from clary.domain import processing, training
from clary.domain.kinds import PROCESSING_JOB, TRAINING_JOB, Kind
from clary.store.base import Resource

Document = Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class Work:
    """One kind. `noun` is what messages call a job; `running` its agent's word for a program that runs.

    `instances` reads type and number out of a request, `image` the image's URI; `plan` is what the agent at a station
    is to do.
    """

    kind: Kind
    noun: str
    running: str
    instances: Callable[[Document], tuple[str, int]]
    image: Callable[[Document], str]
    plan: Callable[[Resource, Station], Plan]

    def message(self, secondary: str) -> str:
        """Of a final secondary status."""
        noun = self.noun.capitalize()
        if secondary == "MaxRuntimeExceeded":
            return f"{noun} runtime exceeded MaxRuntimeInSeconds provided"
        return f"{noun} {secondary.lower()}"


WORK: Mapping[str, Work] = {
    work.kind.name: work
    for work in (
        Work(
            kind=TRAINING_JOB,
            noun="training job",
            running="Training",
            instances=training.instances,
            image=lambda spec: str(spec["AlgorithmSpecification"].get("TrainingImage", "")),
            plan=training_plan,
        ),
        Work(
            kind=PROCESSING_JOB,
            noun="processing job",
            running="Processing",
            instances=processing.instances,
            image=lambda spec: str(spec["AppSpecification"]["ImageUri"]),
            plan=processing_plan,
        ),
    )
}
