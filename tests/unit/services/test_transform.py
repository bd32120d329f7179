"""Batch transform operations over a real store and real objects, called as functions."""

from __future__ import annotations

import copy
from dataclasses import replace
from functools import partial
from typing import Any

import pytest

from clary.domain.kinds import MODEL
from clary.errors import ResourceInUse, ValidationException
from clary.services import experiments, logs, models, tags, transform  # noqa: F401 - experiments is asked by name
from clary.services.operations import Context
from clary.store.base import Resource
from tests.unit.services.asking import ask, end_job

KIND = "transform-job"

REQUEST: dict[str, Any] = {
    "TransformJobName": "job-1",
    "ModelName": "model-1",
    "MaxConcurrentTransforms": 2,
    "MaxPayloadInMB": 6,
    "ModelClientConfig": {"InvocationsTimeoutInSeconds": 60, "InvocationsMaxRetries": 1},
    "BatchStrategy": "SingleRecord",
    "Environment": {"KEY": "value"},
    "TransformInput": {
        "DataSource": {"S3DataSource": {"S3DataType": "S3Prefix", "S3Uri": "s3://data/in/"}},
        "ContentType": "text/csv",
        "CompressionType": "None",
        "SplitType": "Line",
    },
    "TransformOutput": {"S3OutputPath": "s3://data/out", "Accept": "text/csv", "AssembleWith": "Line"},
    "TransformResources": {"InstanceType": "ml.m5.xlarge", "InstanceCount": 2},
    "DataProcessing": {"InputFilter": "$[1:]", "OutputFilter": "$[0,-1]", "JoinSource": "Input"},
    "Tags": [{"Key": "team", "Value": "nlp"}],
}
SPEC: dict[str, Any] = {
    "ModelName": "model-1",
    "PrimaryContainer": {"Image": "image", "Environment": {"A": "b"}},
}

end = partial(end_job, kind=KIND)


@pytest.fixture
def context(context: Context) -> Context:
    account = context.account
    for spec in (SPEC, {"ModelName": "many", "PrimaryContainer": {"Image": "image", "Mode": "MultiModel"}}):
        name = str(spec["ModelName"])
        context.store.create(
            Resource(MODEL.name, name, account.sagemaker("model", name), "Active", spec, {}, 1.0, 1.0)
        )
    return replace(context, capacity=lambda instance_type: 4)


def with_changes(**changes: Any) -> dict[str, Any]:
    """`TransformInput__SplitType="None"` changes one member; None leaves it out."""
    request = copy.deepcopy(REQUEST)
    for path, value in changes.items():
        *above, last = path.split("__")
        place = request
        for name in above:
            place = place[name]
        if value is None:
            place.pop(last, None)
        else:
            place[last] = value
    return request


def describe(context: Context, name: str = "job-1") -> Any:
    return ask(context, "DescribeTransformJob", TransformJobName=name)


def test_describe_gives_back_what_was_asked(context: Context) -> None:
    answer = ask(context, "CreateTransformJob", **REQUEST)
    described = describe(context)
    for key, value in REQUEST.items():
        if key != "Tags":
            assert described[key] == value
    assert described["TransformJobArn"] == answer["TransformJobArn"]
    assert described["TransformJobStatus"] == "InProgress"
    assert not {"TransformStartTime", "TransformEndTime", "FailureReason", "Tags"} & described.keys()
    found: Any = tags.list_tags(context, {"ResourceArn": described["TransformJobArn"]})
    assert found["Tags"] == REQUEST["Tags"]


def test_the_model_may_go_once_the_job_is_there(context: Context) -> None:
    transform.create(context, REQUEST)
    models.delete(context, {"ModelName": "model-1"})
    job = context.store.get(KIND, "job-1")
    assert job
    assert job.state["model"] == SPEC
    with pytest.raises(
        ValidationException, match=r'^Could not find model "arn:aws:sagemaker:.*:model/model-1"\.$'
    ):
        transform.create(context, with_changes(TransformJobName="job-2"))


def test_a_taken_name_is_refused(context: Context) -> None:
    answer: Any = transform.create(context, REQUEST)
    with pytest.raises(ResourceInUse, match="Transform job names must be unique") as refusal:
        transform.create(context, REQUEST)
    assert answer["TransformJobArn"] in refusal.value.message


def test_an_ended_job_tells_its_times_and_its_reason(context: Context) -> None:
    transform.create(context, REQUEST)
    end(context, "job-1", "Failed", started=1.0, ended=2.0, reason="ClientError: boom")
    described = describe(context)
    assert (described["TransformStartTime"], described["TransformEndTime"]) == (1.0, 2.0)
    assert described["FailureReason"] == "ClientError: boom"
    listed = ask(context, "ListTransformJobs")["TransformJobSummaries"]
    assert [(job["TransformJobStatus"], job["FailureReason"]) for job in listed] == [
        ("Failed", "ClientError: boom")
    ]


def test_a_job_is_stopped_once(context: Context) -> None:
    transform.create(context, REQUEST)
    for _ in range(2):
        ask(context, "StopTransformJob", TransformJobName="job-1")
        assert describe(context)["TransformJobStatus"] == "Stopping"
    end(context, "job-1", "Stopped")
    with pytest.raises(ValidationException, match="because the transform job is in status Stopped"):
        transform.stop(context, {"TransformJobName": "job-1"})


@pytest.mark.parametrize("call", [transform.describe_job, transform.stop])
def test_a_job_that_is_not_there(context: Context, call: Any) -> None:
    with pytest.raises(ValidationException, match=r"^Requested resource not found\.$"):
        call(context, {"TransformJobName": "none"})


def test_jobs_are_listed_newest_first_and_by_page(context: Context) -> None:
    for name in ("a-1", "b-1", "c-2"):
        transform.create(context, with_changes(TransformJobName=name))
    end(context, "b-1")

    def names(**request: Any) -> list[str]:
        answer = ask(context, "ListTransformJobs", **request)
        return [job["TransformJobName"] for job in answer["TransformJobSummaries"]]

    assert names() == ["c-2", "b-1", "a-1"]
    assert names(NameContains="-1", SortBy="Name", SortOrder="Ascending") == ["a-1", "b-1"]
    assert names(StatusEquals="Completed") == ["b-1"]
    first = ask(context, "ListTransformJobs", MaxResults=2)
    assert names(MaxResults=2, NextToken=first["NextToken"]) == ["a-1"]


def test_a_job_leaves_a_component(context: Context) -> None:
    answer: Any = transform.create(context, REQUEST)
    found = ask(context, "DescribeTrialComponent", TrialComponentName="job-1-aws-transform-job")
    assert found["Source"] == {
        "SourceArn": answer["TransformJobArn"],
        "SourceType": "SageMakerTransformJob",
    }
    assert found["InputArtifacts"] == {
        "SageMaker.TransformInput": {"MediaType": "text/csv", "Value": "s3://data/in/"}
    }
    assert found["Parameters"]["SageMaker.InstanceCount"] == {"NumberValue": 2.0}
    assert found["Parameters"]["SageMaker.ModelName"] == {"StringValue": "model-1"}


def test_the_log_is_in_the_group_that_the_sdks_read(context: Context) -> None:
    transform.create(context, REQUEST)
    group: Any = logs.describe_log_streams(
        context, {"logGroupName": "/aws/sagemaker/TransformJobs", "logStreamNamePrefix": "job-1/"}
    )
    assert group["logStreams"] == []


LEFT_OUT = (
    *("MaxConcurrentTransforms", "MaxPayloadInMB", "ModelClientConfig", "BatchStrategy"),
    *("Environment", "DataProcessing", "TransformInput__SplitType", "TransformInput__ContentType"),
    *("TransformOutput__Accept", "TransformOutput__AssembleWith"),
)
LINES = {"TransformInput__ContentType": "application/jsonlines"}
MANIFEST = {"S3DataSource": {"S3DataType": "ManifestFile", "S3Uri": "s3://data/list"}}
IDLE = {"JoinSource": "None", "InputFilter": "$"}


@pytest.mark.parametrize(
    "changes",
    [
        dict.fromkeys(LEFT_OUT),
        {"MaxConcurrentTransforms": 1, "MaxPayloadInMB": 100},
        {"MaxConcurrentTransforms": 100, "MaxPayloadInMB": 1},
        {"MaxConcurrentTransforms": 0, "MaxPayloadInMB": 100},
        {"MaxPayloadInMB": 0, "TransformInput__SplitType": "None", "DataProcessing": None},
        {"MaxPayloadInMB": 0, "TransformInput__SplitType": None, "DataProcessing": IDLE},
        {"BatchStrategy": "MultiRecord"},
        {"TransformInput__SplitType": "TFRecord", "DataProcessing": None},
        {**LINES, "TransformOutput__Accept": "application/json"},
        {
            **LINES,
            "TransformOutput__Accept": None,
            "DataProcessing__OutputFilter": "$['id','SageMakerOutput']",
        },
        {
            "TransformInput__ContentType": "text/plain",
            "TransformOutput__Accept": "application/json",
            "DataProcessing": {"OutputFilter": "$.label"},
        },
        {"TransformInput__DataSource": MANIFEST},
        {"TransformResources": {"InstanceType": "ml.any", "InstanceCount": 4, "VolumeKmsKeyId": "key"}},
        {"ExperimentConfig": {}},
    ],
)
def test_what_fits_together_is_taken(context: Context, changes: dict[str, Any]) -> None:
    transform.create(context, with_changes(**changes))
    assert describe(context)["TransformJobStatus"] == "InProgress"


AUGMENTED = {"S3DataSource": {"S3DataType": "AugmentedManifestFile", "S3Uri": "s3://data/x"}}


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"ModelName": "many"}, "has the Mode MultiModel"),
        ({"ModelName": "none"}, "Could not find model"),
        ({"MaxConcurrentTransforms": 17}, "17 times MaxPayloadInMB 6 is more than 100 MB"),
        (
            {"MaxConcurrentTransforms": 17, "MaxPayloadInMB": None},
            r"MaxPayloadInMB 6 \(6 where none is given\) is more",
        ),
        ({"MaxPayloadInMB": 101}, "MaxPayloadInMB 101 is more than 100"),
        ({"MaxConcurrentTransforms": 101, "MaxPayloadInMB": 1}, "MaxConcurrentTransforms 101 is more"),
        (
            {"BatchStrategy": "MultiRecord", "TransformInput__SplitType": "None"},
            "needs a TransformInput.SplitType",
        ),
        ({"MaxPayloadInMB": 0}, "which TransformInput.SplitType cannot look into"),
        ({"MaxPayloadInMB": 0, "TransformInput__SplitType": None}, "which DataProcessing.InputFilter cannot"),
        ({"DataProcessing__InputFilter": "$["}, r"InputFilter '\$\[': expected a name .* \(at character 3\)"),
        ({"DataProcessing__OutputFilter": "id"}, r"OutputFilter 'id': .* must begin with \$"),
        ({"DataProcessing__InputFilter": "$.id"}, "names a member, and rows of CSV have columns only"),
        ({"DataProcessing__OutputFilter": "$['SageMakerOutput']"}, "rows of CSV have columns only"),
        ({"TransformInput__ContentType": "image/png"}, "InputFilter needs a TransformInput.ContentType"),
        ({"TransformInput__ContentType": None}, "needs a TransformInput.ContentType"),
        ({"TransformOutput__Accept": "text/plain"}, "JoinSource needs a TransformOutput.Accept"),
        (
            {"TransformOutput__Accept": "application/json"},
            "of one kind: TransformInput.ContentType is 'text/csv'",
        ),
        ({"TransformOutput__AssembleWith": None}, "needs TransformOutput.AssembleWith Line"),
        ({"TransformInput__SplitType": "RecordIO"}, "cannot go with SplitType RecordIO"),
        ({"TransformInput__ContentType": "text/ü"}, "what no header can"),
        ({"TransformInput__DataSource": AUGMENTED}, "AugmentedManifestFile is not supported"),
        ({"DataCaptureConfig": {"DestinationS3Uri": "s3://data/x"}}, "DataCaptureConfig is not supported"),
        ({"TransformOutput__S3OutputPath": "s3://nowhere/x"}, "no bucket 'nowhere'"),
        ({"TransformOutput__S3OutputPath": "https://data/x"}, "not of the form s3://"),
        ({"TransformResources__InstanceCount": 5}, "5 instances of ml.m5.xlarge, and this machine holds 4"),
        ({"Environment": {"KEY": "a\0b"}}, "NUL"),
        ({"Tags": [{"Key": "aws:x", "Value": "1"}]}, "reserved"),
    ],
)
def test_what_does_not_fit_is_refused(context: Context, changes: dict[str, Any], words: str) -> None:
    with pytest.raises(ValidationException, match=words):
        transform.create(context, with_changes(**changes))
    assert context.store.get(KIND, "job-1") is None


def test_all_faults_are_told_at_once(context: Context) -> None:
    with pytest.raises(ValidationException) as refusal:
        transform.create(context, with_changes(MaxPayloadInMB=101, DataProcessing__InputFilter="x"))
    assert refusal.value.message.count("; ") == 1
