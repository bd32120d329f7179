"""Training jobs: Create, Describe, Stop, Update, Delete. (`training_list` lists them, `training_rules` checks them.)"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

from clary.domain.kinds import TRAINING_JOB
from clary.domain.training import beginning, stopping
from clary.errors import ValidationException
from clary.services import jobs
from clary.services.operations import Context, operation
from clary.services.training_describe import describe
from clary.services.training_rules import check
from clary.store.base import Resource

Request = Mapping[str, Any]

NOUN = "training job"
UPDATABLE = frozenset({"Downloading", "Training"})


@operation("sagemaker", "CreateTrainingJob")
def create(context: Context, request: Request) -> Request:
    """Write down what is wanted; a controller makes it so."""
    check(context, request)
    job = Resource(**beginning(context.account, request, now=context.now()))
    return {"TrainingJobArn": jobs.create(context, job, request, noun=NOUN).arn}


@operation("sagemaker", "DescribeTrainingJob")
def describe_job(context: Context, request: Request) -> Request:
    """What was asked, what became of it so far, and why it failed."""
    return describe(jobs.find(context, TRAINING_JOB, request["TrainingJobName"]))


@operation("sagemaker", "StopTrainingJob")
def stop(context: Context, request: Request) -> Request:
    """Ask for the end: SIGTERM, the grace, SIGKILL; what the program left in its model folder is uploaded."""
    now = context.now()

    def ask(job: Resource) -> Resource:
        return replace(job, **stopping(job.status, job.state, now=now))

    jobs.stop(context, TRAINING_JOB, request["TrainingJobName"], ask, noun=NOUN)
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

    job = jobs.change(context, TRAINING_JOB, request["TrainingJobName"], merge)
    return {"TrainingJobArn": job.arn}


@operation("sagemaker", "DeleteTrainingJob")
def delete(context: Context, request: Request) -> Request:
    """Forget a finished job: its row, tags and log. Its trial component, with its metrics, and its objects stay."""
    jobs.delete(context, TRAINING_JOB, request["TrainingJobName"], noun=NOUN)
    return {}
