"""DescribeHyperParameterTuningJob, and the summary of a child that lists show too.

The clients read much of it without a guard: all three lists of ranges, both forms of the resources, and the name of
the objective among the static hyperparameters.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from clary.domain import studies
from clary.domain.kinds import TRAINING_JOB
from clary.domain.names import Account
from clary.services.operations import Context
from clary.store.base import Resource
from clary.tuning.requests import final_value

Document = Mapping[str, Any]

FINAL = frozenset({"Completed", "Failed", "Stopped"})


def describe(context: Context, study: Resource) -> dict[str, Any]:
    """The members of DescribeHyperParameterTuningJobResponse that are known by now."""
    spec, state = study.spec, study.state
    children = live(context, study)
    best = studies.best_child(children, maximize=studies.maximizes(spec))
    known: dict[str, Any] = {
        **{key: value for key, value in spec.items() if key in {"WarmStartConfig", "Autotune"}},
        "HyperParameterTuningJobName": study.name,
        "HyperParameterTuningJobArn": study.arn,
        "HyperParameterTuningJobConfig": _config(spec),
        **_definitions(spec),
        "HyperParameterTuningJobStatus": study.status,
        "CreationTime": study.created,
        "LastModifiedTime": study.modified,
        "HyperParameterTuningEndTime": state.get("ended"),
        **counters(children),
        "BestTrainingJob": summary(context.account, study, best, children[best]) if best else None,
        "OverallBestTrainingJob": _overall(context.account, study, best, children),
        "FailureReason": state.get("ending", {}).get("reason") or warning(children),
        "TuningJobCompletionDetails": state.get("details"),
        "ConsumedResources": {"RuntimeInSeconds": studies.seconds_consumed(children.values())},
    }
    return {key: value for key, value in known.items() if value is not None}


def live(context: Context, study: Resource) -> dict[str, dict[str, Any]]:
    """The study's children as they are at this moment; those that are only planned are left out."""
    children: dict[str, dict[str, Any]] = {}
    given = studies.definitions(study.spec)
    for name, child in study.state["children"].items():
        if not studies.is_open(child):
            children[name] = dict(child)
            continue
        row = context.store.get(TRAINING_JOB.name, name)
        if row is None:
            continue
        if row.status in FINAL:
            children[name] = _ended(context, study.spec, given[child["definition"]], child, row)
        else:
            children[name] = {**child, "running": row.status, "created": row.created}
            if "started" in row.state:
                children[name]["started"] = row.state["started"]
    return children


def _ended(
    context: Context, spec: Document, definition: Document, child: Document, row: Resource
) -> dict[str, Any]:
    """As the study's controller will soon note it."""
    metric = str(studies.objective(spec, definition)["MetricName"])

    def curve() -> list[float]:
        return [point.value for point in context.store.points(f"{TRAINING_JOB.name}/{row.name}", metric)]

    return studies.noted(child, row, final_value(spec, definition, row, curve))


def counters(children: Mapping[str, Document]) -> dict[str, Any]:
    return {
        "TrainingJobStatusCounters": studies.status_counters(children.values()),
        "ObjectiveStatusCounters": studies.objective_counters(children.values()),
    }


def warning(children: Mapping[str, Document]) -> str | None:
    """While no child has given a value: what was found out about the first that should have."""
    if any(studies.value_of(child) is not None for child in children.values()):
        return None
    silent = (c for c in children.values() if c.get("status") == "Completed" and c.get("reason"))
    return next((str(child["reason"]) for child in silent), None)


def summary(account: Account, study: Resource, name: str, child: Document) -> dict[str, Any]:
    """HyperParameterTrainingJobSummary."""
    definition = studies.definitions(study.spec)[child["definition"]]
    goal = studies.objective(study.spec, definition)
    known = {
        "TrainingJobDefinitionName": definition.get("DefinitionName"),
        "TrainingJobName": name,
        "TrainingJobArn": account.sagemaker(TRAINING_JOB.name, name),
        "CreationTime": child["created"],
        "TrainingStartTime": child.get("started"),
        "TrainingEndTime": child.get("ended"),
        "TrainingJobStatus": child.get("status") or child.get("running", "InProgress"),
        "TunedHyperParameters": child["values"],
        "FailureReason": child.get("reason"),
        "ObjectiveStatus": studies.objective_status(child),
    }
    if child.get("objective") is not None:
        known["FinalHyperParameterTuningJobObjectiveMetric"] = {
            "Type": goal["Type"],
            "MetricName": goal["MetricName"],
            "Value": child["objective"],
        }
    return {key: value for key, value in known.items() if value is not None}


def _overall(
    account: Account, study: Resource, best: str | None, children: Mapping[str, Document]
) -> dict[str, Any] | None:
    """The best of this study and its parents, which have the same data and algorithm."""
    warm_start = study.spec.get("WarmStartConfig", {})
    if warm_start.get("WarmStartType") != "IdenticalDataAndAlgorithm":
        return None
    own = {**summary(account, study, best, children[best]), "TuningJobName": study.name} if best else None
    inherited: dict[str, Any] | None = study.state.get("parents_best")
    if own is None or inherited is None:
        return own or inherited
    sign = 1 if studies.maximizes(study.spec) else -1
    key = "FinalHyperParameterTuningJobObjectiveMetric"
    return own if sign * own[key]["Value"] >= sign * inherited[key]["Value"] else inherited


def _config(spec: Document) -> dict[str, Any]:
    config = dict(spec["HyperParameterTuningJobConfig"])
    config.setdefault("TrainingJobEarlyStoppingType", "Off")
    if "TrainingJobDefinitions" not in spec or "ParameterRanges" in config:
        config["ParameterRanges"] = _ranges(config.get("ParameterRanges", {}))
    return config


def _ranges(ranges: Document) -> dict[str, Any]:
    return {**{name: [] for name in studies.RANGE_LISTS}, **ranges}


def _definitions(spec: Document) -> dict[str, Any]:
    if "TrainingJobDefinitions" in spec:
        several = [_definition(spec, each) for each in spec["TrainingJobDefinitions"]]
        return {"TrainingJobDefinitions": several}
    return {"TrainingJobDefinition": _definition(spec, spec["TrainingJobDefinition"])}


def _definition(spec: Document, definition: Document) -> dict[str, Any]:
    objective = studies.objective(spec, definition).get("MetricName", "")
    output = {"KmsKeyId": "", **definition["OutputDataConfig"]}
    known = {
        **definition,
        "StaticHyperParameters": {
            **definition.get("StaticHyperParameters", {}),
            studies.OBJECTIVE_PARAMETER: objective,
        },
        "ResourceConfig": studies.resource_config(definition),
        "HyperParameterTuningResourceConfig": studies.tuning_resource_config(definition),
        "OutputDataConfig": output,
        **{flag: definition.get(flag, False) for flag in FLAGS},
    }
    if "HyperParameterRanges" in definition:
        known["HyperParameterRanges"] = _ranges(definition["HyperParameterRanges"])
    return known


FLAGS = ("EnableNetworkIsolation", "EnableInterContainerTrafficEncryption", "EnableManagedSpotTraining")
