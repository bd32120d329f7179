"""Tuning operations over a real store and real objects, called as functions."""

from __future__ import annotations

import copy
from collections.abc import Callable
from dataclasses import replace
from typing import Any

import pytest

from clary.errors import ClientFault, ResourceInUse, ValidationException
from clary.services import tags, training, tuning, tuning_list
from clary.services.operations import Context
from clary.services.tuning_autotune import range_around

KIND = "hyper-parameter-tuning-job"
DEFINITION: dict[str, Any] = {
    "StaticHyperParameters": {
        "sagemaker_program": '"train.py"',
        "sagemaker_submit_directory": '"s3://data/src.tar.gz"',
        "epochs": "3",
    },
    "AlgorithmSpecification": {
        "TrainingImage": "image",
        "TrainingInputMode": "File",
        "MetricDefinitions": [{"Name": "f1", "Regex": "f1=(.*)"}],
    },
    "RoleArn": "arn:aws:iam::123456789012:role/any",
    "InputDataConfig": [
        {
            "ChannelName": "train",
            "DataSource": {"S3DataSource": {"S3DataType": "S3Prefix", "S3Uri": "s3://data/train"}},
        }
    ],
    "OutputDataConfig": {"S3OutputPath": "s3://data/out"},
    "HyperParameterTuningResourceConfig": {
        "InstanceType": "ml.p3.2xlarge",
        "InstanceCount": 1,
        "VolumeSizeInGB": 30,
    },
    "StoppingCondition": {"MaxRuntimeInSeconds": 3600},
}
REQUEST: dict[str, Any] = {
    "HyperParameterTuningJobName": "study",
    "HyperParameterTuningJobConfig": {
        "Strategy": "Bayesian",
        "HyperParameterTuningJobObjective": {"Type": "Maximize", "MetricName": "f1"},
        "ResourceLimits": {"MaxNumberOfTrainingJobs": 10, "MaxParallelTrainingJobs": 2},
        "ParameterRanges": {
            "ContinuousParameterRanges": [{"Name": "rate", "MinValue": "1e-5", "MaxValue": "1e-3"}],
        },
    },
    "TrainingJobDefinition": DEFINITION,
    "Tags": [{"Key": "team", "Value": "nlp"}],
}
CONFIG = "HyperParameterTuningJobConfig"
RANGES = f"{CONFIG}.ParameterRanges"


def changed(*changes: tuple[str, Any], base: dict[str, Any] = REQUEST) -> dict[str, Any]:
    """REQUEST with members at dotted paths replaced, or left out where the value is None."""
    result = copy.deepcopy(base)
    for path, value in changes:
        node: Any = result
        *heads, last = path.split(".")
        for head in heads:
            node = node[int(head)] if isinstance(node, list) else node.setdefault(head, {})
        if value is None:
            node.pop(last, None)
        else:
            node[last] = copy.deepcopy(value)
    return result


def several(*changes: tuple[str, Any]) -> dict[str, Any]:
    """A request with two training definitions."""
    one = {
        **DEFINITION,
        "DefinitionName": "one",
        "TuningObjective": {"Type": "Maximize", "MetricName": "f1"},
        "HyperParameterRanges": REQUEST[CONFIG]["ParameterRanges"],
    }
    base = changed(
        ("TrainingJobDefinition", None),
        ("TrainingJobDefinitions", [one, {**copy.deepcopy(one), "DefinitionName": "two"}]),
        (RANGES, None),
        (f"{CONFIG}.HyperParameterTuningJobObjective", None),
    )
    return changed(*changes, base=base)


@pytest.fixture
def new_id() -> Callable[[int], str]:
    return lambda digits: "12345678"[:digits]


def described(context: Context, name: str = "study") -> Any:
    return tuning.describe_study(context, {"HyperParameterTuningJobName": name})


def settle(context: Context, name: str, status: str, **state: Any) -> None:
    """What the controller would have written."""
    context.store.update(KIND, name, lambda row: replace(row, status=status, state={**row.state, **state}))


def child(number: int, objective: float | None = None, status: str | None = "Completed", **more: Any) -> Any:
    record: dict[str, Any] = {
        "number": number,
        "draw": number,
        "definition": 0,
        "values": {"rate": f"{number}e-5"},
        "created": 1000.0 + number,
        **({"status": status, "started": 1100.0, "ended": 1130.0} if status else {}),
        **more,
    }
    return record if objective is None else {**record, "objective": objective}


def test_a_study_is_described_as_the_clients_read_it(context: Context) -> None:
    answer = tuning.create(context, REQUEST)
    assert answer["HyperParameterTuningJobArn"].endswith(":hyper-parameter-tuning-job/study")
    found = described(context)
    definition = found["TrainingJobDefinition"]
    assert definition["StaticHyperParameters"]["_tuning_objective_metric"] == "f1"
    assert definition["ResourceConfig"] == definition["HyperParameterTuningResourceConfig"]
    assert definition["OutputDataConfig"]["KmsKeyId"] == ""
    assert found[CONFIG]["ParameterRanges"]["IntegerParameterRanges"] == []
    assert found[CONFIG]["TrainingJobEarlyStoppingType"] == "Off"
    assert found["HyperParameterTuningJobStatus"] == "InProgress"
    assert "BestTrainingJob" not in found
    assert (
        tags.list_tags(context, {"ResourceArn": answer["HyperParameterTuningJobArn"]})["Tags"]
        == REQUEST["Tags"]
    )


def test_a_seed_is_drawn_and_kept_unless_it_is_given(context: Context) -> None:
    tuning.create(context, REQUEST)
    tuning.create(context, changed(("HyperParameterTuningJobName", "two"), (f"{CONFIG}.RandomSeed", 5)))
    rows = [context.store.get(KIND, name) for name in ("study", "two")]
    assert [row.state["seed"] for row in rows if row] == [0x12345678, 5]


def test_a_taken_name_is_in_use_whatever_its_case(context: Context) -> None:
    tuning.create(context, REQUEST)
    with pytest.raises(ResourceInUse, match="tuning job with this name already exists"):
        tuning.create(context, changed(("HyperParameterTuningJobName", "STUDY")))


CONTINUOUS = f"{RANGES}.ContinuousParameterRanges"
CASES: list[tuple[str, dict[str, Any], str]] = [
    (
        "no metric",
        changed((f"{CONFIG}.HyperParameterTuningJobObjective.MetricName", "acc")),
        "A metric is required",
    ),
    ("no objective", changed((f"{CONFIG}.HyperParameterTuningJobObjective", None)), "Objective is required"),
    (
        "min above max",
        changed((f"{CONTINUOUS}.0.MaxValue", "1e-6")),
        "MinValue of the parameter 'rate' is above its MaxValue",
    ),
    ("no number", changed((f"{CONTINUOUS}.0.MaxValue", "many")), "'many'"),
    (
        "logarithm of 0",
        changed((f"{CONTINUOUS}.0.MinValue", "0"), (f"{CONTINUOUS}.0.ScalingType", "Logarithmic")),
        "Logarithmic",
    ),
    ("no range", changed((RANGES, {})), "has no range"),
    (
        "the objective's name",
        changed((f"{CONTINUOUS}.0.Name", "_tuning_objective_metric")),
        "names the objective in every child and cannot be tuned",
    ),
    (
        "twice",
        changed((f"{RANGES}.IntegerParameterRanges", [{"Name": "rate", "MinValue": "1", "MaxValue": "2"}])),
        "two ranges for the parameter 'rate'",
    ),
    (
        "too many",
        changed(
            (CONTINUOUS, [{"Name": f"p{n}", "MinValue": "0", "MaxValue": "1"} for n in range(16)]),
            (
                f"{RANGES}.IntegerParameterRanges",
                [{"Name": f"q{n}", "MinValue": "0", "MaxValue": "1"} for n in range(15)],
            ),
        ),
        "has 31 parameters: 30 is the most",
    ),
    (
        "static too",
        changed(("TrainingJobDefinition.StaticHyperParameters.rate", "1")),
        "'rate' is both in",
    ),
    (
        "100 in all",
        changed(("TrainingJobDefinition.StaticHyperParameters", {f"s{n}": "1" for n in range(99)})),
        "101 hyperparameters",
    ),
    ("grid", changed((f"{CONFIG}.Strategy", "Grid")), "Grid takes categorical ranges only"),
    (
        "grid's count",
        changed(
            (f"{CONFIG}.Strategy", "Grid"),
            (RANGES, {"CategoricalParameterRanges": [{"Name": "a", "Values": ["1", "2", "3"]}]}),
        ),
        "has 3 combinations",
    ),
    (
        "hyperband without a most",
        changed(
            (f"{CONFIG}.Strategy", "Hyperband"), ("TrainingJobDefinition.StaticHyperParameters.epochs", None)
        ),
        "MaxResource is required",
    ),
    (
        "hyperband too much",
        changed(
            (f"{CONFIG}.Strategy", "Hyperband"),
            (f"{CONFIG}.StrategyConfig.HyperbandStrategyConfig", {"MaxResource": 20_001}),
        ),
        "more than 20000",
    ),
    (
        "hyperband the wrong way",
        changed(
            (f"{CONFIG}.Strategy", "Hyperband"),
            (f"{CONFIG}.StrategyConfig.HyperbandStrategyConfig", {"MinResource": 5}),
        ),
        "MinResource 5 is more than MaxResource 3",
    ),
    (
        "hyperband for another",
        changed((f"{CONFIG}.StrategyConfig.HyperbandStrategyConfig", {"MaxResource": 5})),
        "is for strategy Hyperband",
    ),
    (
        "hyperband and early stopping",
        changed((f"{CONFIG}.Strategy", "Hyperband"), (f"{CONFIG}.TrainingJobEarlyStoppingType", "Auto")),
        "must be Off with strategy Hyperband",
    ),
    (
        "several and early stopping",
        several((f"{CONFIG}.TrainingJobEarlyStoppingType", "Auto")),
        "must be Off with several",
    ),
    ("both forms", several(("TrainingJobDefinition", DEFINITION)), "not both"),
    ("neither form", changed(("TrainingJobDefinition", None)), "give either"),
    (
        "no name",
        several(("TrainingJobDefinitions.0.DefinitionName", None)),
        r"\[0\].DefinitionName is required",
    ),
    (
        "one name",
        several(("TrainingJobDefinitions.0.DefinitionName", "two")),
        "two definitions are named 'two'",
    ),
    (
        "two directions",
        several(("TrainingJobDefinitions.0.TuningObjective.Type", "Minimize")),
        "must have one Type",
    ),
    ("too many jobs", changed((f"{CONFIG}.ResourceLimits.MaxNumberOfTrainingJobs", 751)), "more than 750"),
    ("too parallel", changed((f"{CONFIG}.ResourceLimits.MaxParallelTrainingJobs", 101)), "more than 100"),
    (
        "training rules",
        changed(("TrainingJobDefinition.AlgorithmSpecification.TrainingImage", None)),
        "TrainingJobDefinition.AlgorithmSpecification.TrainingImage is required",
    ),
    (
        "no program",
        changed(("TrainingJobDefinition.StaticHyperParameters.sagemaker_program", None)),
        "StaticHyperParameters lacks sagemaker_program",
    ),
    (
        "no bucket",
        changed(("TrainingJobDefinition.OutputDataConfig.S3OutputPath", "s3://nowhere/out")),
        "there is no bucket 'nowhere'",
    ),
    (
        "both resources",
        changed(("TrainingJobDefinition.ResourceConfig", DEFINITION["HyperParameterTuningResourceConfig"])),
        "give either ResourceConfig or",
    ),
    (
        "auto without autotune",
        changed((f"{RANGES}.AutoParameters", [{"Name": "a", "ValueHint": "1"}])),
        "set Autotune.Mode to Enabled",
    ),
    (
        "a parameter that no program can be given",
        changed((f"{CONTINUOUS}.0.Name", "ra\0te")),
        r"ContinuousParameterRanges\[0\].Name holds a NUL character",
    ),
    (
        "a value that no program can be given",
        changed(
            (f"{RANGES}.CategoricalParameterRanges", [{"Name": "a", "Values": ["1", "\ud800"]}]),
        ),
        r"CategoricalParameterRanges\[0\].Values\[1\] holds half a surrogate pair",
    ),
    (
        "a static value that no program can be given",
        changed(("TrainingJobDefinition.StaticHyperParameters.model", "a\0b")),
        "'StaticHyperParameters.model' holds a NUL character",
    ),
    (
        "a metric that no program can be given",
        changed(
            (f"{CONFIG}.HyperParameterTuningJobObjective.MetricName", "f\0"),
            ("TrainingJobDefinition.AlgorithmSpecification.MetricDefinitions.0.Name", "f\0"),
        ),
        "objective's MetricName holds a NUL character",
    ),
    (
        "a reserved tag",
        changed(("Tags", [{"Key": "team", "Value": "a"}, {"Key": "AWS:x", "Value": "b"}])),
        r"Tags\[1\].Key 'AWS:x' begins with 'aws:'",
    ),
    ("an unknown strategy", changed((f"{CONFIG}.Strategy", "Magic")), "Strategy 'Magic' is unknown"),
]


@pytest.mark.parametrize(("request_", "told"), [case[1:] for case in CASES], ids=[case[0] for case in CASES])
def test_what_would_fail_later_is_refused_now(context: Context, request_: dict[str, Any], told: str) -> None:
    with pytest.raises(ValidationException, match=told):
        tuning.create(context, request_)
    assert context.store.list(KIND)[0] == []


def test_random_studies_may_be_larger(context: Context) -> None:
    limit = f"{CONFIG}.ResourceLimits.MaxNumberOfTrainingJobs"
    tuning.create(context, changed((f"{CONFIG}.Strategy", "Random"), (limit, 10_000)))


def test_counters_the_best_and_the_time(context: Context) -> None:
    tuning.create(context, REQUEST)
    children = {
        "study-001-a": child(1, 0.5),
        "study-002-b": child(2, 0.7, "Stopped"),
        "study-003-c": child(3, 0.9, "Failed", reason="AlgorithmError"),
        "study-004-d": child(4, None, "Failed", reason="InternalServerError: x", interrupted=True),
        "study-005-e": child(5, None, None),
    }
    settle(context, "study", "InProgress", children=children)
    found = described(context)
    # the fifth is planned but has no job yet
    assert found["TrainingJobStatusCounters"] == {
        "Completed": 1,
        "InProgress": 0,
        "RetryableError": 1,
        "NonRetryableError": 1,
        "Stopped": 1,
    }
    assert found["ObjectiveStatusCounters"] == {"Succeeded": 2, "Pending": 0, "Failed": 2}
    assert found["BestTrainingJob"]["TrainingJobName"] == "study-002-b"
    assert found["ConsumedResources"] == {"RuntimeInSeconds": 120}


def test_a_running_child_is_shown_as_it_is_now(context: Context) -> None:
    tuning.create(context, REQUEST)
    request = {
        "TrainingJobName": "study-001-a",
        "HyperParameters": DEFINITION["StaticHyperParameters"],
        "ResourceConfig": DEFINITION["HyperParameterTuningResourceConfig"],
        **{key: value for key, value in DEFINITION.items() if "yperParameter" not in key},
    }
    training.create(context, request)
    settle(context, "study", "InProgress", children={"study-001-a": child(1, None, None)})
    assert described(context)["ObjectiveStatusCounters"]["Pending"] == 1
    finals = {"f1": [0.8, 1200.0]}
    context.store.update(
        "training-job",
        "study-001-a",
        lambda row: replace(row, status="Completed", state={**row.state, "final_metrics": finals}),
    )
    # the controller has not noted it yet
    best = described(context)["BestTrainingJob"]
    assert best["FinalHyperParameterTuningJobObjectiveMetric"] == {
        "Type": "Maximize",
        "MetricName": "f1",
        "Value": 0.8,
    }


def test_a_child_that_diverged_has_no_value_and_says_so(context: Context) -> None:
    tuning.create(context, REQUEST)
    good, gone = child(1, 0.8), child(2)
    settle(
        context,
        "study",
        "InProgress",
        children={"study-001-a": good, "study-002-b": {**gone, "diverged": True, "reason": "ended in nan"}},
    )
    found = described(context)
    assert found["BestTrainingJob"]["TrainingJobName"] == "study-001-a"
    assert found["ObjectiveStatusCounters"] == {"Succeeded": 1, "Pending": 0, "Failed": 1}
    answer = tuning_list.list_children(context, {"HyperParameterTuningJobName": "study"})
    second = answer["TrainingJobSummaries"][1]
    assert (second["TrainingJobStatus"], second["ObjectiveStatus"]) == ("Completed", "Failed")
    assert second["FailureReason"] == "ended in nan"
    assert "FinalHyperParameterTuningJobObjectiveMetric" not in second


def test_children_are_listed_by_name_unless_asked_otherwise(context: Context) -> None:
    tuning.create(context, REQUEST)
    values = [0.5, None, 0.9, 0.7, 0.7]
    children = {f"study-00{n}-x": child(n, value) for n, value in enumerate(values, start=1)}
    settle(context, "study", "Completed", children=children)

    def numbers(**request: Any) -> list[int]:
        found: list[int] = []
        token: dict[str, Any] = {}
        while True:
            page = tuning_list.list_children(
                context, {"HyperParameterTuningJobName": "study", "MaxResults": 2, **request, **token}
            )
            found += [int(each["TrainingJobName"][6:9]) for each in page["TrainingJobSummaries"]]
            if "NextToken" not in page:
                return found
            token = {"NextToken": page["NextToken"]}

    assert numbers() == [1, 2, 3, 4, 5]
    assert numbers(SortOrder="Descending", SortBy="CreationTime") == [5, 4, 3, 2, 1]
    assert numbers(SortBy="FinalObjectiveMetricValue") == [1, 4, 5, 3]
    assert numbers(SortBy="FinalObjectiveMetricValue", SortOrder="Descending") == [3, 5, 4, 1]
    assert numbers(StatusEquals="Failed") == []


@pytest.mark.parametrize("token", ["x", "", "W10=", "bm90anNvbg=="])
def test_a_made_up_token_is_refused(context: Context, token: str) -> None:
    tuning.create(context, REQUEST)
    with pytest.raises(ValidationException, match="NextToken"):
        tuning_list.list_children(context, {"HyperParameterTuningJobName": "study", "NextToken": token})
    with pytest.raises(ValidationException, match="NextToken"):
        tuning_list.list_studies(context, {"NextToken": token})


def test_studies_are_listed_by_name(context: Context) -> None:
    for name in ("b", "a", "c"):
        tuning.create(context, changed(("HyperParameterTuningJobName", name)))
    settle(context, "c", "Completed")

    def names(**request: Any) -> list[str]:
        page = tuning_list.list_studies(context, request)
        return [each["HyperParameterTuningJobName"] for each in page["HyperParameterTuningJobSummaries"]]

    assert names() == ["a", "b", "c"]
    assert names(SortBy="CreationTime", SortOrder="Descending") == ["c", "a", "b"]
    assert names(StatusEquals="InProgress") == ["a", "b"]
    assert names(NameContains="c") == ["c"]


def test_stop_and_delete(context: Context) -> None:
    name = {"HyperParameterTuningJobName": "study"}
    tuning.create(context, REQUEST)
    with pytest.raises(ResourceInUse, match="is in status InProgress"):
        tuning.delete(context, name)
    tuning.stop(context, name)
    tuning.stop(context, name)
    assert described(context)["HyperParameterTuningJobStatus"] == "Stopping"
    settle(context, "study", "Stopped")
    with pytest.raises(
        ValidationException, match="because the hyperparameter tuning job is in status Stopped"
    ):
        tuning.stop(context, name)
    tuning.delete(context, name)
    for operation in (tuning.stop, tuning.delete, tuning.describe_study, tuning_list.list_children):
        with pytest.raises(ClientFault, match=r"Requested resource not found\."):
            operation(context, name)


WARM = {
    "WarmStartType": "IdenticalDataAndAlgorithm",
    "ParentHyperParameterTuningJobs": [{"HyperParameterTuningJobName": "study"}],
}


def parent(context: Context) -> None:
    tuning.create(context, REQUEST)
    settle(
        context, "study", "Completed", children={"study-001-a": child(1, 0.5), "study-002-b": child(2, 0.8)}
    )


def heir(*changes: tuple[str, Any]) -> dict[str, Any]:
    return changed(("HyperParameterTuningJobName", "heir"), ("WarmStartConfig", WARM), *changes)


def test_a_warm_start_takes_over_what_parents_know(context: Context) -> None:
    parent(context)
    elsewhere = (
        "TrainingJobDefinition.StaticHyperParameters.sagemaker_submit_directory",
        "s3://data/other.tar.gz",
    )
    tuning.create(context, heir(elsewhere))
    row = context.store.get(KIND, "heir")
    assert row is not None
    assert [each["objective"] for each in row.state["inherited"]] == [0.5, 0.8]
    overall = described(context, "heir")["OverallBestTrainingJob"]
    assert (overall["TrainingJobName"], overall["TuningJobName"]) == ("study-002-b", "study")
    settle(context, "heir", "Completed", children={"heir-001-a": child(1, 0.9)})
    overall = described(context, "heir")["OverallBestTrainingJob"]
    assert (overall["TrainingJobName"], overall["TuningJobName"]) == ("heir-001-a", "heir")


@pytest.mark.parametrize(
    ("change", "told"),
    [
        (
            ("WarmStartConfig.ParentHyperParameterTuningJobs.0.HyperParameterTuningJobName", "no"),
            "no tuning job 'no'",
        ),
        (("TrainingJobDefinition.AlgorithmSpecification.TrainingImage", "other"), "needs the training image"),
        (
            ("TrainingJobDefinition.StaticHyperParameters.more", "1"),
            "set of tunable plus static HyperParameter names",
        ),
        ((f"{CONFIG}.HyperParameterTuningJobObjective.Type", "Minimize"), "They must be the same"),
        (
            ("TrainingJobDefinition.InputDataConfig.0.DataSource.S3DataSource.S3Uri", "s3://data/x"),
            "needs the input data",
        ),
    ],
)
def test_a_warm_start_that_breaks_a_rule_is_refused(context: Context, change: Any, told: str) -> None:
    parent(context)
    with pytest.raises(ValidationException, match=told):
        tuning.create(context, heir(change))


def test_a_parent_must_have_ended(context: Context) -> None:
    tuning.create(context, REQUEST)
    with pytest.raises(ValidationException, match="'study' is InProgress"):
        tuning.create(context, heir())


def test_autotune_fills_in_what_is_left_open(context: Context) -> None:
    auto = [{"Name": "rate", "ValueHint": "5e-5"}, {"Name": "kind", "ValueHint": "true"}]
    request = changed(
        ("Autotune", {"Mode": "Enabled"}),
        (RANGES, {"AutoParameters": auto}),
        (f"{CONFIG}.ResourceLimits.MaxNumberOfTrainingJobs", None),
    )
    tuning.create(context, request)
    found = described(context)
    config = found[CONFIG]
    assert config["ParameterRanges"]["ContinuousParameterRanges"][0]["MinValue"] == "5e-06"
    assert config["ParameterRanges"]["CategoricalParameterRanges"] == [
        {"Name": "kind", "Values": ["true", "false"]}
    ]
    assert config["TrainingJobEarlyStoppingType"] == "Auto"
    assert config["ResourceLimits"]["MaxNumberOfTrainingJobs"] == 30
    assert config["TuningJobCompletionCriteria"]["ConvergenceDetected"]["CompleteOnConvergence"] == "Enabled"
    assert found["TrainingJobDefinition"]["RetryStrategy"] == {"MaximumRetryAttempts": 3}
    assert found["Autotune"] == {"Mode": "Enabled"}


@pytest.mark.parametrize(
    ("hint", "kind", "low", "high"),
    [
        ("32", "IntegerParameterRanges", "8", "128"),
        ("0", "IntegerParameterRanges", "-1", "1"),
        ("0.1", "ContinuousParameterRanges", "0.01", "0.55"),
        ("0.9", "ContinuousParameterRanges", "0.09", "0.95"),
        ("5.5", "ContinuousParameterRanges", "0.55", "55"),
        ("-2.0", "ContinuousParameterRanges", "-4", "0"),
    ],
)
def test_ranges_around_a_hint(hint: str, kind: str, low: str, high: str) -> None:
    found, made = range_around("p", hint)
    assert (found, made["MinValue"], made["MaxValue"]) == (kind, low, high)
