"""Tuning jobs: Create, Describe, Stop, Delete. (`tuning_list` lists them and their children, `tuning_rules` checks.)"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

from clary.domain.kinds import TUNING_JOB
from clary.services import jobs
from clary.services.operations import Context, operation
from clary.services.tuning_autotune import filled
from clary.services.tuning_describe import describe
from clary.services.tuning_rules import check
from clary.services.tuning_warmstart import inheritance
from clary.store.base import Resource

Request = Mapping[str, Any]

KIND = TUNING_JOB.name
NOUN = "hyperparameter tuning job"
SEED_DIGITS = 8


@operation("sagemaker", "CreateHyperParameterTuningJob")
def create(context: Context, request: Request) -> Request:
    """Write down the study that is wanted, once everything that could fail later was looked at."""
    spec = filled({key: value for key, value in request.items() if key != "Tags"})
    check(context, {**spec, "Tags": request.get("Tags", ())})
    now = context.now()
    name = request["HyperParameterTuningJobName"]
    seed = spec["HyperParameterTuningJobConfig"].get("RandomSeed")
    state = {
        "seed": int(context.new_id(SEED_DIGITS), 16) if seed is None else seed,
        "children": {},
        "best": None,
        **inheritance(context, spec),
    }
    study = Resource(
        kind=KIND,
        name=name,
        arn=context.account.sagemaker(KIND, name),
        status=TUNING_JOB.first,
        spec=spec,
        state=state,
        created=now,
        modified=now,
        due=now,
    )
    return {"HyperParameterTuningJobArn": jobs.create(context, study, request, noun=NOUN).arn}


@operation("sagemaker", "DescribeHyperParameterTuningJob")
def describe_study(context: Context, request: Request) -> Request:
    """What was asked, how far it is, the best child so far, and why it ended."""
    return describe(context, find(context, request))


@operation("sagemaker", "StopHyperParameterTuningJob")
def stop(context: Context, request: Request) -> Request:
    """Start no further child and stop those that run. What they have done so far stays."""
    now = context.now()

    def ask(study: Resource) -> Resource:
        if study.status == "Stopping":
            return study
        return replace(study, status="Stopping", modified=now, due=now)

    jobs.stop(context, TUNING_JOB, request["HyperParameterTuningJobName"], ask, noun=NOUN)
    return {}


@operation("sagemaker", "DeleteHyperParameterTuningJob")
def delete(context: Context, request: Request) -> Request:
    """Forget a study that has ended, with its tags. Its children, and its experiment, stay."""
    jobs.delete(context, TUNING_JOB, request["HyperParameterTuningJobName"], noun=NOUN)
    return {}


def find(context: Context, request: Request) -> Resource:
    return jobs.find(context, TUNING_JOB, request["HyperParameterTuningJobName"])
