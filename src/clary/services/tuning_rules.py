"""What CreateHyperParameterTuningJob demands beyond the shapes: everything that would make children fail for nothing.

Each rule names the field and the fix.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from importlib.metadata import entry_points
from math import prod
from typing import Any

from clary.domain import studies
from clary.errors import ValidationException
from clary.services import job_rules, tags, training_rules
from clary.services.operations import Context
from clary.services.tuning_warmstart import check_warm_start
from clary.tuning.hyperband import MAX_RESOURCE, RESOURCE_KEYS
from clary.tuning.random import Random
from clary.tuning.requests import max_resource, space_of
from clary.tuning.strategy import ENTRY_POINT_GROUP, find

Request = Mapping[str, Any]

STRATEGIES = ("Bayesian", "Random", "Hyperband", "Grid")
MOST_TUNED = 30
MOST_HYPERPARAMETERS = 100
MOST_PARALLEL = 100
NO_METRIC = (
    "A metric is required for this hyperparameter tuning job objective. "
    "Provide a metric in the metric definitions."
)


def check(context: Context, spec: Request) -> None:
    """Raises ValidationException that lists every fault found."""
    if fault := _one_form(spec):
        raise ValidationException(fault)
    faults = [fault for rule in RULES for fault in rule(spec)]
    for path, definition in _located(spec):
        faults += [fault for rule in DEFINITION_RULES for fault in rule(spec, path, definition)]
        faults += _training(context, spec, path, definition)
    if not faults:
        faults = check_warm_start(context, spec)
    if faults:
        raise ValidationException("; ".join(dict.fromkeys(faults)))


def _one_form(spec: Request) -> str | None:
    one, several = "TrainingJobDefinition" in spec, bool(spec.get("TrainingJobDefinitions"))
    if one == several:
        return "give either TrainingJobDefinition or TrainingJobDefinitions" + (", not both" if one else "")
    return None


def _located(spec: Request) -> list[tuple[str, Request]]:
    if "TrainingJobDefinition" in spec:
        return [("TrainingJobDefinition", spec["TrainingJobDefinition"])]
    return [(f"TrainingJobDefinitions[{at}]", each) for at, each in enumerate(spec["TrainingJobDefinitions"])]


# -- the study


def _strategy(spec: Request) -> Iterator[str]:
    """One of SageMaker's, or one that an installed package brings."""
    name = spec["HyperParameterTuningJobConfig"]["Strategy"]
    if name in STRATEGIES:
        return
    try:
        find(name, dict.fromkeys(STRATEGIES, Random), entry_points(group=ENTRY_POINT_GROUP))
    except ValidationException as fault:
        yield fault.message


def _limits(spec: Request) -> Iterator[str]:
    config = spec["HyperParameterTuningJobConfig"]
    limits = config["ResourceLimits"]
    most = studies.MOST_RANDOM_JOBS if config["Strategy"] == "Random" else studies.MOST_JOBS
    if limits.get("MaxNumberOfTrainingJobs", 1) > most:
        yield (
            f"ResourceLimits.MaxNumberOfTrainingJobs {limits['MaxNumberOfTrainingJobs']} is more than {most}, "
            f"the most for strategy {config['Strategy']}"
        )
    if limits["MaxParallelTrainingJobs"] > MOST_PARALLEL:
        yield f"ResourceLimits.MaxParallelTrainingJobs {limits['MaxParallelTrainingJobs']} is more than {MOST_PARALLEL}"


def _names(spec: Request) -> Iterator[str]:
    if "TrainingJobDefinitions" not in spec:
        return
    names = [each.get("DefinitionName") for each in spec["TrainingJobDefinitions"]]
    for at, name in enumerate(names):
        if name is None:
            yield f"TrainingJobDefinitions[{at}].DefinitionName is required where there are several definitions"
    for name in sorted({name for name in names if name and names.count(name) > 1}):
        yield f"TrainingJobDefinitions: two definitions are named {name!r}; names must be unique"
    config = spec["HyperParameterTuningJobConfig"]
    for field, own in (
        ("ParameterRanges", "HyperParameterRanges"),
        ("HyperParameterTuningJobObjective", "TuningObjective"),
    ):
        if config.get(field):
            yield f"HyperParameterTuningJobConfig.{field}: with TrainingJobDefinitions each has its own {own} instead"
    types = {
        each["TuningObjective"]["Type"]
        for each in spec["TrainingJobDefinitions"]
        if "TuningObjective" in each
    }
    if len(types) > 1:
        yield "TrainingJobDefinitions: the TuningObjective of all must have one Type, so that they can be compared"


def _early_stopping(spec: Request) -> Iterator[str]:
    config = spec["HyperParameterTuningJobConfig"]
    if config.get("TrainingJobEarlyStoppingType", "Off") == "Off":
        return
    field = "HyperParameterTuningJobConfig.TrainingJobEarlyStoppingType"
    if config["Strategy"] == "Hyperband":
        yield f"{field} must be Off with strategy Hyperband, which stops jobs itself"
    if "TrainingJobDefinitions" in spec:
        yield f"{field} must be Off with several training definitions"


def _strategy_config(spec: Request) -> Iterator[str]:
    config = spec["HyperParameterTuningJobConfig"]
    hyperband = config.get("StrategyConfig", {}).get("HyperbandStrategyConfig")
    if hyperband is not None and config["Strategy"] != "Hyperband":
        yield f"StrategyConfig.HyperbandStrategyConfig is for strategy Hyperband, not {config['Strategy']}"
        return
    if config["Strategy"] != "Hyperband":
        return
    hyperband = hyperband or {}
    for path, definition in _located(spec):
        field = "StrategyConfig.HyperbandStrategyConfig"
        try:
            most = max_resource(spec, definition)
        except ValidationException:
            yield (
                f"{field}.MaxResource is required: it is not given, and {path}.StaticHyperParameters has none of "
                f"{', '.join(RESOURCE_KEYS)} as a whole number to take it from"
            )
            continue
        if most > MAX_RESOURCE:
            yield f"{field}.MaxResource {most} is more than {MAX_RESOURCE}"
        elif hyperband.get("MinResource", 1) > most:
            yield f"{field}.MinResource {hyperband['MinResource']} is more than MaxResource {most}"


def _grid(spec: Request) -> Iterator[str]:
    config = spec["HyperParameterTuningJobConfig"]
    if config["Strategy"] != "Grid":
        return
    size = 0
    for path, definition in _located(spec):
        given = studies.ranges(spec, definition)
        for kind in ("IntegerParameterRanges", "ContinuousParameterRanges"):
            for each in given.get(kind, ()):
                yield (
                    f"strategy Grid takes categorical ranges only: {path}'s {each['Name']!r} is in {kind}; list its "
                    "values in CategoricalParameterRanges"
                )
        size += prod(len(each["Values"]) for each in given.get("CategoricalParameterRanges", ()))
    most = config["ResourceLimits"].get("MaxNumberOfTrainingJobs")
    if most is not None and most != size:
        yield (
            f"ResourceLimits.MaxNumberOfTrainingJobs is {most}, and strategy Grid has {size} combinations: "
            "give that number, or leave it out"
        )
    elif size > studies.MOST_JOBS:
        yield f"strategy Grid has {size} combinations here, and {studies.MOST_JOBS} is the most: give fewer values"


# -- a definition


def _objective(spec: Request, path: str, definition: Request) -> Iterator[str]:
    goal = studies.objective(spec, definition)
    if not goal:
        field = "TuningObjective" if "TrainingJobDefinitions" in spec else None
        where = (
            f"{path}.{field}" if field else "HyperParameterTuningJobConfig.HyperParameterTuningJobObjective"
        )
        yield f"{where} is required"
        return
    names = [entry["Name"] for entry in definition["AlgorithmSpecification"].get("MetricDefinitions", ())]
    if goal["MetricName"] not in names:
        told = f"has {', '.join(names)}" if names else "has none"
        yield (
            f"{NO_METRIC} The objective is {goal['MetricName']!r}, "
            f"{path}.AlgorithmSpecification.MetricDefinitions {told}"
        )


def _ranges(spec: Request, path: str, definition: Request) -> Iterator[str]:
    given = studies.ranges(spec, definition)
    several = "TrainingJobDefinitions" in spec
    where = f"{path}.HyperParameterRanges" if several else "HyperParameterTuningJobConfig.ParameterRanges"
    if given.get("AutoParameters"):
        yield f"{where}.AutoParameters need Autotune: set Autotune.Mode to Enabled"
    listed = [each["Name"] for kind in studies.RANGE_LISTS for each in given.get(kind, ())]
    if not listed:
        yield f"{where} has no range: give at least one parameter to tune"
        return
    for name in sorted({name for name in listed if listed.count(name) > 1}):
        yield f"{where} has two ranges for the parameter {name!r}"
    if len(listed) > MOST_TUNED:
        yield f"{where} has {len(listed)} parameters: {MOST_TUNED} is the most"
    if studies.OBJECTIVE_PARAMETER in listed:
        yield f"{where}: {studies.OBJECTIVE_PARAMETER!r} names the objective in every child and cannot be tuned"
    static = set(definition.get("StaticHyperParameters", {})) - {studies.OBJECTIVE_PARAMETER}
    for name in sorted(static.intersection(listed)):
        yield f"the parameter {name!r} is both in {where} and in {path}.StaticHyperParameters: keep one"
    if len(static) + len(set(listed)) + 1 > MOST_HYPERPARAMETERS:
        yield (
            f"{path} has {len(static) + len(set(listed)) + 1} hyperparameters, static and tuned, with the one that "
            f"names the objective: {MOST_HYPERPARAMETERS} is the most"
        )
    yield from _each_range(where, given)


def _each_range(where: str, given: Request) -> Iterator[str]:
    for kind in studies.RANGE_LISTS:
        for at, each in enumerate(given.get(kind, ())):
            texts = [("Name", each["Name"])]
            texts += [(f"Values[{n}]", value) for n, value in enumerate(each.get("Values", ()))]
            for field, text in texts:
                if held := job_rules.unpassable(text):
                    yield f"{where}.{kind}[{at}].{field} holds {held}, which no program can be given: leave it out"
            try:
                space_of({kind: [each]})
            except ValidationException as fault:
                yield f"{where}.{kind}: {fault.message}"


def _resources(_: Request, path: str, definition: Request) -> Iterator[str]:
    if "ResourceConfig" in definition and "HyperParameterTuningResourceConfig" in definition:
        yield f"{path}: give either ResourceConfig or HyperParameterTuningResourceConfig, not both"


def _training(context: Context, spec: Request, path: str, definition: Request) -> list[str]:
    """The faults that every child's own request would have."""
    request = studies.child_request(spec, definition, "child", {})
    found = training_rules.faults_of(context, request)
    named = [
        fault.replace(f"'HyperParameters.{studies.OBJECTIVE_PARAMETER}'", "the objective's MetricName")
        .replace("'HyperParameters.", "'StaticHyperParameters.")
        .replace("HyperParameters lacks", "StaticHyperParameters lacks")
        .replace("HyperParameters take", "StaticHyperParameters take")
        for fault in found
    ]
    return [f"{path}.{fault}" if fault[0].isupper() else f"{path}: {fault}" for fault in named]


RULES: tuple[Callable[[Request], Iterator[str]], ...] = (
    _strategy,
    _limits,
    _names,
    _early_stopping,
    _strategy_config,
    _grid,
    tags.faults,
)
DEFINITION_RULES: tuple[Callable[[Request, str, Request], Iterator[str]], ...] = (
    _objective,
    _ranges,
    _resources,
)
