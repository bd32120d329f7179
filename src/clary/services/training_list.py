"""ListTrainingJobs, with the quirk that a filter by status looks at each page only after it was cut."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from clary.domain.kinds import TRAINING_JOB
from clary.services import jobs
from clary.services.operations import Context, operation
from clary.store.base import Resource

Request = Mapping[str, Any]


@operation("sagemaker", "ListTrainingJobs")
def list_training_jobs(context: Context, request: Request) -> Request:
    """Newest first unless asked otherwise, which is what users of boto3 see (the published default differs)."""
    found, token = jobs.listed(context, TRAINING_JOB, request, operation="ListTrainingJobs")
    summaries = [_summary(job) for job in found if _is_wanted(job, request)]
    return {"TrainingJobSummaries": summaries, **token}


def _is_wanted(job: Resource, request: Request) -> bool:
    if request.get("WarmPoolStatusEquals") or request.get("TrainingPlanArnEquals"):
        return False  # no job has a warm pool or a training plan
    wanted: str = request.get("StatusEquals", job.status)
    return job.status == wanted


def _summary(job: Resource) -> dict[str, Any]:
    summary = {
        "TrainingJobName": job.name,
        "TrainingJobArn": job.arn,
        "CreationTime": job.created,
        "LastModifiedTime": job.modified,
        "TrainingJobStatus": job.status,
        "SecondaryStatus": job.state["secondary"],
    }
    return {**summary, **({"TrainingEndTime": job.state["ended"]} if "ended" in job.state else {})}
