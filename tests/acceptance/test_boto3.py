"""Plain boto3 against a real server, with nothing but the variables of `clary env`: training jobs and their logs."""

from __future__ import annotations

import json
import time
from collections.abc import Callable
from typing import Any

import pytest
from botocore.exceptions import ClientError, WaiterError

from tests.acceptance.running import CLIENTS, model, source_archive
from tests.server_process import ServerProcess

pytestmark = [pytest.mark.slow, pytest.mark.timeout(300)]

IMAGE = "763104351884.dkr.ecr.us-east-1.amazonaws.com/pytorch-training:2.2.0-cpu-py310-ubuntu20.04-sagemaker"
WAIT = {"Delay": 1, "MaxAttempts": 120}


@pytest.fixture(scope="module")
def sagemaker(shared_server: ServerProcess) -> Any:
    return shared_server.client("sagemaker")


@pytest.fixture(scope="module")
def request_of(shared_server: ServerProcess) -> Callable[..., dict[str, Any]]:
    """A CreateTrainingJob request for one of the scripts; keywords replace members."""
    s3, bucket = shared_server.client("s3"), "work"
    s3.create_bucket(Bucket=bucket)
    s3.put_object(Bucket=bucket, Key="data/one.txt", Body=b"first\nsecond\n")
    s3.put_object(Bucket=bucket, Key="code/sourcedir.tar.gz", Body=source_archive(CLIENTS / "source"))

    def make(name: str, script: str = "train.py", **members: Any) -> dict[str, Any]:
        request = {
            "TrainingJobName": name,
            "AlgorithmSpecification": {
                "TrainingImage": IMAGE,
                "TrainingInputMode": "File",
                "MetricDefinitions": [{"Name": "eval_f1", "Regex": "'eval_f1': ([0-9.]+)"}],
            },
            "RoleArn": shared_server.connection.role_arn,
            "HyperParameters": {
                "sagemaker_program": json.dumps(script),
                "sagemaker_submit_directory": json.dumps(f"s3://{bucket}/code/sourcedir.tar.gz"),
                "epochs": "2",
            },
            "InputDataConfig": [
                {
                    "ChannelName": "train",
                    "DataSource": {
                        "S3DataSource": {
                            "S3DataType": "S3Prefix",
                            "S3Uri": f"s3://{bucket}/data",
                            "S3DataDistributionType": "FullyReplicated",
                        }
                    },
                }
            ],
            "OutputDataConfig": {"S3OutputPath": f"s3://{bucket}/out"},
            "ResourceConfig": {"InstanceType": "ml.m5.large", "InstanceCount": 1, "VolumeSizeInGB": 1},
            "StoppingCondition": {"MaxRuntimeInSeconds": 600},
            "Tags": [{"Key": "team", "Value": "nlp"}],
        }
        return {**request, **members}

    return make


@pytest.fixture(scope="module")
def finished(sagemaker: Any, request_of: Callable[..., dict[str, Any]]) -> dict[str, Any]:
    """The description of a job that went well."""
    arn = sagemaker.create_training_job(**request_of("finished"))["TrainingJobArn"]
    sagemaker.get_waiter("training_job_completed_or_stopped").wait(
        TrainingJobName="finished", WaiterConfig=WAIT
    )
    description: dict[str, Any] = sagemaker.describe_training_job(TrainingJobName="finished")
    assert description["TrainingJobArn"] == arn
    return description


def code_of(caught: pytest.ExceptionInfo[ClientError]) -> str:
    return str(caught.value.response["Error"]["Code"])


def test_describe_merges_what_was_asked_with_what_became_of_it(
    finished: dict[str, Any], request_of: Callable[..., dict[str, Any]]
) -> None:
    asked = request_of("finished")

    assert finished["TrainingJobStatus"] == "Completed", finished.get("FailureReason")
    assert finished["SecondaryStatus"] == "Completed"
    for member in ("HyperParameters", "InputDataConfig", "StoppingCondition", "RoleArn"):
        assert finished[member] == asked[member]
    assert finished["ModelArtifacts"]["S3ModelArtifacts"] == "s3://work/out/finished/output/model.tar.gz"
    assert finished["CreationTime"] <= finished["TrainingStartTime"] <= finished["TrainingEndTime"]
    steps = [step["Status"] for step in finished["SecondaryStatusTransitions"]]
    assert steps == ["Starting", "Downloading", "Training", "Uploading", "Completed"]
    assert all("EndTime" in step for step in finished["SecondaryStatusTransitions"][:-1])
    assert finished["FinalMetricDataList"][0]["MetricName"] == "eval_f1"
    assert finished["FinalMetricDataList"][0]["Value"] == pytest.approx(0.75)


def test_the_model_holds_what_the_script_left(finished: dict[str, Any], shared_server: ServerProcess) -> None:
    report = json.loads(model(shared_server, finished["ModelArtifacts"]["S3ModelArtifacts"])["report.json"])

    assert report["arguments"] == ["--epochs", "2"]
    assert report["lines"] == ["first", "second"]
    assert model(shared_server, "s3://work/out/finished/output/output.tar.gz") == {
        "predictions.txt": b"1\n0\n"
    }


def test_logs_are_read_page_by_page(finished: dict[str, Any], shared_server: ServerProcess) -> None:
    logs = shared_server.client("logs")
    group = "/aws/sagemaker/TrainingJobs"
    streams = logs.describe_log_streams(logGroupName=group, logStreamNamePrefix="finished/")["logStreams"]
    assert len(streams) == 1
    assert streams[0]["logStreamName"].startswith("finished/algo-1")
    where = {"logGroupName": group, "logStreamName": streams[0]["logStreamName"], "startFromHead": True}

    messages, token = [], {}
    while True:
        page = logs.get_log_events(**where, **token, limit=2)
        token = {"nextToken": page["nextForwardToken"]}
        if not page["events"]:
            break
        messages += [event["message"] for event in page["events"]]

    whole = [event["message"] for event in logs.get_log_events(**where)["events"]]
    assert messages == whole
    assert "training  on 2 lines" in messages
    assert messages.index("done") > messages.index("training  on 2 lines")


def test_lists_filter_and_sort(finished: dict[str, Any], sagemaker: Any) -> None:
    found = sagemaker.list_training_jobs(
        NameContains="finish", StatusEquals="Completed", SortBy="CreationTime"
    )

    assert [job["TrainingJobName"] for job in found["TrainingJobSummaries"]] == ["finished"]
    assert sagemaker.list_training_jobs(NameContains="nothing-like-it")["TrainingJobSummaries"] == []


def test_tags_are_kept(finished: dict[str, Any], sagemaker: Any) -> None:
    assert sagemaker.list_tags(ResourceArn=finished["TrainingJobArn"])["Tags"] == [
        {"Key": "team", "Value": "nlp"}
    ]


def test_the_waiter_tells_of_a_failure(sagemaker: Any, request_of: Callable[..., dict[str, Any]]) -> None:
    sagemaker.create_training_job(**request_of("failing", "fail.py"))

    with pytest.raises(WaiterError, match="Failed"):
        waiter = sagemaker.get_waiter("training_job_completed_or_stopped")
        waiter.wait(TrainingJobName="failing", WaiterConfig=WAIT)

    description = sagemaker.describe_training_job(TrainingJobName="failing")
    assert description["TrainingJobStatus"] == "Failed"
    assert "ValueError: the data set has 3 rows but needs 16" in description["FailureReason"]
    assert "TrainingEndTime" in description


def test_a_job_is_stopped_and_its_model_kept(
    sagemaker: Any, request_of: Callable[..., dict[str, Any]], shared_server: ServerProcess
) -> None:
    sagemaker.create_training_job(**request_of("endless", "endless.py"))
    logs = shared_server.client("logs")
    while not _has_said(logs, "endless", "running"):
        time.sleep(0.1)

    sagemaker.stop_training_job(TrainingJobName="endless")
    assert sagemaker.describe_training_job(TrainingJobName="endless")["TrainingJobStatus"] in (
        "Stopping",
        "Stopped",
    )
    waiter = sagemaker.get_waiter("training_job_completed_or_stopped")
    waiter.wait(TrainingJobName="endless", WaiterConfig=WAIT)

    description = sagemaker.describe_training_job(TrainingJobName="endless")
    assert description["TrainingJobStatus"] == "Stopped"
    assert (
        model(shared_server, description["ModelArtifacts"]["S3ModelArtifacts"])["partial.txt"]
        == b"half of it"
    )
    with pytest.raises(ClientError) as caught:
        sagemaker.stop_training_job(TrainingJobName="endless")
    assert code_of(caught) == "ValidationException"


def test_a_deleted_job_is_gone(sagemaker: Any, request_of: Callable[..., dict[str, Any]]) -> None:
    sagemaker.create_training_job(**request_of("short-lived"))
    with pytest.raises(ClientError):
        sagemaker.delete_training_job(TrainingJobName="short-lived")  # it still runs
    waiter = sagemaker.get_waiter("training_job_completed_or_stopped")
    waiter.wait(TrainingJobName="short-lived", WaiterConfig=WAIT)

    sagemaker.delete_training_job(TrainingJobName="short-lived")

    with pytest.raises(ClientError) as caught:
        sagemaker.describe_training_job(TrainingJobName="short-lived")
    assert code_of(caught) == "ValidationException"


def test_a_name_is_taken_once(
    finished: dict[str, Any], sagemaker: Any, request_of: Callable[..., dict[str, Any]]
) -> None:
    with pytest.raises(sagemaker.exceptions.ResourceInUse):
        sagemaker.create_training_job(**request_of("finished"))


@pytest.mark.parametrize("operation", ["describe_training_job", "stop_training_job", "delete_training_job"])
def test_an_unknown_job_is_named_in_the_error(sagemaker: Any, operation: str) -> None:
    with pytest.raises(ClientError) as caught:
        getattr(sagemaker, operation)(TrainingJobName="no-such-job")

    assert code_of(caught) in ("ValidationException", "ResourceNotFound")


def test_all_faults_of_a_request_come_in_one_message(
    sagemaker: Any, request_of: Callable[..., dict[str, Any]]
) -> None:
    wrong = request_of("under_scores", RoleArn="not the name of any role")

    with pytest.raises(ClientError) as caught:
        sagemaker.create_training_job(**wrong)

    assert code_of(caught) == "ValidationException"
    message = caught.value.response["Error"]["Message"]
    assert "2 validation errors detected" in message
    assert "trainingJobName" in message
    assert "roleArn" in message


def test_an_operation_nobody_wrote_is_refused_cleanly(sagemaker: Any) -> None:
    with pytest.raises(ClientError) as caught:
        sagemaker.list_hubs()

    assert code_of(caught) == "UnknownOperationException"
    assert caught.value.response["ResponseMetadata"]["HTTPStatusCode"] < 500


def _has_said(logs: Any, job: str, message: str) -> bool:
    group = "/aws/sagemaker/TrainingJobs"
    for stream in logs.describe_log_streams(logGroupName=group, logStreamNamePrefix=f"{job}/")["logStreams"]:
        page = logs.get_log_events(
            logGroupName=group, logStreamName=stream["logStreamName"], startFromHead=True
        )
        if message in [event["message"] for event in page["events"]]:
            return True
    return False
