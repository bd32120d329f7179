"""A job's component, from its creation to the job's deletion, over a real store."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from itertools import count
from typing import Any

import pytest

from clary.errors import ClientFault, ResourceInUse, ResourceNotFound, ValidationException
from clary.services import experiments, experiments_list, training, tuning
from clary.services.operations import Context
from clary.store.base import Point
from tests.unit.services.asking import ask

COMPONENT = "experiment-trial-component"
ARN = "arn:aws:sagemaker:us-east-1:123456789012:"


@pytest.fixture
def new_id() -> Callable[[int], str]:
    ids = count()
    return lambda digits: f"{next(ids):0{digits}x}"


DEFINITION: dict[str, Any] = {
    "RoleArn": "arn:aws:iam::123456789012:role/any",
    "AlgorithmSpecification": {
        "TrainingImage": "image",
        "TrainingInputMode": "File",
        "MetricDefinitions": [{"Name": "loss", "Regex": "loss=(.*)"}],
    },
    "OutputDataConfig": {"S3OutputPath": "s3://data/out"},
    "ResourceConfig": {"InstanceType": "ml.p3.2xlarge", "InstanceCount": 1, "VolumeSizeInGB": 30},
    "StoppingCondition": {"MaxRuntimeInSeconds": 3600},
}
PROGRAM = {
    "sagemaker_program": '"train.py"',
    "sagemaker_submit_directory": '"s3://data/src.tar.gz"',
}


def fit(context: Context, name: str = "Job-1", **config: str) -> dict[str, Any]:
    """Creates a training job with an ExperimentConfig. Gives the component that it has."""
    extra = {"ExperimentConfig": config} if config else {}
    training.create(
        context, {"TrainingJobName": name, **DEFINITION, "HyperParameters": {**PROGRAM, "lr": "0.1"}, **extra}
    )
    return component_of(context, f"{ARN}training-job/{name}")


def component_of(context: Context, source: str) -> dict[str, Any]:
    """The newest component of a job."""
    found = ask(context, "ListTrialComponents", SourceArn=source)["TrialComponentSummaries"]
    described: dict[str, Any] = ask(
        context, "DescribeTrialComponent", TrialComponentName=found[0]["TrialComponentName"]
    )
    return described


def end(context: Context, name: str, status: str = "Completed") -> None:
    context.store.update("training-job", name, lambda job: replace(job, status=status))


def trials_of(context: Context, component: dict[str, Any]) -> list[str]:
    answer = ask(context, "ListTrials", TrialComponentName=component["TrialComponentName"])
    return [each["TrialName"] for each in answer["TrialSummaries"]]


def test_every_training_job_has_a_component(context: Context) -> None:
    component = fit(context)
    assert component["TrialComponentName"] == component["DisplayName"] == "Job-1-aws-training-job"
    assert component["Source"] == {
        "SourceArn": f"{ARN}training-job/job-1",
        "SourceType": "SageMakerTrainingJob",
    }
    assert component["Parameters"]["lr"] == {"NumberValue": 0.1}
    assert component["Status"]["PrimaryStatus"] == "InProgress"
    assert trials_of(context, component) == []
    job = context.store.get("training-job", "Job-1")
    assert job is not None
    assert job.state["component"] == "job-1-aws-training-job"


def test_a_job_that_is_refused_leaves_no_component(context: Context) -> None:
    fit(context)
    with pytest.raises(ResourceInUse):
        fit(context)
    assert len(ask(context, "ListTrialComponents")["TrialComponentSummaries"]) == 1


def test_a_component_goes_into_the_trial_that_is_named(context: Context) -> None:
    ask(context, "CreateExperiment", ExperimentName="e")
    ask(context, "CreateTrial", TrialName="t", ExperimentName="e")
    component = fit(
        context, ExperimentName="E", TrialName="T", TrialComponentDisplayName="shown", RunName="e-run-1"
    )
    assert trials_of(context, component) == ["t"]
    assert component["DisplayName"] == "shown"
    job = ask(context, "DescribeTrainingJob", TrainingJobName="Job-1")
    assert job["ExperimentConfig"]["RunName"] == "e-run-1", "load_run reads it there"
    second = fit(context, "Job-2", TrialName="t")
    assert trials_of(context, second) == ["t"]


def test_a_trial_is_made_where_only_the_experiment_is_named(context: Context) -> None:
    ask(context, "CreateExperiment", ExperimentName="Mine")
    component = fit(context, ExperimentName="mine")
    assert trials_of(context, component) == ["Job-1-aws-trial"]
    trial = ask(context, "DescribeTrial", TrialName="Job-1-aws-trial")
    assert trial["ExperimentName"] == "Mine"
    assert trial["Source"]["SourceArn"] == f"{ARN}training-job/job-1"
    of_mine = ask(context, "ListTrialComponents", ExperimentName="Mine")["TrialComponentSummaries"]
    assert [each["TrialComponentName"] for each in of_mine] == [component["TrialComponentName"]]


@pytest.mark.parametrize(
    ("config", "fault", "words"),
    [
        ({"ExperimentName": "none"}, ResourceNotFound, "ExperimentConfig.ExperimentName: .*CreateExperiment"),
        ({"TrialName": "none"}, ResourceNotFound, "ExperimentConfig.TrialName: .*CreateTrial"),
        ({"ExperimentName": "other", "TrialName": "t"}, ValidationException, "belongs to the experiment 'e'"),
    ],
)
def test_an_experiment_config_that_fits_nothing_is_refused(
    context: Context, config: dict[str, str], fault: type[ClientFault], words: str
) -> None:
    for experiment in ("e", "other"):
        ask(context, "CreateExperiment", ExperimentName=experiment)
    ask(context, "CreateTrial", TrialName="t", ExperimentName="e")
    with pytest.raises(fault, match=words):
        fit(context, **config)
    assert context.store.get("training-job", "Job-1") is None
    assert ask(context, "ListTrialComponents")["TrialComponentSummaries"] == []


def test_a_job_is_found_by_the_name_in_its_arn(context: Context) -> None:
    fit(context)
    described = ask(context, "DescribeTrainingJob", TrainingJobName="job-1")
    assert described["TrainingJobName"] == "Job-1"


@pytest.mark.parametrize("name", ["Job-1", "job-1"])
def test_stopping_a_job_shows_in_its_component(context: Context, name: str) -> None:
    fit(context)
    training.stop(context, {"TrainingJobName": name})
    status = component_of(context, f"{ARN}training-job/job-1")["Status"]
    assert status["PrimaryStatus"] == "Stopping"


def test_the_record_outlives_the_job_and_the_next_of_its_name_has_its_own(context: Context) -> None:
    fit(context)
    context.store.append([Point("training-job/Job-1", "loss", 1.0, 0.5)])
    end(context, "Job-1")
    training.delete(context, {"TrainingJobName": "Job-1"})
    old = component_of(context, f"{ARN}training-job/job-1")
    assert [(each["MetricName"], each["Last"]) for each in old["Metrics"]] == [("loss", 0.5)]
    assert old["Metrics"][0]["SourceArn"] == old["Source"]["SourceArn"]
    new = fit(context)
    assert new["TrialComponentName"].startswith("Job-1-aws-training-job-")
    context.store.append([Point("training-job/Job-1", "loss", 2.0, 0.25)])
    metrics = {}
    for component in (old, new):
        name = component["TrialComponentName"]
        again = ask(context, "DescribeTrialComponent", TrialComponentName=name)
        metrics[name] = [each["Last"] for each in again["Metrics"]]
    assert metrics == {old["TrialComponentName"]: [0.5], new["TrialComponentName"]: [0.25]}


def test_a_job_whose_component_was_deleted_can_be_deleted(context: Context) -> None:
    fit(context)
    ask(context, "DeleteTrialComponent", TrialComponentName="job-1-aws-training-job")
    training.stop(context, {"TrainingJobName": "Job-1"})
    end(context, "Job-1")
    context.store.append([Point("training-job/Job-1", "loss", 1.0, 0.5)])
    training.delete(context, {"TrainingJobName": "Job-1"})
    assert list(context.store.summaries_under("")) == []


def study(context: Context) -> None:
    definition = {**DEFINITION, "StaticHyperParameters": {**PROGRAM, "epochs": "3"}}
    request = {
        "HyperParameterTuningJobName": "Study",
        "HyperParameterTuningJobConfig": {
            "Strategy": "Random",
            "HyperParameterTuningJobObjective": {"Type": "Minimize", "MetricName": "loss"},
            "ResourceLimits": {"MaxNumberOfTrainingJobs": 2, "MaxParallelTrainingJobs": 1},
            "ParameterRanges": {
                "ContinuousParameterRanges": [{"Name": "lr", "MinValue": "0.1", "MaxValue": "1"}]
            },
        },
        "TrainingJobDefinition": definition,
    }
    tuning.create(context, request)


def test_a_tuning_job_makes_its_experiment_trial_and_component(context: Context) -> None:
    study(context)
    source = {
        "SourceArn": f"{ARN}hyper-parameter-tuning-job/study",
        "SourceType": "SageMakerHyperParameterTuningJob",
    }
    experiment = ask(context, "DescribeExperiment", ExperimentName="Study-aws-tuning-job")
    assert experiment["Source"] == source
    trials = ask(context, "ListTrials", ExperimentName="study-aws-tuning-job")["TrialSummaries"]
    assert [(each["TrialName"], each["TrialSource"]) for each in trials] == [("Study-aws-tuning-job", source)]
    component = component_of(context, source["SourceArn"])
    assert component["Parameters"]["epochs"] == {"NumberValue": 3.0}
    assert trials_of(context, component) == [], "the trial is for the children"
    row = context.store.get("hyper-parameter-tuning-job", "Study")
    assert row is not None
    assert row.state["trial"] == row.state["component"] == "study-aws-tuning-job"
    tuning.stop(context, {"HyperParameterTuningJobName": "Study"})
    assert component_of(context, source["SourceArn"])["Status"]["PrimaryStatus"] == "Stopping"


def test_a_second_study_of_a_name_has_an_experiment_of_its_own(context: Context) -> None:
    study(context)
    context.store.update("hyper-parameter-tuning-job", "Study", lambda row: replace(row, status="Completed"))
    tuning.delete(context, {"HyperParameterTuningJobName": "Study"})
    study(context)
    found = ask(context, "ListExperiments", SortBy="CreationTime")["ExperimentSummaries"]
    first, second = found[1]["ExperimentName"], found[0]["ExperimentName"]
    assert first == "Study-aws-tuning-job"
    assert second.startswith(f"{first}-")
    assert len(ask(context, "ListTrials", ExperimentName=second)["TrialSummaries"]) == 1


assert experiments and experiments_list  # they offer operations that `ask` looks up


def test_a_component_made_by_hand_in_place_of_the_jobs_is_left_alone(context: Context) -> None:
    name = fit(context)["TrialComponentName"]
    context.store.append([Point("training-job/Job-1", "loss", 1.0, 0.5)])
    ask(context, "DeleteTrialComponent", TrialComponentName=name)
    ask(context, "CreateTrialComponent", TrialComponentName=name)
    training.stop(context, {"TrainingJobName": "Job-1"})
    end(context, "Job-1", "Stopped")
    training.delete(context, {"TrainingJobName": "Job-1"})
    mine = ask(context, "DescribeTrialComponent", TrialComponentName=name)
    assert "Status" not in mine and mine["Metrics"] == []
    assert context.store.links(kind="source") == ()
