"""How a training job begins and how it is asked to end, whoever asks: a user's request or a tuning job."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from clary.domain.kinds import TRAINING_JOB
from clary.domain.names import Account
from clary.domain.transitions import enter

Document = Mapping[str, Any]


def beginning(
    account: Account, request: Document, *, now: float, state: Document | None = None
) -> dict[str, Any]:
    """The fields of the row of a new job. `request` is CreateTrainingJob's; `state` is kept beside the story.

    Tags are no part of a row: they go to the store beside it.
    """
    name = request["TrainingJobName"]
    return {
        "kind": TRAINING_JOB.name,
        "name": name,
        "arn": account.sagemaker(TRAINING_JOB.name, name),
        "status": TRAINING_JOB.first,
        "spec": {key: value for key, value in request.items() if key != "Tags"},
        "state": enter(state or {}, "Starting", "Starting the training job", at=now),
        "created": now,
        "modified": now,
        "due": now,
    }


def stopping(status: str, state: Document, *, now: float, why: str = "") -> dict[str, Any]:
    """The fields that change when a job is asked to stop: none when it is stopping already, or has ended.

    `why` is told in the message of its status, where it was not the user who asked.
    """
    if status == "Stopping" or TRAINING_JOB.is_final(status):
        return {}
    message = f"Stopping the training job: {why}" if why else "Stopping the training job"
    asked = enter(state, "Stopping", message, at=now)
    return {"status": "Stopping", "state": asked, "modified": now, "due": now}


def is_interrupted(status: str, state: Document) -> bool:
    """True when a job failed through no fault of its own: the platform's."""
    return status == "Failed" and str(state.get("reason", "")).startswith("InternalServerError")
