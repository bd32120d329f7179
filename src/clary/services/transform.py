"""Batch transform jobs: Create, Describe, Stop, List. (`transform_rules` checks them.)"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

from clary.domain.kinds import TRANSFORM_JOB
from clary.domain.transform import beginning, stopping
from clary.services import hosting, jobs
from clary.services.operations import Context, operation
from clary.services.transform_rules import check
from clary.store.base import Resource

Request = Mapping[str, Any]

NOUN = "transform job"


@operation("sagemaker", "CreateTransformJob")
def create(context: Context, request: Request) -> Request:
    """Take the objects of a bucket through a model; it may be deleted meanwhile."""
    model = hosting.find(context, hosting.MODELS, request["ModelName"])
    check(context, request, model.spec)
    job = Resource(**beginning(context.account, request, model.spec, now=context.now()))
    return {"TransformJobArn": jobs.create(context, job, request, noun=NOUN).arn}


@operation("sagemaker", "DescribeTransformJob")
def describe_job(context: Context, request: Request) -> Request:
    """What was asked, what became of it so far, and why it failed."""
    return describe(jobs.find(context, TRANSFORM_JOB, request["TransformJobName"]))


@operation("sagemaker", "StopTransformJob")
def stop(context: Context, request: Request) -> Request:
    """Ask for the end: objects that are not done leave no output, those that are keep theirs."""
    now = context.now()

    def ask(job: Resource) -> Resource:
        return replace(job, **stopping(job.status, job.state, now=now))

    jobs.stop(context, TRANSFORM_JOB, request["TransformJobName"], ask, noun=NOUN)
    return {}


@operation("sagemaker", "ListTransformJobs")
def list_transform_jobs(context: Context, request: Request) -> Request:
    """Newest first unless asked otherwise."""
    wanted = (request["StatusEquals"],) if "StatusEquals" in request else ()
    found, token = jobs.listed(
        context, TRANSFORM_JOB, request, operation="ListTransformJobs", statuses=wanted
    )
    return {"TransformJobSummaries": [_summary(job) for job in found], **token}


def describe(job: Resource) -> dict[str, Any]:
    """The members of DescribeTransformJobResponse that are known by now."""
    known = {
        **job.spec,
        "TransformJobName": job.name,
        "TransformJobArn": job.arn,
        "TransformJobStatus": job.status,
        "CreationTime": job.created,
        "TransformStartTime": job.state.get("started"),
        "TransformEndTime": job.state.get("ended"),
        "FailureReason": job.state.get("reason"),
    }
    return {key: value for key, value in known.items() if value is not None}


def _summary(job: Resource) -> dict[str, Any]:
    known = {
        "TransformJobName": job.name,
        "TransformJobArn": job.arn,
        "TransformJobStatus": job.status,
        "CreationTime": job.created,
        "LastModifiedTime": job.modified,
        "TransformEndTime": job.state.get("ended"),
        "FailureReason": job.state.get("reason"),
    }
    return {key: value for key, value in known.items() if value is not None}
