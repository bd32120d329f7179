"""ListExperiments, ListTrials, ListTrialComponents: newest first unless asked otherwise."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from clary.domain.experiments import EXPERIMENT_LINK, SOURCE_LINK, TRIAL_LINK
from clary.errors import ValidationException
from clary.services.experiment_rows import COMPONENTS, EXPERIMENTS, TRIALS, Noun, named
from clary.services.operations import Context, operation
from clary.services.pages import one_page
from clary.store.base import Resource, Where

Request = Mapping[str, Any]

CHOICES = ("ExperimentName", "TrialName", "SourceArn")


@operation("sagemaker", "ListExperiments")
def list_experiments(context: Context, request: Request) -> Request:
    """Every experiment, or those made in a stretch of time."""
    return _list(context, EXPERIMENTS, request, {})


@operation("sagemaker", "ListTrials")
def list_trials(context: Context, request: Request) -> Request:
    """Those of an experiment, those that a component is in, or all."""
    conditions: dict[str, Any] = {}
    if "ExperimentName" in request:
        experiment = named(context, EXPERIMENTS, request["ExperimentName"])
        conditions["links_to"] = (EXPERIMENT_LINK, experiment.arn)
    if "TrialComponentName" in request:
        component = named(context, COMPONENTS, request["TrialComponentName"])
        conditions["linked_from"] = (TRIAL_LINK, component.arn)
    return _list(context, TRIALS, request, conditions)


@operation("sagemaker", "ListTrialComponents")
def list_components(context: Context, request: Request) -> Request:
    """Those of an experiment, of a trial or of a job (ExperimentName, TrialName, SourceArn: one at most), or all."""
    given = [field for field in CHOICES if field in request]
    if len(given) > 1:
        raise ValidationException(
            f"Give one of {', '.join(CHOICES)} at most: {' and '.join(given)} were given"
        )
    conditions: dict[str, Any] = {}
    if "ExperimentName" in request:
        experiment = named(context, EXPERIMENTS, request["ExperimentName"])
        conditions["links_to"] = (f"{TRIAL_LINK}/{EXPERIMENT_LINK}", experiment.arn)
    elif "TrialName" in request:
        conditions["links_to"] = (TRIAL_LINK, named(context, TRIALS, request["TrialName"]).arn)
    elif "SourceArn" in request:
        conditions["links_to"] = (SOURCE_LINK, request["SourceArn"].lower())
    return _list(context, COMPONENTS, request, conditions)


def _list(context: Context, noun: Noun, request: Request, conditions: Mapping[str, Any]) -> dict[str, Any]:
    where = Where(
        created_after=request.get("CreatedAfter"), created_before=request.get("CreatedBefore"), **conditions
    )
    word = noun.field.removesuffix("Name")
    refusal = f"NextToken is not one that List{word}s gave out for this order"
    rows, token = one_page(context, noun.kind, where, request, refusal=refusal)
    return {f"{word}Summaries": [_summary(noun, row) for row in rows], **token}


def _summary(noun: Noun, row: Resource) -> dict[str, Any]:
    state = row.state
    wanted = ("DisplayName", "Status", "StartTime", "EndTime")
    source = noun.field.removesuffix("Name") + "Source"
    return {
        noun.field: row.spec[noun.field],
        noun.arn_field: row.arn,
        **{key: state[key] for key in wanted if key in state},
        **({source: state["Source"]} if "Source" in state else {}),
        "CreationTime": row.created,
        "LastModifiedTime": row.modified,
        **({"CreatedBy": {}, "LastModifiedBy": {}} if noun is COMPONENTS else {}),
    }
