"""Training jobs: Create, Describe, Stop, Update, Delete. (`training_list` lists them, `training_rules` checks them.)"""

from __future__ import annotations

import shutil
from collections.abc import Mapping
from dataclasses import replace
from typing import Any

from clary.domain.kinds import TRAINING_JOB
from clary.domain.training import beginning, stopping
from clary.errors import ResourceInUse, ValidationException
from clary.services.job_records import create_job, delete_job, note_stop
from clary.services.operations import Context, operation
from clary.services.training_describe import describe
from clary.services.training_rules import check
from clary.store.base import AlreadyExists, Resource

Request = Mapping[str, Any]

KIND = TRAINING_JOB.name
UPDATABLE = frozenset({"Downloading", "Training"})


@operation("sagemaker", "CreateTrainingJob")
def create(context: Context, request: Request) -> Request:
    """Write down what is wanted; a controller makes it so."""
    check(context, request)
    job = Resource(**beginning(context.account, request, now=context.now()))
    tags = {tag["Key"]: tag["Value"] for tag in request.get("Tags", ())}
    try:
        create_job(context, job, tags=tags)
    except AlreadyExists as taken:
        raise ResourceInUse(
            "Training job names must be unique within an AWS account and region, and a training job with "
            f"this name already exists ({taken.resource.arn})"
        ) from None
    context.changed()
    return {"TrainingJobArn": job.arn}


@operation("sagemaker", "DescribeTrainingJob")
def describe_job(context: Context, request: Request) -> Request:
    """What was asked, what became of it so far, and why it failed."""
    return describe(_job(context, request))


@operation("sagemaker", "StopTrainingJob")
def stop(context: Context, request: Request) -> Request:
    """Ask for the end: SIGTERM, the grace, SIGKILL; what the program left in its model folder is uploaded."""
    now = context.now()

    def ask(job: Resource) -> Resource:
        if TRAINING_JOB.is_final(job.status):
            raise ValidationException(
                f"The request was rejected because the training job is in status {job.status}."
            )
        return replace(job, **stopping(job.status, job.state, now=now))

    note_stop(context, _change(context, request, ask))
    return {}


@operation("sagemaker", "UpdateTrainingJob")
def update(context: Context, request: Request) -> Request:
    """Change what may change while a job runs: profiler, keep-alive period, remote debugging."""
    now = context.now()

    def merge(job: Resource) -> Resource:
        if job.state["secondary"] not in UPDATABLE:
            raise ValidationException(
                "The request was rejected because the training job can be updated only while its secondary "
                f"status is Downloading or Training; it is {job.state['secondary']}."
            )
        spec = dict(job.spec)
        for field in ("ProfilerConfig", "ResourceConfig", "RemoteDebugConfig"):
            if field in request:
                spec[field] = {**spec.get(field, {}), **request[field]}
        if "ProfilerRuleConfigurations" in request:
            spec["ProfilerRuleConfigurations"] = request["ProfilerRuleConfigurations"]
        return replace(job, spec=spec, modified=now)

    job = _change(context, request, merge)
    return {"TrainingJobArn": job.arn}


@operation("sagemaker", "DeleteTrainingJob")
def delete(context: Context, request: Request) -> Request:
    """Forget a finished job: its row, tags and log. Its trial component, with its metrics, and its objects stay."""
    while True:
        job = _job(context, request)
        if not TRAINING_JOB.is_final(job.status):
            raise ResourceInUse(
                f"The training job {job.name} is in status {job.status}: stop it, or wait until it has ended."
            )
        # never a later job of this name, made after somebody else had deleted this one
        if delete_job(context, job):
            break
    if folder := job.state.get("folder"):
        shutil.rmtree(context.settings.jobs / folder, ignore_errors=True)
    context.changed()
    return {}


def _job(context: Context, request: Request) -> Resource:
    name = request["TrainingJobName"]
    # a program in a job knows its name from its ARN only, where it is in lower case
    job = context.store.get(KIND, name) or context.store.find(context.account.sagemaker(KIND, name))
    if job is None:
        raise ValidationException("Requested resource not found.")
    return job


def _change(context: Context, request: Request, change: Any) -> Resource:
    job = context.store.update(KIND, request["TrainingJobName"], change)
    if job is None:
        raise ValidationException("Requested resource not found.")
    context.changed()
    return job
