"""Processing jobs: Create, Describe, Stop, List, Delete. (`processing_rules` checks them.)"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

from clary.domain.kinds import PROCESSING_JOB
from clary.domain.processing import beginning, instances, stopping
from clary.services import jobs
from clary.services.operations import Context, operation
from clary.services.processing_rules import check
from clary.store.base import Resource

Request = Mapping[str, Any]

NOUN = "processing job"
DEFAULT_RUNTIME_S = 86_400


@operation("sagemaker", "CreateProcessingJob")
def create(context: Context, request: Request) -> Request:
    """Write down what is wanted; a controller makes it so."""
    check(context, request)
    job = Resource(**beginning(context.account, request, now=context.now()))
    return {"ProcessingJobArn": jobs.create(context, job, request, noun=NOUN).arn}


@operation("sagemaker", "DescribeProcessingJob")
def describe_job(context: Context, request: Request) -> Request:
    """What was asked, what became of it so far, its exit message, and why it failed."""
    return describe(jobs.find(context, PROCESSING_JOB, request["ProcessingJobName"]))


@operation("sagemaker", "StopProcessingJob")
def stop(context: Context, request: Request) -> Request:
    """Ask for the end: SIGTERM, the grace, SIGKILL; what lies in the outputs' folders then is uploaded."""
    now = context.now()

    def ask(job: Resource) -> Resource:
        return replace(job, **stopping(job.status, job.state, now=now))

    jobs.stop(context, PROCESSING_JOB, request["ProcessingJobName"], ask, noun=NOUN)
    return {}


@operation("sagemaker", "ListProcessingJobs")
def list_processing_jobs(context: Context, request: Request) -> Request:
    """Newest first unless asked otherwise, which is what users of boto3 see (the published default differs)."""
    wanted = (request["StatusEquals"],) if "StatusEquals" in request else ()
    found, token = jobs.listed(
        context, PROCESSING_JOB, request, operation="ListProcessingJobs", statuses=wanted
    )
    return {"ProcessingJobSummaries": [_summary(job) for job in found], **token}


@operation("sagemaker", "DeleteProcessingJob")
def delete(context: Context, request: Request) -> Request:
    """Forget a finished job: its row, tags and log. Its trial component, with its metrics, and its outputs stay."""
    jobs.delete(context, PROCESSING_JOB, request["ProcessingJobName"], noun=NOUN)
    return {}


def describe(job: Resource) -> dict[str, Any]:
    """The members of DescribeProcessingJobResponse that are known by now."""
    spec = job.spec
    cluster = spec["ProcessingResources"]["ClusterConfig"]
    return {
        "StoppingCondition": {"MaxRuntimeInSeconds": DEFAULT_RUNTIME_S},
        **spec,
        # clients read the count without a guard
        "ProcessingResources": {"ClusterConfig": {**cluster, "InstanceCount": instances(spec)[1]}},
        **({"ProcessingStartTime": job.state["started"]} if "started" in job.state else {}),
        **_summary(job),
    }


def _summary(job: Resource) -> dict[str, Any]:
    known = {
        "ProcessingJobName": job.name,
        "ProcessingJobArn": job.arn,
        "ProcessingJobStatus": job.status,
        "CreationTime": job.created,
        "LastModifiedTime": job.modified,
        "ProcessingEndTime": job.state.get("ended"),
        "FailureReason": job.state.get("reason"),
        "ExitMessage": job.state.get("exit_message"),
    }
    return {key: value for key, value in known.items() if value is not None}
