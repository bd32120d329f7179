"""How a transform job begins and how it is asked to end. Its instances and its model, as its row has them."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from clary.domain import jobs
from clary.domain.kinds import TRANSFORM_JOB
from clary.domain.names import Account

Document = Mapping[str, Any]


def beginning(account: Account, request: Document, model: Document, *, now: float) -> dict[str, Any]:
    """The fields of the row of a new job. `request` is CreateTransformJob's, `model` the spec of its model.

    The state keeps a copy of the model, which may change or go while the job waits and runs.
    """
    return jobs.beginning(
        TRANSFORM_JOB,
        account,
        request["TransformJobName"],
        request,
        message="Starting the transform job",
        now=now,
        state={"model": dict(model)},
    )


def stopping(status: str, state: Document, *, now: float) -> dict[str, Any]:
    """The fields that change when a job is asked to stop: none when it is stopping already, or has ended."""
    return jobs.stopping(TRANSFORM_JOB, status, state, message="Stopping the transform job", now=now)


def instances(spec: Document) -> tuple[str, int]:
    """Their type and how many."""
    resources = spec["TransformResources"]
    return resources["InstanceType"], resources["InstanceCount"]
