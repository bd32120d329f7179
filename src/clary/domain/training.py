"""How a training job begins and how it is asked to end, whoever asks: a user's request or a tuning job."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from clary.domain import jobs
from clary.domain.kinds import TRAINING_JOB
from clary.domain.names import Account

Document = Mapping[str, Any]


def beginning(
    account: Account, request: Document, *, now: float, state: Document | None = None
) -> dict[str, Any]:
    """The fields of the row of a new job. `request` is CreateTrainingJob's; `state` is kept beside the story.

    Tags are no part of a row: they go to the store beside it.
    """
    return jobs.beginning(
        TRAINING_JOB,
        account,
        request["TrainingJobName"],
        request,
        message="Starting the training job",
        now=now,
        state=state,
    )


def stopping(status: str, state: Document, *, now: float, why: str = "") -> dict[str, Any]:
    """The fields that change when a job is asked to stop: none when it is stopping already, or has ended.

    `why` is told in the message of its status, where it was not the user who asked.
    """
    message = f"Stopping the training job: {why}" if why else "Stopping the training job"
    return jobs.stopping(TRAINING_JOB, status, state, message=message, now=now)


def instances(spec: Document) -> tuple[str, int]:
    """Their type and how many, whether they were asked for plainly or as groups (of one type)."""
    resources = spec["ResourceConfig"]
    groups = resources.get("InstanceGroups")
    if groups:
        return groups[0]["InstanceType"], sum(group.get("InstanceCount", 1) for group in groups)
    return resources["InstanceType"], resources.get("InstanceCount", 1)


def is_interrupted(status: str, state: Document) -> bool:
    """True when a job failed through no fault of its own: the platform's."""
    return status == "Failed" and str(state.get("reason", "")).startswith("InternalServerError")
