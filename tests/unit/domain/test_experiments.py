from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import pytest

from clary.domain.experiments import (
    artifact,
    component_name,
    component_of,
    ending_of,
    parameter,
    row_name,
    row_of,
    series_of,
    stopping_of,
)
from clary.domain.names import Account

ACCOUNT = Account("123456789012", "us-east-1")
ARN = "arn:aws:sagemaker:us-east-1:123456789012:"


@dataclass
class Row:
    kind: str
    name: str
    arn: str
    status: str
    spec: dict[str, Any]
    state: dict[str, Any]
    modified: float = 99.0


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("3", {"NumberValue": 3.0}),
        ("-1.5e-3", {"NumberValue": -0.0015}),
        (".5", {"NumberValue": 0.5}),
        ('"adam"', {"StringValue": '"adam"'}),
        ("1e999", {"StringValue": "1e999"}),
        ("nan", {"StringValue": "nan"}),
        ("1_000", {"StringValue": "1_000"}),
        (" 1", {"StringValue": " 1"}),
        ("true", {"StringValue": "true"}),
        ("٣", {"StringValue": "٣"}),
        ("", {"StringValue": ""}),
    ],
)
def test_a_hyperparameter_is_a_number_only_where_it_is_written_as_one(
    text: str, value: dict[str, Any]
) -> None:
    assert parameter(text) == value


def test_rows_are_named_without_case_and_keep_the_spelling() -> None:
    row = row_of(ACCOUNT, "experiment", {"ExperimentName": "Mine", "Tags": []}, now=1.0)
    assert (row["name"], row["arn"]) == ("mine", f"{ARN}experiment/mine")
    assert row["spec"] == {"ExperimentName": "Mine"}
    assert row["state"] == {"DisplayName": "Mine"}
    assert row_name(row["arn"]) == row_name("MINE") == "mine"


TRAINING = {
    "TrainingJobName": "Fit",
    "AlgorithmSpecification": {"TrainingImage": "image:1"},
    "HyperParameters": {"epochs": "3", "optimizer": '"adam"'},
    "InputDataConfig": [
        {
            "ChannelName": "train",
            "ContentType": "text/csv",
            "DataSource": {"S3DataSource": {"S3DataType": "S3Prefix", "S3Uri": "s3://b/train"}},
        },
        {"ChannelName": "files", "DataSource": {"FileSystemDataSource": {"FileSystemId": "fs"}}},
    ],
    "ResourceConfig": {"InstanceType": "ml.g5.xlarge", "InstanceCount": 2, "VolumeSizeInGB": 30},
    "ExperimentConfig": {"TrialComponentDisplayName": "shown", "RunName": "run-1"},
}


def test_the_component_of_a_training_job() -> None:
    row = component_of(
        ACCOUNT, "training-job", "Fit", TRAINING, now=5.0, name=component_name("training-job", "Fit")
    )
    assert row["name"] == "fit-aws-training-job"
    assert row["spec"]["TrialComponentName"] == "Fit-aws-training-job"
    assert row["state"] == {
        "DisplayName": "shown",
        "Status": {"PrimaryStatus": "InProgress", "Message": "Status: InProgress."},
        "Source": {"SourceArn": f"{ARN}training-job/fit", "SourceType": "SageMakerTrainingJob"},
        "Parameters": {
            "epochs": {"NumberValue": 3.0},
            "optimizer": {"StringValue": '"adam"'},
            "SageMaker.InstanceType": {"StringValue": "ml.g5.xlarge"},
            "SageMaker.InstanceCount": {"NumberValue": 2.0},
            "SageMaker.VolumeSizeInGB": {"NumberValue": 30.0},
        },
        "InputArtifacts": {
            "SageMaker.ImageUri": {"Value": "image:1"},
            "train": {"MediaType": "text/csv", "Value": "s3://b/train"},
        },
        "OutputArtifacts": {},
        "RunName": "run-1",
        "series": "training-job/Fit",
    }


PROCESSING = {
    "ProcessingJobName": "Eval",
    "AppSpecification": {"ImageUri": "image:2"},
    "ProcessingResources": {
        "ClusterConfig": {"InstanceType": "ml.m5.large", "InstanceCount": 1, "VolumeSizeInGB": 10}
    },
    "ProcessingInputs": [
        {"InputName": "code", "S3Input": {"S3Uri": "s3://b/eval.py"}},
        {"InputName": "table", "DatasetDefinition": {}},
    ],
    "ProcessingOutputConfig": {
        "Outputs": [
            {"OutputName": "evaluation", "S3Output": {"S3Uri": "s3://b/evaluation"}},
            {"OutputName": "features", "AppManaged": True},
        ]
    },
}


def test_the_component_of_a_processing_job_and_its_end() -> None:
    row = component_of(ACCOUNT, "processing-job", "Eval", PROCESSING, now=5.0, name="eval-aws-processing-job")
    state = row["state"]
    assert state["Parameters"]["SageMaker.InstanceType"] == {"StringValue": "ml.m5.large"}
    assert state["InputArtifacts"] == {
        "SageMaker.ImageUri": {"Value": "image:2"},
        "code": {"Value": "s3://b/eval.py"},
    }
    job = Row("processing-job", "Eval", "", "Completed", PROCESSING, {"started": 6.0, "ended": 8.0})
    ended = ending_of(state, job)
    assert ended["OutputArtifacts"] == {"evaluation": {"Value": "s3://b/evaluation"}}
    assert (ended["StartTime"], ended["EndTime"]) == (6.0, 8.0)
    assert ending_of(ended, job) == ended


def test_the_component_of_a_study_has_what_its_first_definition_fixes() -> None:
    definition = {
        "StaticHyperParameters": {"epochs": "1"},
        "AlgorithmSpecification": {"TrainingImage": "image"},
        "HyperParameterTuningResourceConfig": {"InstanceType": "ml.m5.large", "InstanceCount": 1},
    }
    for request in ({"TrainingJobDefinition": definition}, {"TrainingJobDefinitions": [definition, {}]}):
        row = component_of(ACCOUNT, "hyper-parameter-tuning-job", "Study", request, now=1.0, name="x")
        assert row["state"]["Parameters"] == {
            "epochs": {"NumberValue": 1.0},
            "SageMaker.InstanceType": {"StringValue": "ml.m5.large"},
            "SageMaker.InstanceCount": {"NumberValue": 1.0},
        }
    assert component_name("hyper-parameter-tuning-job", "Study") == "Study-aws-tuning-job"


def test_the_end_of_a_failed_job_tells_why_in_1024_characters() -> None:
    job = Row("training-job", "a", "", "Failed", {}, {"secondary": "Failed", "reason": "x" * 1024})
    ended = ending_of({"Status": {"PrimaryStatus": "InProgress"}}, job)
    assert ended["Status"]["PrimaryStatus"] == "Failed"
    message = ended["Status"]["Message"]
    assert len(message) == 1024
    assert message.startswith("Status: Failed, secondary status: Failed, failure reason: xxx")
    assert "StartTime" not in ended, "it never started"
    assert ended["EndTime"] == job.modified
    assert ended["OutputArtifacts"] == {}


def test_the_model_is_the_output_of_a_training_job() -> None:
    job = Row("training-job", "a", "", "Completed", {}, {"secondary": "Completed", "artifacts": "s3://m"})
    ended = ending_of({"OutputArtifacts": {"mine": {"Value": "v"}}}, job)
    assert ended["OutputArtifacts"] == {
        "mine": {"Value": "v"},
        "SageMaker.ModelArtifact": {"Value": "s3://m"},
    }
    assert ended["Status"]["Message"] == "Status: Completed, secondary status: Completed, failure reason: ."


def test_only_what_is_in_progress_can_be_stopping() -> None:
    ended = {"Status": {"PrimaryStatus": "Completed"}}
    assert stopping_of(ended) is ended
    assert stopping_of({"Status": {"PrimaryStatus": "InProgress"}})["Status"]["PrimaryStatus"] == "Stopping"


def test_a_media_type_that_does_not_fit_is_left_out() -> None:
    assert artifact("s3://x", "text/csv; header=1") == {"Value": "s3://x"}
    assert artifact("s3://x", f"text/{'x' * 64}") == {"Value": "s3://x"}


def test_metrics_are_in_the_components_series_and_its_jobs() -> None:
    own = Row("experiment-trial-component", "c", "arn-c", "Active", {}, {})
    assert series_of(own) == {"experiment-trial-component/c": "arn-c"}
    own.state = {"series": "training-job/Fit", "Source": {"SourceArn": "arn-fit"}}
    assert series_of(own) == {"experiment-trial-component/c": "arn-fit", "training-job/Fit": "arn-fit"}
