"""ListTrainingJobs, with the quirk that a filter by status looks at each page only after it was cut."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from clary.domain.kinds import TRAINING_JOB
from clary.errors import ValidationException
from clary.services.operations import Context, operation
from clary.store.base import Page, Resource, SortKey, Where

Request = Mapping[str, Any]

SORTS: Mapping[str, SortKey] = {"Name": "name", "CreationTime": "created", "Status": "status"}


@operation("sagemaker", "ListTrainingJobs")
def list_training_jobs(context: Context, request: Request) -> Request:
    """Newest first unless asked otherwise, which is what users of boto3 see (the published default differs)."""
    where = Where(
        name_contains=request.get("NameContains"),
        created_after=request.get("CreationTimeAfter"),
        created_before=request.get("CreationTimeBefore"),
        modified_after=request.get("LastModifiedTimeAfter"),
        modified_before=request.get("LastModifiedTimeBefore"),
    )
    page = Page(
        sort=SORTS[request.get("SortBy", "CreationTime")],
        descending=request.get("SortOrder", "Descending") == "Descending",
        limit=request.get("MaxResults", 10),
        after=request.get("NextToken"),
    )
    try:
        jobs, following = context.store.list(TRAINING_JOB.name, where, page)
    except ValueError:
        raise ValidationException("NextToken is not one that ListTrainingJobs gave out") from None
    summaries = [_summary(job) for job in jobs if _is_wanted(job, request)]
    return {"TrainingJobSummaries": summaries, **({"NextToken": following} if following else {})}


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
