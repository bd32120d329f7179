"""Training operations over a real store and real objects, called as functions."""

from __future__ import annotations

from dataclasses import replace
from functools import partial
from typing import Any

import pytest

from clary.domain.transitions import enter
from clary.errors import ClientFault, ResourceInUse, ValidationException
from clary.services import tags, training, training_list
from clary.services.operations import Context
from tests.unit.services.asking import end_job

REQUEST: dict[str, Any] = {
    "TrainingJobName": "job-1",
    "RoleArn": "arn:aws:iam::123456789012:role/any",
    "AlgorithmSpecification": {
        "TrainingImage": "image",
        "TrainingInputMode": "File",
        "MetricDefinitions": [{"Name": "loss", "Regex": "loss=(.*)"}],
    },
    "HyperParameters": {
        "sagemaker_program": '"train.py"',
        "sagemaker_submit_directory": '"s3://data/src.tar.gz"',
    },
    "InputDataConfig": [
        {
            "ChannelName": "train",
            "DataSource": {"S3DataSource": {"S3DataType": "S3Prefix", "S3Uri": "s3://data/train"}},
        }
    ],
    "OutputDataConfig": {"S3OutputPath": "s3://data/out"},
    "ResourceConfig": {"InstanceType": "ml.p3.2xlarge", "InstanceCount": 1, "VolumeSizeInGB": 30},
    "StoppingCondition": {"MaxRuntimeInSeconds": 3600},
    "Tags": [{"Key": "team", "Value": "nlp"}],
}


def changed(path: str, value: Any) -> dict[str, Any]:
    """REQUEST with the member at a dotted path replaced, or left out where `value` is None."""
    head, _, rest = path.partition(".")

    def put(node: Any, key: str, rest: str) -> Any:
        index: Any = int(key) if key.isdigit() else key
        child = node[index] if isinstance(node, list) else node.get(index, {})
        following, _, further = rest.partition(".")
        new = put(child, following, further) if following else value
        if isinstance(node, list):
            return [new if at == index else entry for at, entry in enumerate(node)]
        return {key: entry for key, entry in {**node, index: new}.items() if entry is not None}

    result: dict[str, Any] = put(REQUEST, head, rest)
    return result


end = partial(end_job, kind="training-job")


def test_describe_gives_back_what_was_asked_and_what_the_sdks_read(context: Context) -> None:
    training.create(context, REQUEST)
    described = training.describe_job(context, {"TrainingJobName": "job-1"})
    for key, value in REQUEST.items():
        if key not in {"Tags", "OutputDataConfig", "AlgorithmSpecification"}:
            assert described[key] == value
    assert described["OutputDataConfig"]["KmsKeyId"] == ""
    assert described["AlgorithmSpecification"]["EnableSageMakerMetricsTimeSeries"] is True
    assert described["SecondaryStatusTransitions"][0]["StatusMessage"]
    assert "TrainingStartTime" not in described
    assert "FailureReason" not in described
    assert tags.list_tags(context, {"ResourceArn": described["TrainingJobArn"]})["Tags"] == REQUEST["Tags"]


def test_a_taken_name_is_refused_with_the_text_clients_match(context: Context) -> None:
    answer = training.create(context, REQUEST)
    with pytest.raises(ResourceInUse, match="Training job names must be unique") as refusal:
        training.create(context, REQUEST)
    assert answer["TrainingJobArn"] in refusal.value.message


@pytest.mark.parametrize(
    ("path", "value", "words"),
    [
        ("AlgorithmSpecification", None, "AlgorithmSpecification is required"),
        ("AlgorithmSpecification.TrainingImage", None, "TrainingImage is required"),
        ("AlgorithmSpecification.AlgorithmName", "xgboost", "AlgorithmName is not supported"),
        ("AlgorithmSpecification.TrainingInputMode", "Pipe", "TrainingInputMode Pipe is not supported"),
        ("AlgorithmSpecification.MetricDefinitions.0.Regex", "loss=(", "MetricDefinitions[0].Regex"),
        ("AlgorithmSpecification.MetricDefinitions.0.Regex", "a{99999999999}", "metric 'loss'"),
        ("HyperParameters.sagemaker_program", None, "lacks sagemaker_program"),
        ("InputDataConfig", REQUEST["InputDataConfig"] * 2, "two channels named 'train'"),
        (
            "InputDataConfig.0.DataSource",
            {"FileSystemDataSource": {}},
            "FileSystemDataSource is not supported",
        ),
        ("InputDataConfig.0.DataSource.S3DataSource.S3Uri", "s3://gone/x", "there is no bucket 'gone'"),
        ("InputDataConfig.0.DataSource.S3DataSource.S3Uri", "http://x", "is not of the form s3://"),
        ("InputDataConfig.0.ChannelName", "..", "ChannelName becomes a folder"),
        ("InputDataConfig.0.DataSource", {}, "DataSource is empty: give S3DataSource"),
        ("Environment", {"A": "a\0b"}, "'Environment.A' holds a NUL character"),
        ("HyperParameters.a", "\0", "'HyperParameters.a' holds a NUL character"),
        ("AlgorithmSpecification.ContainerEntrypoint", ["a", "\0"], "ContainerEntrypoint' holds a NUL"),
        (
            "CheckpointConfig",
            {"S3Uri": "s3://data/c", "LocalPath": "/opt/ml/../etc"},
            "CheckpointConfig.LocalPath '/opt/ml/../etc' must lie below /opt/ml",
        ),
        ("InputDataConfig.0.InputMode", "FastFile", "InputMode FastFile is not supported"),
        ("InputDataConfig.0.CompressionType", "Gzip", "valid with Pipe mode only"),
        (
            "OutputDataConfig.S3OutputPath",
            "s3://gone/out",
            "OutputDataConfig.S3OutputPath: there is no bucket",
        ),
        ("CheckpointConfig", {"S3Uri": "s3://gone/c"}, "CheckpointConfig.S3Uri: there is no bucket"),
        ("ResourceConfig", None, "ResourceConfig is required"),
        ("ResourceConfig.InstanceCount", 2, "more than one is not supported"),
        ("StoppingCondition.MaxRuntimeInSeconds", 29 * 86_400, "more than 28 days"),
        ("StoppingCondition.MaxWaitTimeInSeconds", 7200, "valid with EnableManagedSpotTraining only"),
        ("EnableManagedSpotTraining", True, "MaxWaitTimeInSeconds is required"),
        ("HyperParameters.a", "\ud83d", "'HyperParameters.a' holds half a surrogate pair"),
        (
            "HyperParameters",
            {**REQUEST["HyperParameters"], **{f"h{n}": "x" * 2500 for n in range(44)}},
            "HyperParameters take 11",
        ),
        ("Tags", [{"Key": "aws:x", "Value": ""}], "Tags[0].Key 'aws:x' begins with 'aws:'"),
        ("EnableNetworkIsolation", True, "EnableNetworkIsolation is not supported"),
    ],
)
def test_each_rule_names_the_field(context: Context, path: str, value: Any, words: str) -> None:
    with pytest.raises(ValidationException) as refusal:
        training.create(context, changed(path, value))
    assert words in refusal.value.message
    assert context.store.get("training-job", "job-1") is None


def test_all_faults_are_told_at_once(context: Context) -> None:
    request = {**changed("EnableNetworkIsolation", True), "ResourceConfig": {}}
    with pytest.raises(ValidationException) as refusal:
        training.create(context, request)
    assert "ResourceConfig is required" in refusal.value.message
    assert "EnableNetworkIsolation" in refusal.value.message


def test_stopping_twice_is_fine_and_stopping_an_ended_job_is_not(context: Context) -> None:
    training.create(context, REQUEST)
    training.stop(context, {"TrainingJobName": "job-1"})
    training.stop(context, {"TrainingJobName": "job-1"})
    assert training.describe_job(context, {"TrainingJobName": "job-1"})["TrainingJobStatus"] == "Stopping"
    end(context, "job-1", "Stopped")
    with pytest.raises(ValidationException, match="because the training job is in status Stopped"):
        training.stop(context, {"TrainingJobName": "job-1"})


def test_an_update_is_refused_until_the_job_runs(context: Context) -> None:
    training.create(context, REQUEST)
    request = {"TrainingJobName": "job-1", "ResourceConfig": {"KeepAlivePeriodInSeconds": 60}}
    with pytest.raises(ValidationException, match="only while its secondary status"):
        training.update(context, request)
    context.store.update(
        "training-job", "job-1", lambda job: replace(job, state=enter(job.state, "Training", "", at=1.0))
    )
    training.update(context, request)
    described = training.describe_job(context, {"TrainingJobName": "job-1"})
    assert described["ResourceConfig"] == {**REQUEST["ResourceConfig"], "KeepAlivePeriodInSeconds": 60}


def test_deleting_a_finished_job_frees_its_name_and_its_log(context: Context) -> None:
    training.create(context, REQUEST)
    with pytest.raises(ResourceInUse, match="is in status InProgress"):
        training.delete(context, {"TrainingJobName": "job-1"})
    folder = context.settings.jobs / "training-job" / "job-1-0"
    folder.mkdir(parents=True)
    end(context, "job-1", folder="training-job/job-1-0")
    training.delete(context, {"TrainingJobName": "job-1"})
    assert not folder.exists()
    training.create(context, REQUEST)


@pytest.mark.parametrize("verb", [training.describe_job, training.stop, training.delete, training.update])
def test_an_unknown_job_is_not_found(context: Context, verb: Any) -> None:
    with pytest.raises(ClientFault, match=r"Requested resource not found\."):
        verb(context, {"TrainingJobName": "none"})


def test_a_finished_job_tells_its_times_and_last_metrics(context: Context) -> None:
    training.create(context, REQUEST)
    end(
        context,
        "job-1",
        started=10.0,
        ended=10.2,
        final_metrics={"loss": [0.5, 9.0]},
        artifacts="s3://data/m.tar.gz",
    )
    described = training.describe_job(context, {"TrainingJobName": "job-1"})
    assert described["TrainingTimeInSeconds"] == 1  # clients divide by it
    assert described["FinalMetricDataList"] == [{"MetricName": "loss", "Value": 0.5, "Timestamp": 9.0}]
    assert described["ModelArtifacts"] == {"S3ModelArtifacts": "s3://data/m.tar.gz"}


def test_a_metric_that_ended_in_no_number_has_no_final_value(context: Context) -> None:
    training.create(context, REQUEST)
    end(context, "job-1", final_metrics={"loss": [None, 9.0], "f1": [0.5, 8.0]})
    described = training.describe_job(context, {"TrainingJobName": "job-1"})
    assert [entry["MetricName"] for entry in described["FinalMetricDataList"]] == ["f1"]
    training.create(context, {**REQUEST, "TrainingJobName": "job-2"})
    end(context, "job-2", final_metrics={"loss": [None, 9.0]})
    assert "FinalMetricDataList" not in training.describe_job(context, {"TrainingJobName": "job-2"})


def test_lists_are_newest_first_and_page(context: Context) -> None:
    for number in range(5):
        training.create(context, {**REQUEST, "TrainingJobName": f"job-{number}"})
    first = training_list.list_training_jobs(context, {"MaxResults": 3})
    assert [job["TrainingJobName"] for job in first["TrainingJobSummaries"]] == ["job-4", "job-3", "job-2"]
    second = training_list.list_training_jobs(context, {"MaxResults": 3, "NextToken": first["NextToken"]})
    assert [job["TrainingJobName"] for job in second["TrainingJobSummaries"]] == ["job-1", "job-0"]
    assert "NextToken" not in second


def test_a_status_filter_looks_at_a_page_after_it_was_cut(context: Context) -> None:
    for number in range(4):
        training.create(context, {**REQUEST, "TrainingJobName": f"job-{number}"})
    end(context, "job-0")
    page = training_list.list_training_jobs(context, {"MaxResults": 2, "StatusEquals": "Completed"})
    assert page["TrainingJobSummaries"] == []
    rest = training_list.list_training_jobs(
        context, {"MaxResults": 2, "StatusEquals": "Completed", "NextToken": page["NextToken"]}
    )
    assert [job["TrainingJobName"] for job in rest["TrainingJobSummaries"]] == ["job-0"]


def test_a_forged_token_is_a_clear_refusal(context: Context) -> None:
    with pytest.raises(ValidationException, match="NextToken"):
        training_list.list_training_jobs(context, {"NextToken": "forged"})


def test_tags_are_set_listed_and_removed(context: Context) -> None:
    arn = training.create(context, REQUEST)["TrainingJobArn"]
    added = tags.add_tags(context, {"ResourceArn": arn, "Tags": [{"Key": "team", "Value": "ml"}]})
    assert added["Tags"] == [{"Key": "team", "Value": "ml"}]
    tags.delete_tags(context, {"ResourceArn": arn, "TagKeys": ["team"]})
    assert tags.list_tags(context, {"ResourceArn": arn})["Tags"] == []
    many = [{"Key": str(number), "Value": ""} for number in range(51)]
    with pytest.raises(ValidationException, match="50 at most"):
        tags.add_tags(context, {"ResourceArn": arn, "Tags": many})


@pytest.mark.parametrize("key", ["aws:x", "AWS:", "Aws:cloudformation:stack"])
def test_tags_of_the_service_cannot_be_set(context: Context, key: str) -> None:
    arn = training.create(context, REQUEST)["TrainingJobArn"]
    given = [{"Key": "sagemaker:user", "Value": "me"}, {"Key": key, "Value": ""}]
    with pytest.raises(ValidationException, match="reserved for the service") as refusal:
        tags.add_tags(context, {"ResourceArn": arn, "Tags": given})
    assert "Tags[1].Key" in refusal.value.message
    assert context.store.tags(arn) == {"team": "nlp"}
    with pytest.raises(ValidationException, match="not found"):
        tags.list_tags(context, {"ResourceArn": f"{arn}-x"})
