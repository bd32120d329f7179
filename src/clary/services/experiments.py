"""Experiments, trials, trial components: Create, Describe, Update, Delete, Associate. (`experiments_list` lists.)"""

from __future__ import annotations

from collections.abc import Mapping
from math import isfinite
from typing import Any

from clary.domain.experiments import EXPERIMENT_LINK, MAPS, TRIAL_LINK, series_of
from clary.errors import ValidationException
from clary.services.experiment_rows import (
    COMPONENTS,
    EXPERIMENTS,
    TRIALS,
    create,
    delete,
    find,
    named,
    shown,
    update,
)
from clary.services.operations import Context, operation
from clary.store.base import Link, Resource, Summary

Request = Mapping[str, Any]

REPLACED = ("DisplayName", "Status", "StartTime", "EndTime")


# -- experiments


@operation("sagemaker", "CreateExperiment")
def create_experiment(context: Context, request: Request) -> Request:
    """Names are compared without case."""
    return create(context, EXPERIMENTS, request)


@operation("sagemaker", "DescribeExperiment")
def describe_experiment(context: Context, request: Request) -> Request:
    """What was given, and when it was made and changed."""
    return shown(EXPERIMENTS, find(context, EXPERIMENTS, request))


@operation("sagemaker", "UpdateExperiment")
def update_experiment(context: Context, request: Request) -> Request:
    """Change the display name and the description; an empty description removes it."""

    def merge(state: Request) -> Request:
        merged = {**state, **{key: request[key] for key in EXPERIMENTS.members if key in request}}
        return {key: value for key, value in merged.items() if value != ""}

    return update(context, EXPERIMENTS, request, merge)


@operation("sagemaker", "DeleteExperiment")
def delete_experiment(context: Context, request: Request) -> Request:
    """Refused while it has trials."""
    return delete(context, EXPERIMENTS, request)


# -- trials


@operation("sagemaker", "CreateTrial")
def create_trial(context: Context, request: Request) -> Request:
    """In an experiment that exists."""
    experiment = named(context, EXPERIMENTS, request["ExperimentName"])
    return create(context, TRIALS, request, link=(EXPERIMENT_LINK, experiment.arn))


@operation("sagemaker", "DescribeTrial")
def describe_trial(context: Context, request: Request) -> Request:
    """What was given, and when it was made and changed."""
    row = find(context, TRIALS, request)
    return {**shown(TRIALS, row), "ExperimentName": row.spec["ExperimentName"]}


@operation("sagemaker", "UpdateTrial")
def update_trial(context: Context, request: Request) -> Request:
    """Change the display name."""
    given = {key: request[key] for key in TRIALS.members if key in request}
    return update(context, TRIALS, request, lambda state: {**state, **given})


@operation("sagemaker", "DeleteTrial")
def delete_trial(context: Context, request: Request) -> Request:
    """Refused while it has trial components."""
    return delete(context, TRIALS, request)


# -- components


@operation("sagemaker", "CreateTrialComponent")
def create_component(context: Context, request: Request) -> Request:
    """One that no job made; each job's own is made with the job."""
    _check_parameters(request)
    return create(context, COMPONENTS, request)


@operation("sagemaker", "DescribeTrialComponent")
def describe_component(context: Context, request: Request) -> Request:
    """Parameters, artifacts, status, and statistics of the metrics: its own and those of its job. Takes an ARN too."""
    row = find(context, COMPONENTS, request)
    return {**shown(COMPONENTS, row), "Metrics": metrics_of(context, row)}


@operation("sagemaker", "UpdateTrialComponent")
def update_component(context: Context, request: Request) -> Request:
    """Parameters and artifacts are added, or replace those of the same name; `...ToRemove` removes."""
    _check_parameters(request)
    return update(context, COMPONENTS, request, lambda state: _merged(state, request))


@operation("sagemaker", "DeleteTrialComponent")
def delete_component(context: Context, request: Request) -> Request:
    """With its metrics. Refused while it is in a trial."""
    return delete(context, COMPONENTS, request)


def _merged(state: Request, request: Request) -> Request:
    merged = {**state, **{key: request[key] for key in REPLACED if key in request}}
    for member in MAPS:
        together = {**state.get(member, {}), **request.get(member, {})}
        removed = request.get(f"{member}ToRemove", ())
        merged[member] = {key: value for key, value in together.items() if key not in removed}
    return merged


def _check_parameters(request: Request) -> None:
    for name, value in request.get("Parameters", {}).items():
        if len(value) != 1:
            raise ValidationException(
                f"Parameters.{name} must have exactly one of StringValue and NumberValue"
            )
        if not isfinite(value.get("NumberValue", 0.0)):
            raise ValidationException(
                f"Parameters.{name}.NumberValue must be a finite number: give {value['NumberValue']} as StringValue"
            )


def metrics_of(context: Context, row: Resource) -> list[dict[str, Any]]:
    """TrialComponentMetricSummary of each metric of a component and of the job it was made for."""
    sources = series_of(row)
    return [metric_summary(each, sources[each.series]) for each in context.store.summaries(sources)]


def metric_summary(summary: Summary, arn: str) -> dict[str, Any]:
    """`arn`: of the component, or of the job, that the metric belongs to."""
    return {
        "MetricName": summary.metric,
        "SourceArn": arn,
        "TimeStamp": summary.last_at,
        "Max": summary.maximum,
        "Min": summary.minimum,
        "Last": summary.last,
        "Count": summary.count,
        "Avg": summary.mean,
        "StdDev": summary.deviation,
    }


# -- components in trials


@operation("sagemaker", "AssociateTrialComponent")
def associate(context: Context, request: Request) -> Request:
    """Put a component into a trial; it may be in several. Doing it again is no fault."""
    component, trial = _pair(context, request)
    context.store.link(Link(component.arn, trial.arn, TRIAL_LINK, context.now()))
    context.changed()
    return {"TrialComponentArn": component.arn, "TrialArn": trial.arn}


@operation("sagemaker", "DisassociateTrialComponent")
def disassociate(context: Context, request: Request) -> Request:
    """Take a component out of a trial. That it was not in it is no fault."""
    component, trial = _pair(context, request)
    context.store.unlink(component.arn, trial.arn, kind=TRIAL_LINK)
    context.changed()
    return {"TrialComponentArn": component.arn, "TrialArn": trial.arn}


def _pair(context: Context, request: Request) -> tuple[Resource, Resource]:
    return find(context, COMPONENTS, request), find(context, TRIALS, request)
