"""How a processing job begins and how it is asked to end. Its instances, as its request has them."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from clary.domain import jobs
from clary.domain.kinds import PROCESSING_JOB
from clary.domain.names import Account

Document = Mapping[str, Any]


def beginning(
    account: Account, request: Document, *, now: float, state: Document | None = None
) -> dict[str, Any]:
    """The fields of the row of a new job. `request` is CreateProcessingJob's; `state` is kept beside the story."""
    return jobs.beginning(
        PROCESSING_JOB,
        account,
        request["ProcessingJobName"],
        request,
        message="Starting the processing job",
        now=now,
        state=state,
    )


def stopping(status: str, state: Document, *, now: float) -> dict[str, Any]:
    """The fields that change when a job is asked to stop: none when it is stopping already, or has ended."""
    return jobs.stopping(PROCESSING_JOB, status, state, message="Stopping the processing job", now=now)


def instances(spec: Document) -> tuple[str, int]:
    """Their type and how many: one where nothing is said."""
    cluster = spec["ProcessingResources"]["ClusterConfig"]
    return cluster["InstanceType"], cluster.get("InstanceCount", 1)
