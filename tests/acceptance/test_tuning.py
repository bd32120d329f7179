"""Studies over boto3 against a real server, with real children."""

from __future__ import annotations

import subprocess
import sys
from typing import Any
from urllib.error import HTTPError

import pytest
from botocore.exceptions import ClientError

from tests.acceptance import programs
from tests.acceptance.studies import RANGES, children, definition, describe, page, study, wait
from tests.server_process import ServerProcess

STEPS = """
import argparse, time
parser = argparse.ArgumentParser()
parser.add_argument("--rate", type=float)
given, _ = parser.parse_known_args()
for step in range(20):
    print("f1=", given.rate, flush=True)
    time.sleep(given.rate and 0.0 if given.rate > 0.5 else 0.15)
"""

SLEEPING = "import time\nprint('f1= 0.5', flush=True)\ntime.sleep(600)\n"


def test_a_random_study_runs_its_children_and_names_the_best(shared_server: ServerProcess) -> None:
    name = study(shared_server, jobs=5, parallel=2, Tags=[{"Key": "team", "Value": "nlp"}])
    described = wait(shared_server, name)
    assert described["HyperParameterTuningJobStatus"] == "Completed"
    counters = described["TrainingJobStatusCounters"]
    assert counters == {
        "Completed": 5,
        "InProgress": 0,
        "Stopped": 0,
        "RetryableError": 0,
        "NonRetryableError": 0,
    }
    assert described["ObjectiveStatusCounters"] == {"Succeeded": 5, "Pending": 0, "Failed": 0}
    found = children(shared_server, name, SortBy="FinalObjectiveMetricValue", SortOrder="Descending")
    values = [each["FinalHyperParameterTuningJobObjectiveMetric"]["Value"] for each in found]
    assert values == sorted(values, reverse=True)
    assert described["BestTrainingJob"] == found[0]
    for each in found:
        rate = float(each["TunedHyperParameters"]["rate"])
        value = each["FinalHyperParameterTuningJobObjectiveMetric"]["Value"]
        assert value == pytest.approx(1 - (rate - 0.3) ** 2, rel=1e-5)
    numbers = [each["TrainingJobName"] for each in children(shared_server, name)]
    assert [each[: len(name) + 4] for each in numbers] == [f"{name}-00{n}" for n in range(1, 6)]
    assert len(children(shared_server, name, MaxResults=2)) == 5
    job = programs.describe(shared_server, numbers[0])
    assert job["TuningJobArn"] == described["HyperParameterTuningJobArn"]
    assert job["HyperParameters"]["_tuning_objective_metric"] == "f1"
    tags = shared_server.client("sagemaker").list_tags(ResourceArn=job["TrainingJobArn"])["Tags"]
    assert tags == [{"Key": "team", "Value": "nlp"}]


def test_the_same_seed_gives_the_same_suggestions(shared_server: ServerProcess) -> None:
    drawn = []
    for _ in range(2):
        name = study(shared_server, jobs=3, parallel=3)
        wait(shared_server, name)
        drawn.append([each["TunedHyperParameters"] for each in children(shared_server, name)])
    assert drawn[0] == drawn[1]


def test_values_reach_the_program_verbatim(shared_server: ServerProcess) -> None:
    script = "import os\nprint('f1= 1', os.environ['SM_HP_KIND'])\n"
    values = ['"quoted"', "plain", "it's"]
    config = {
        "Strategy": "Grid",
        "ParameterRanges": {"CategoricalParameterRanges": [{"Name": "kind", "Values": values}]},
    }
    name = study(shared_server, script, jobs=None, parallel=3, config=config)
    described = wait(shared_server, name)
    assert described["HyperParameterTuningJobStatus"] == "Completed"
    found = children(shared_server, name)
    assert sorted(each["TunedHyperParameters"]["kind"] for each in found) == sorted(values)
    for each in found:
        job = programs.describe(shared_server, each["TrainingJobName"])
        assert job["HyperParameters"]["kind"] == each["TunedHyperParameters"]["kind"]
        said = programs.messages(shared_server, each["TrainingJobName"])[-1]
        assert said == "f1= 1 " + each["TunedHyperParameters"]["kind"].strip('"')


def test_a_stop_stops_all_children(shared_server: ServerProcess) -> None:
    name = study(shared_server, SLEEPING, jobs=10, parallel=2)
    sagemaker = shared_server.client("sagemaker")
    while len(found := children(shared_server, name)) < 2:
        pass
    for each in found:
        programs.wait_for_line(shared_server, each["TrainingJobName"], "f1=")
    with pytest.raises(ClientError, match="is in status InProgress"):
        sagemaker.delete_hyper_parameter_tuning_job(HyperParameterTuningJobName=name)
    sagemaker.stop_hyper_parameter_tuning_job(HyperParameterTuningJobName=name)
    described = wait(shared_server, name)
    assert described["HyperParameterTuningJobStatus"] == "Stopped"
    assert described["TrainingJobStatusCounters"]["Stopped"] == 2
    assert len(children(shared_server, name)) == 2
    with pytest.raises(ClientError, match="because the hyperparameter tuning job is in status Stopped"):
        sagemaker.stop_hyper_parameter_tuning_job(HyperParameterTuningJobName=name)
    sagemaker.delete_hyper_parameter_tuning_job(HyperParameterTuningJobName=name)
    with pytest.raises(ClientError, match="Requested resource not found"):
        describe(shared_server, name)
    assert programs.describe(shared_server, found[0]["TrainingJobName"])["TrainingJobStatus"] == "Stopped"


def test_a_regex_that_matches_nothing_is_told_with_the_nearest_lines(shared_server: ServerProcess) -> None:
    script = "print('loading')\nprint('epoch 1: F1 score = 0.91')\n"
    name = study(shared_server, script, jobs=20, parallel=1)
    described = wait(shared_server, name)
    assert described["HyperParameterTuningJobStatus"] == "Failed"
    assert "epoch 1: F1 score = 0.91" in described["FailureReason"]
    assert "f1= *([-0-9.e]+)" in described["FailureReason"]
    assert len(children(shared_server, name)) == 2
    assert "matched no line" in children(shared_server, name)[0]["FailureReason"]


def test_a_study_whose_children_all_fail_tells_their_own_error(shared_server: ServerProcess) -> None:
    name = study(shared_server, "raise ValueError('no label column')", jobs=30, parallel=2)
    described = wait(shared_server, name)
    assert described["HyperParameterTuningJobStatus"] == "Failed"
    assert described["FailureReason"].startswith("No training job succeeded after")
    assert "no label column" in described["FailureReason"]
    assert 5 <= described["TrainingJobStatusCounters"]["NonRetryableError"] <= 7


def test_one_flaky_child_does_not_end_a_study(shared_server: ServerProcess) -> None:
    script = "import os\nif '-002-' in os.environ['TRAINING_JOB_NAME']: raise SystemExit(3)\nprint('f1= 0.5')"
    name = study(shared_server, script, jobs=4, parallel=1)
    described = wait(shared_server, name)
    assert described["HyperParameterTuningJobStatus"] == "Completed"
    assert described["TrainingJobStatusCounters"]["NonRetryableError"] == 1
    assert described["TrainingJobStatusCounters"]["Completed"] == 3


def test_early_stopping_stops_and_says_why(shared_server: ServerProcess) -> None:
    config = {"TrainingJobEarlyStoppingType": "Auto"}
    name = study(shared_server, STEPS, jobs=12, parallel=2, config=config)
    described = wait(shared_server, name)
    assert described["HyperParameterTuningJobStatus"] == "Completed"
    stopped = children(shared_server, name, StatusEquals="Stopped")
    assert stopped
    assert described["TrainingJobStatusCounters"]["Stopped"] == len(stopped)
    assert all(each["ObjectiveStatus"] == "Succeeded" for each in stopped)
    told = {each["name"]: each for each in page(shared_server, f"/_clary/tuning/{name}")["children"]}
    for each in stopped:
        decision = told[each["TrainingJobName"]]["decision"]
        assert decision["value"] < decision["threshold"]
        assert decision["jobs"] >= 5


def test_a_target_ends_the_study(shared_server: ServerProcess) -> None:
    config = {"TuningJobCompletionCriteria": {"TargetObjectiveMetricValue": 0.5}}
    name = study(shared_server, jobs=50, parallel=2, config=config)
    described = wait(shared_server, name)
    assert described["HyperParameterTuningJobStatus"] == "Completed"
    assert sum(described["TrainingJobStatusCounters"].values()) <= 4


def test_a_finished_study_is_extended_by_more_jobs(shared_server: ServerProcess) -> None:
    shared = definition(shared_server)
    first = study(shared_server, jobs=3, parallel=3, training=shared)
    before = wait(shared_server, first)
    warm = {
        "WarmStartType": "IdenticalDataAndAlgorithm",
        "ParentHyperParameterTuningJobs": [{"HyperParameterTuningJobName": first}],
    }
    config: dict[str, Any] = {"Strategy": "Bayesian", "RandomSeed": 8}
    second = study(shared_server, jobs=3, config=config, training=shared, WarmStartConfig=warm)
    described = wait(shared_server, second)
    assert described["HyperParameterTuningJobStatus"] == "Completed"
    best = [before["BestTrainingJob"], described["BestTrainingJob"]]
    key = "FinalHyperParameterTuningJobObjectiveMetric"
    value = described["OverallBestTrainingJob"][key]["Value"]
    assert value == max(each[key]["Value"] for each in best)
    with pytest.raises(ClientError, match="there is no tuning job 'nobody'"):
        study(
            shared_server,
            WarmStartConfig={
                **warm,
                "ParentHyperParameterTuningJobs": [{"HyperParameterTuningJobName": "nobody"}],
            },
        )


def test_what_the_study_believes_can_be_read(shared_server: ServerProcess) -> None:
    name = study(shared_server, jobs=6, parallel=3, config={"Strategy": "Bayesian"})
    wait(shared_server, name)
    told = page(shared_server, f"/_clary/tuning/{name}")
    assert told["status"] == "Completed"
    assert "MaxNumberOfTrainingJobs" in told["why"]
    (response,) = told["definitions"][0]["belief"]["responses"]
    assert response["name"] == "rate"
    assert len(response["values"]) == len(response["mean"]) == len(response["low"])
    assert all(each["why"] for each in told["children"])
    with pytest.raises(HTTPError, match="400"):
        page(shared_server, "/_clary/tuning/nobody")


def test_several_training_definitions(shared_server: ServerProcess) -> None:
    name = "several"
    several = [
        {
            **definition(shared_server),
            "DefinitionName": each,
            "TuningObjective": {"Type": "Maximize", "MetricName": "f1"},
            "HyperParameterRanges": RANGES,
        }
        for each in ("one", "two")
    ]
    shared_server.client("sagemaker").create_hyper_parameter_tuning_job(
        HyperParameterTuningJobName=name,
        HyperParameterTuningJobConfig={
            "Strategy": "Bayesian",
            "ResourceLimits": {"MaxNumberOfTrainingJobs": 4, "MaxParallelTrainingJobs": 2},
        },
        TrainingJobDefinitions=several,
    )
    described = wait(shared_server, name)
    assert described["HyperParameterTuningJobStatus"] == "Completed"
    assert len(described["TrainingJobDefinitions"]) == 2
    assert (
        sorted(e["TrainingJobDefinitionName"] for e in children(shared_server, name))
        == ["one"] * 2 + ["two"] * 2
    )


def test_a_name_that_is_taken_and_an_objective_without_a_metric(shared_server: ServerProcess) -> None:
    study(shared_server, name="Taken", jobs=1)
    with pytest.raises(ClientError) as caught:
        study(shared_server, name="Taken", jobs=1)
    assert caught.value.response["Error"]["Code"] == "ResourceInUse"
    goal = {"HyperParameterTuningJobObjective": {"Type": "Maximize", "MetricName": "accuracy"}}
    with pytest.raises(
        ClientError, match="A metric is required for this hyperparameter tuning job objective"
    ):
        study(shared_server, config=goal)
    wait(shared_server, "Taken")
    sagemaker = shared_server.client("sagemaker")
    listed = sagemaker.list_hyper_parameter_tuning_jobs(NameContains="Taken")[
        "HyperParameterTuningJobSummaries"
    ]
    assert [
        (each["HyperParameterTuningJobName"], each["HyperParameterTuningJobStatus"]) for each in listed
    ] == [("Taken", "Completed")]


def test_hyperband_stops_jobs_at_rungs(shared_server: ServerProcess) -> None:
    config = {"Strategy": "Hyperband", "StrategyConfig": {"HyperbandStrategyConfig": {"MaxResource": 9}}}
    name = study(shared_server, STEPS, jobs=9, parallel=2, config=config)
    described = wait(shared_server, name)
    assert described["HyperParameterTuningJobStatus"] == "Completed"
    assert described["TrainingJobStatusCounters"]["Stopped"] >= 1


DIVERGING = """
import argparse
parser = argparse.ArgumentParser()
parser.add_argument("--rate")
given, _ = parser.parse_known_args()
values = {"high": [0.2, 0.99, "nan"], "low": [0.5, "nan", 0.6]}
for value in values[given.rate]:
    print("f1=", value, flush=True)
"""


def test_a_child_that_diverges_does_not_win(shared_server: ServerProcess) -> None:
    ranges = {"CategoricalParameterRanges": [{"Name": "rate", "Values": ["high", "low"]}]}
    algorithm = {
        "TrainingImage": "image",
        "TrainingInputMode": "File",
        "MetricDefinitions": [{"Name": "f1", "Regex": r"f1= *(\S+)"}],
    }
    name = study(
        shared_server,
        DIVERGING,
        jobs=None,
        config={"Strategy": "Grid", "ParameterRanges": ranges},
        training={"AlgorithmSpecification": algorithm},
    )
    described = wait(shared_server, name)
    assert described["HyperParameterTuningJobStatus"] == "Completed"
    assert described["ObjectiveStatusCounters"] == {"Succeeded": 1, "Pending": 0, "Failed": 1}
    assert described["TrainingJobStatusCounters"]["Completed"] == 2
    assert described["BestTrainingJob"]["TunedHyperParameters"] == {"rate": "low"}
    assert described["BestTrainingJob"]["FinalHyperParameterTuningJobObjectiveMetric"]["Value"] == 0.6
    (gone,) = (
        each for each in children(shared_server, name) if each["TunedHyperParameters"]["rate"] == "high"
    )
    assert (gone["TrainingJobStatus"], gone["ObjectiveStatus"]) == ("Completed", "Failed")
    assert "ended in nan at step 3; the last number, at step 2, was 0.99" in gone["FailureReason"]
    assert "FinalHyperParameterTuningJobObjectiveMetric" not in gone
    told = next(
        each
        for each in page(shared_server, f"/_clary/tuning/{name}")["children"]
        if each["name"] == gone["TrainingJobName"]
    )
    assert told["reason"] == gone["FailureReason"]
    job = shared_server.client("sagemaker").describe_training_job(TrainingJobName=gone["TrainingJobName"])
    assert "FinalMetricDataList" not in job
    assert "FailureReason" not in job
    table = run_clary(shared_server, "tune", "show", name)
    assert "no value" in table and "ended in nan at step 3" in table


def test_a_quick_child_counts_with_its_value_at_max_resource(shared_server: ServerProcess) -> None:
    script = """
import time
for step in range(1, 40):
    print("f1=", step, flush=True)
    time.sleep(0.0 if step < 9 else 0.02)
time.sleep(60)
"""
    config = {"Strategy": "Hyperband", "StrategyConfig": {"HyperbandStrategyConfig": {"MaxResource": 5}}}
    name = study(shared_server, script, jobs=2, parallel=1, config=config)
    wait(shared_server, name)
    found = children(shared_server, name)
    assert [each["TrainingJobStatus"] for each in found] == ["Stopped", "Stopped"]
    values = [each["FinalHyperParameterTuningJobObjectiveMetric"]["Value"] for each in found]
    assert values == [5.0, 5.0]
    decisions = [each["decision"] for each in page(shared_server, f"/_clary/tuning/{name}")["children"]]
    assert [(each["step"], each["value"], each["finished"]) for each in decisions] == [(5, 5.0, True)] * 2
    table = run_clary(shared_server, "tune", "show", name)
    assert table.count("reached MaxResource") == 2
    assert "stopped early" not in table


def run_clary(server: ServerProcess, *arguments: str) -> str:
    command = [sys.executable, "-m", "clary.cli.main", *arguments, "--home", str(server.home)]
    done = subprocess.run(command, capture_output=True, text=True, timeout=60, check=False)
    assert done.returncode == 0, done.stderr
    return " ".join(done.stdout.split())
