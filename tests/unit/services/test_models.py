"""Models over a real store and real objects, called as functions whose answers fit the published shapes."""

from __future__ import annotations

from typing import Any

import pytest

from clary.errors import ValidationException
from clary.objects.base import Meta
from clary.services import tags  # noqa: F401 - it registers its operations
from clary.services.operations import Context
from tests.unit.services.asking import ask
from tests.unit.services.hosting_requests import HUB_MODEL, ROLE, make_model


def put(context: Context, key: str) -> None:
    with context.objects.stage() as staged:
        staged.write(b"x")
        context.objects.put("data", key, staged, etag='"x"', modified=1.0, meta=Meta())


def archived(key: str = "model.tar.gz", **more: Any) -> dict[str, Any]:
    return {**HUB_MODEL, "ModelDataUrl": f"s3://data/{key}", **more}


def source(uri: str, **more: Any) -> dict[str, Any]:
    s3 = {"S3Uri": uri, "S3DataType": "S3Prefix", "CompressionType": "None", **more}
    return {**HUB_MODEL, "ModelDataSource": {"S3DataSource": s3}}


def test_describe_gives_back_what_was_given_with_empty_variables(context: Context) -> None:
    arn = make_model(context, Tags=[{"Key": "team", "Value": "nlp"}])
    found = ask(context, "DescribeModel", ModelName="model-1")
    assert found["ModelArn"] == arn == "arn:aws:sagemaker:us-east-1:123456789012:model/model-1"
    assert found["PrimaryContainer"] == {**HUB_MODEL, "Mode": "SingleModel"}
    assert found["PrimaryContainer"]["Environment"]["SAGEMAKER_PROGRAM"] == ""
    assert found["ExecutionRoleArn"] == ROLE
    assert found["EnableNetworkIsolation"] is False
    assert found["CreationTime"] > 0
    assert "Tags" not in found
    assert ask(context, "ListTags", ResourceArn=arn)["Tags"] == [{"Key": "team", "Value": "nlp"}]


def test_one_container_may_come_in_a_list(context: Context) -> None:
    ask(context, "CreateModel", ModelName="model-1", Containers=[HUB_MODEL])
    assert ask(context, "DescribeModel", ModelName="model-1")["Containers"][0]["Mode"] == "SingleModel"


def test_an_empty_list_beside_a_container_is_left_out(context: Context) -> None:
    make_model(context, Containers=[])
    assert "Containers" not in ask(context, "DescribeModel", ModelName="model-1")


def test_data_that_is_there_is_accepted(context: Context) -> None:
    put(context, "model.tar.gz")
    put(context, "models/one/config.json")
    make_model(context, "archive", PrimaryContainer=archived())
    make_model(context, "prefix", PrimaryContainer=source("s3://data/models/one/"))
    one = source("s3://data/model.tar.gz", S3DataType="S3Object", CompressionType="Gzip")
    make_model(context, "object", PrimaryContainer=one)
    make_model(context, "many", PrimaryContainer=archived("later/", Mode="MultiModel"))


@pytest.mark.parametrize(
    ("changes", "fault"),
    [
        ({"PrimaryContainer": archived()}, "Could not find model data at s3://data/model.tar.gz"),
        ({"PrimaryContainer": source("s3://data/models/")}, "Could not find model data at s3://data/models/"),
        ({"PrimaryContainer": source("s3://data/models")}, "must end with a forward slash"),
        ({"PrimaryContainer": source("s3://data/m/", CompressionType="Gzip")}, "use S3DataType S3Object"),
        ({"PrimaryContainer": source("s3://data/m/", ManifestS3Uri="s3://data/x")}, "ManifestS3Uri is not"),
        ({"PrimaryContainer": {**HUB_MODEL, "ModelDataUrl": "s3://other/x"}}, "there is no bucket 'other'"),
        ({"PrimaryContainer": {**HUB_MODEL, "ModelDataUrl": "https://data/x"}}, "s3://bucket/prefix"),
        ({"PrimaryContainer": {**source("s3://data/m/"), "ModelDataUrl": "s3://data/x"}}, "not both"),
        ({"PrimaryContainer": {"Environment": {}}}, r"PrimaryContainer\.Image is required"),
        ({"PrimaryContainer": {**HUB_MODEL, "Mode": "MultiModel"}}, "ModelDataUrl is required"),
        ({"PrimaryContainer": {**HUB_MODEL, "ModelPackageName": "p"}}, "ModelPackageName is not supported"),
        ({"PrimaryContainer": {**HUB_MODEL, "Environment": {"A": "\0"}}}, "a NUL character"),
        (
            {"PrimaryContainer": {**HUB_MODEL, "MultiModelConfig": {"ModelCacheSetting": "Enabled"}}},
            "valid with Mode MultiModel only",
        ),
        ({"PrimaryContainer": HUB_MODEL, "Containers": [HUB_MODEL]}, "either PrimaryContainer or Containers"),
        ({"Containers": [HUB_MODEL, HUB_MODEL]}, "not supported by Clary"),
        ({}, "PrimaryContainer is required"),
        ({"PrimaryContainer": HUB_MODEL, "EnableNetworkIsolation": True}, "EnableNetworkIsolation"),
        ({"PrimaryContainer": HUB_MODEL, "InferenceExecutionConfig": {"Mode": "Direct"}}, "Direct is not"),
        ({"PrimaryContainer": HUB_MODEL, "Tags": [{"Key": "aws:x", "Value": ""}]}, "reserved"),
    ],
)
def test_what_cannot_be_honoured_is_refused_by_name(
    context: Context, changes: dict[str, Any], fault: str
) -> None:
    with pytest.raises(ValidationException, match=fault):
        ask(context, "CreateModel", ModelName="model-1", **changes)
    assert ask(context, "ListModels")["Models"] == []


@pytest.mark.parametrize("name", ["model-1", "MODEL-1"])
def test_a_taken_name_is_refused_with_the_words_that_the_sdk_looks_for(context: Context, name: str) -> None:
    arn = make_model(context)
    with pytest.raises(ValidationException) as refusal:
        make_model(context, name)
    assert refusal.value.message == f'Cannot create already existing model "{arn}".'


def test_deleted_and_unknown_models_could_not_be_found(context: Context) -> None:
    arn = make_model(context)
    assert ask(context, "DeleteModel", ModelName="model-1") == {}
    for operation in ("DescribeModel", "DeleteModel"):
        with pytest.raises(ValidationException) as refusal:
            ask(context, operation, ModelName="model-1")
        assert refusal.value.message == f'Could not find model "{arn}".'


def test_a_name_read_from_an_arn_is_found(context: Context) -> None:
    arn = make_model(context, "Model-One")
    found = ask(context, "DescribeModel", ModelName=arn.rpartition("/")[2])
    assert found["ModelName"] == "Model-One"


def test_lists_are_newest_first_and_paged(context: Context) -> None:
    for name in ("a", "c", "b"):
        make_model(context, name)

    def names(**request: Any) -> list[str]:
        return [each["ModelName"] for each in ask(context, "ListModels", **request)["Models"]]

    assert names() == ["b", "c", "a"]
    assert names(SortBy="Name", SortOrder="Ascending") == ["a", "b", "c"]
    assert names(NameContains="c") == ["c"]
    first = ask(context, "ListModels", MaxResults=2)
    rest = ask(context, "ListModels", MaxResults=2, NextToken=first["NextToken"])
    assert [each["ModelName"] for each in rest["Models"]] == ["a"]
    assert "NextToken" not in rest
