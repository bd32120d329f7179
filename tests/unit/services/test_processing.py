"""Processing operations over a real store and real objects, called as functions."""

from __future__ import annotations

from dataclasses import replace
from functools import partial
from typing import Any

import pytest

from clary.errors import ClientFault, ResourceInUse, ValidationException
from clary.services import logs, processing, tags
from clary.services.operations import Context
from tests.unit.services.asking import end_job

KIND = "processing-job"


def source(name: str, local_path: str | None = None, **more: Any) -> dict[str, Any]:
    path = {} if local_path == "" else {"LocalPath": local_path or f"/opt/ml/processing/{name}"}
    return {
        "InputName": name,
        "AppManaged": False,
        "S3Input": {
            "S3Uri": f"s3://data/{name}",
            "S3DataType": "S3Prefix",
            "S3InputMode": "File",
            **path,
            **more,
        },
    }


def target(name: str, local_path: str | None = None, **more: Any) -> dict[str, Any]:
    place = {"S3Uri": f"s3://data/{name}", "LocalPath": local_path or f"/opt/ml/processing/{name}"}
    return {
        "OutputName": name,
        "AppManaged": False,
        "S3Output": {**place, "S3UploadMode": "EndOfJob", **more},
    }


REQUEST: dict[str, Any] = {
    "ProcessingJobName": "job-1",
    "RoleArn": "arn:aws:iam::123456789012:role/any",
    "AppSpecification": {
        "ImageUri": "image",
        "ContainerEntrypoint": ["python3", "/opt/ml/processing/input/code/run.py"],
        "ContainerArguments": ["--threshold", "0.5"],
    },
    "ProcessingInputs": [source("input"), source("code", "/opt/ml/processing/input/code")],
    "ProcessingOutputConfig": {"Outputs": [target("out")]},
    "ProcessingResources": {
        "ClusterConfig": {"InstanceType": "ml.m5.xlarge", "InstanceCount": 1, "VolumeSizeInGB": 30}
    },
    "Environment": {"KEY": "value"},
    "NetworkConfig": {"EnableNetworkIsolation": False},
    "Tags": [{"Key": "team", "Value": "nlp"}],
}


@pytest.fixture
def context(context: Context) -> Context:
    return replace(context, capacity=lambda instance_type: 4)


end = partial(end_job, kind=KIND)


def describe(context: Context, name: str = "job-1") -> Any:
    return processing.describe_job(context, {"ProcessingJobName": name})


def test_describe_gives_back_what_was_asked_and_what_the_sdks_read(context: Context) -> None:
    answer: Any = processing.create(context, REQUEST)
    described = describe(context)
    for key, value in REQUEST.items():
        if key != "Tags":
            assert described[key] == value
    assert described["ProcessingJobArn"] == answer["ProcessingJobArn"]
    assert described["ProcessingJobStatus"] == "InProgress"
    assert described["StoppingCondition"] == {"MaxRuntimeInSeconds": 86_400}
    assert not {"ProcessingStartTime", "ExitMessage", "FailureReason"} & described.keys()
    found: Any = tags.list_tags(context, {"ResourceArn": described["ProcessingJobArn"]})
    assert found["Tags"] == REQUEST["Tags"]


def test_describe_fills_in_the_count_that_clients_read(context: Context) -> None:
    cluster = {"InstanceType": "ml.m5.xlarge", "VolumeSizeInGB": 1}
    processing.create(context, {**REQUEST, "ProcessingResources": {"ClusterConfig": cluster}})
    assert describe(context)["ProcessingResources"]["ClusterConfig"]["InstanceCount"] == 1


def test_an_ended_job_tells_its_times_its_reason_and_its_message(context: Context) -> None:
    processing.create(context, REQUEST)
    end(
        context, "job-1", "Failed", started=1.0, ended=2.0, reason="AlgorithmError: boom", exit_message="half"
    )
    described = describe(context)
    assert (described["ProcessingStartTime"], described["ProcessingEndTime"]) == (1.0, 2.0)
    assert (described["FailureReason"], described["ExitMessage"]) == ("AlgorithmError: boom", "half")


def test_a_taken_name_is_refused(context: Context) -> None:
    answer: Any = processing.create(context, REQUEST)
    with pytest.raises(ResourceInUse, match="Processing job names must be unique") as refusal:
        processing.create(context, REQUEST)
    assert answer["ProcessingJobArn"] in refusal.value.message


OUTPUTS = "ProcessingOutputConfig"
MANAGED = {
    "InputName": "own",
    "AppManaged": True,
    "S3Input": {"S3Uri": "s3://nowhere/x", "S3DataType": "S3Prefix"},
}


@pytest.mark.parametrize(
    "changes",
    [
        {"ProcessingInputs": []},
        {"ProcessingInputs": [MANAGED]},
        {
            "ProcessingInputs": [
                source("a", S3DataType="ManifestFile", S3DataDistributionType="ShardedByS3Key")
            ]
        },
        {"ProcessingInputs": [source("a", S3CompressionType="None")]},
        {OUTPUTS: {"Outputs": [target("a", "/opt/ml/processing/input")]}},
        {OUTPUTS: {"Outputs": [target("a", "/opt/ml/processing/a/"), target("b", "/opt/ml/processing/a/b")]}},
        {OUTPUTS: {"Outputs": [target("a", S3UploadMode="Continuous")], "KmsKeyId": "key"}},
        {"NetworkConfig": {"EnableInterContainerTrafficEncryption": True, "VpcConfig": {"Subnets": ["s"]}}},
        {"ProcessingResources": {"ClusterConfig": {"InstanceType": "ml.any", "InstanceCount": 4}}},
        {"ExperimentConfig": {}},
    ],
)
def test_what_the_sdks_may_send_is_taken(context: Context, changes: dict[str, Any]) -> None:
    processing.create(context, {**REQUEST, **changes})
    assert describe(context)["ProcessingJobStatus"] == "InProgress"


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"AppSpecification": {"ImageUri": "image"}}, "ContainerEntrypoint is required"),
        (
            {"AppSpecification": {"ImageUri": "image", "ContainerArguments": ["a"]}},
            "ContainerEntrypoint is required",
        ),
        (
            {"ProcessingInputs": [source("a"), source("a", "/opt/ml/processing/b")]},
            "InputName 'a' is there 2",
        ),
        (
            {"ProcessingInputs": [source("a"), source("b", "/opt/ml/processing/a/")]},
            "LocalPath .* is there 2",
        ),
        ({"ProcessingInputs": [source("a", "/opt/ml/input")]}, "must begin with /opt/ml/processing/"),
        ({"ProcessingInputs": [source("a", "/opt/ml/processing")]}, "must begin with /opt/ml/processing/"),
        ({"ProcessingInputs": [source("a", "/opt/ml/processing/../model")]}, "must begin with"),
        ({"ProcessingInputs": [source("a", "opt/ml/processing/a")]}, "must begin with"),
        ({"ProcessingInputs": [source("a", "")]}, "LocalPath is required"),
        ({"ProcessingInputs": [source("a", "/opt/ml/processing/\0")]}, "NUL"),
        ({"ProcessingInputs": [source("a", S3InputMode="Pipe")]}, "Pipe is not supported"),
        ({"ProcessingInputs": [source("a", S3InputMode="Pipe", S3CompressionType="Gzip")]}, "not supported"),
        ({"ProcessingInputs": [source("a", S3CompressionType="Gzip")]}, "valid with S3InputMode Pipe only"),
        ({"ProcessingInputs": [{"InputName": "a"}]}, "S3Input is required"),
        (
            {"ProcessingInputs": [{"InputName": "a", "DatasetDefinition": {}}]},
            "DatasetDefinition .* not supported",
        ),
        ({"ProcessingInputs": [source("a", S3Uri="s3://nowhere/a")]}, "no bucket 'nowhere'"),
        ({"ProcessingInputs": [source("a", S3Uri="https://data/a")]}, "not of the form s3://"),
        (
            {OUTPUTS: {"Outputs": [target("a"), target("a", "/opt/ml/processing/b")]}},
            "OutputName 'a' is there 2",
        ),
        (
            {OUTPUTS: {"Outputs": [target("a"), target("b", "/opt/ml/processing/a")]}},
            "LocalPath .* is there 2",
        ),
        ({OUTPUTS: {"Outputs": [target("a", "/opt/ml/model")]}}, "must begin with /opt/ml/processing/"),
        ({OUTPUTS: {"Outputs": [{"OutputName": "a"}]}}, "S3Output is required"),
        (
            {OUTPUTS: {"Outputs": [{"OutputName": "a", "FeatureStoreOutput": {"FeatureGroupName": "g"}}]}},
            "FeatureStoreOutput is not supported",
        ),
        ({OUTPUTS: {"Outputs": [target("a", S3Uri="s3://nowhere")]}}, "no bucket 'nowhere'"),
        ({"NetworkConfig": {"EnableNetworkIsolation": True}}, "EnableNetworkIsolation is not supported"),
        ({"ProcessingResources": {"ClusterConfig": {"InstanceCount": 1}}}, "InstanceType is required"),
        (
            {"ProcessingResources": {"ClusterConfig": {"InstancePreferences": [{"InstanceType": "ml.a"}]}}},
            "InstancePreferences is not supported",
        ),
        (
            {"ProcessingResources": {"ClusterConfig": {"InstanceType": "ml.a", "InstanceCount": 5}}},
            "5 instances of ml.a, and this machine holds 4",
        ),
        ({"Environment": {"KEY": "a\0b"}}, "NUL"),
        ({"Tags": [{"Key": "aws:x", "Value": ""}]}, "reserved"),
    ],
)
def test_what_cannot_work_is_refused_with_the_field(
    context: Context, changes: dict[str, Any], words: str
) -> None:
    with pytest.raises(ValidationException, match=words):
        processing.create(context, {**REQUEST, **changes})
    assert context.store.get(KIND, "job-1") is None


def test_all_faults_are_told_at_once(context: Context) -> None:
    wrong = {
        **REQUEST,
        "AppSpecification": {"ImageUri": "i"},
        "ProcessingInputs": [source("a", "/elsewhere")],
    }
    with pytest.raises(ValidationException, match=r"ContainerEntrypoint.*LocalPath"):
        processing.create(context, wrong)


def test_a_stop_is_asked_for_once_and_a_finished_job_cannot_be_stopped(context: Context) -> None:
    processing.create(context, REQUEST)
    for _ in range(2):
        processing.stop(context, {"ProcessingJobName": "job-1"})
    described = describe(context)
    assert described["ProcessingJobStatus"] == "Stopping"
    end(context, "job-1", "Stopped")
    with pytest.raises(ValidationException, match="because the processing job is in status Stopped"):
        processing.stop(context, {"ProcessingJobName": "job-1"})


@pytest.mark.parametrize("call", [processing.describe_job, processing.stop, processing.delete])
def test_a_job_that_is_not_there(context: Context, call: Any) -> None:
    with pytest.raises(ClientFault, match="Requested resource not found") as fault:
        call(context, {"ProcessingJobName": "none"})
    assert fault.value.code == "ValidationException"


def test_only_a_finished_job_can_be_deleted_and_its_name_is_free_then(context: Context) -> None:
    processing.create(context, REQUEST)
    with pytest.raises(ResourceInUse, match="InProgress"):
        processing.delete(context, {"ProcessingJobName": "job-1"})
    folder = context.settings.jobs / KIND / "job-1-0"
    (folder / "algo-1").mkdir(parents=True)
    end(context, "job-1", folder=f"{KIND}/job-1-0")
    processing.delete(context, {"ProcessingJobName": "job-1"})
    assert not folder.exists()
    processing.create(context, REQUEST)
    assert describe(context)["ProcessingJobStatus"] == "InProgress"


def test_lists_are_newest_first_filtered_and_paged(context: Context) -> None:
    for name in ("c", "a", "b"):
        processing.create(context, {**REQUEST, "ProcessingJobName": name})
    end(context, "a", ended=5.0, exit_message="fine")

    def names(**request: Any) -> list[str]:
        answer: Any = processing.list_processing_jobs(context, request)
        return [entry["ProcessingJobName"] for entry in answer["ProcessingJobSummaries"]]

    assert names() == ["b", "a", "c"]
    assert names(SortBy="Name", SortOrder="Ascending") == ["a", "b", "c"]
    assert names(StatusEquals="Completed") == ["a"]
    assert names(NameContains="b") == ["b"]
    first: Any = processing.list_processing_jobs(context, {"MaxResults": 2})
    assert names(NextToken=first["NextToken"]) == ["c"]
    with pytest.raises(ValidationException, match="not one that ListProcessingJobs gave out"):
        names(NextToken="made up")
    done: Any = processing.list_processing_jobs(context, {"StatusEquals": "Completed"})
    summary = done["ProcessingJobSummaries"][0]
    assert (summary["ProcessingEndTime"], summary["ExitMessage"]) == (5.0, "fine")


def test_each_host_has_a_log_stream(context: Context) -> None:
    processing.create(context, REQUEST)
    folder = context.settings.jobs / KIND / "job-1-0"
    hosts = ["algo-1", "algo-2"]
    for host in hosts:
        (folder / host / "log").mkdir(parents=True)
        (folder / host / "log" / f"{host}.log").write_text(f"1000\thello from {host}\n")
    streams = {f"job-1/{host}-1000": host for host in hosts}
    end(context, "job-1", folder=f"{KIND}/job-1-0", hosts=hosts, streams=streams)
    found: Any = logs.filter_log_events(
        context, {"logGroupName": "/aws/sagemaker/ProcessingJobs", "logStreamNamePrefix": "job-1/"}
    )
    assert [event["message"] for event in found["events"]] == ["hello from algo-1", "hello from algo-2"]
