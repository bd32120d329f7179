"""Parameters against the published limits, in the service's wording."""

from __future__ import annotations

from typing import Any

import pytest
from botocore.model import OperationModel

from clary.errors import S3Fault, ValidationException
from clary.wire.decode_xml import MalformedXML
from clary.wire.models import service_model
from clary.wire.validate import validate


def operation(name: str, service: str = "sagemaker") -> OperationModel:
    return service_model(service).operation_model(name)


def job(**changes: Any) -> dict[str, Any]:
    """The least that CreateTrainingJob takes; a change to None leaves a member out."""
    params = {
        "TrainingJobName": "a-job",
        "AlgorithmSpecification": {"TrainingImage": "image", "TrainingInputMode": "File"},
        "RoleArn": "arn:aws:iam::123456789012:role/ClaryRole",
        "OutputDataConfig": {"S3OutputPath": "s3://bucket/"},
        "ResourceConfig": {"InstanceType": "ml.m5.large", "InstanceCount": 1, "VolumeSizeInGB": 1},
        "StoppingCondition": {"MaxRuntimeInSeconds": 60},
        **changes,
    }
    return {name: value for name, value in params.items() if value is not None}


def message(params: dict[str, Any], name: str = "CreateTrainingJob", service: str = "sagemaker") -> str:
    with pytest.raises(ValidationException) as caught:
        validate(params, operation(name, service))
    assert (caught.value.code, caught.value.status) == ("ValidationException", 400)
    return caught.value.message


def test_what_is_right_passes() -> None:
    validate(job(), operation("CreateTrainingJob"))
    validate({}, operation("GetCallerIdentity", "sts"))


def test_a_missing_member() -> None:
    assert message(job(RoleArn=None)) == (
        "1 validation error detected: Value null at 'roleArn' failed to satisfy constraint: Member must not be null"
    )


def test_a_missing_member_further_down() -> None:
    assert "at 'outputDataConfig.s3OutputPath' failed" in message(job(OutputDataConfig={}))


def test_a_pattern_and_a_length() -> None:
    assert message(job(TrainingJobName="no_underscore")) == (
        "1 validation error detected: Value 'no_underscore' at 'trainingJobName' failed to satisfy constraint: "
        "Member must satisfy regular expression pattern: [a-zA-Z0-9](-*[a-zA-Z0-9]){0,62}"
    )
    assert message(job(TrainingJobName="a" * 64)) == (
        f"1 validation error detected: Value '{'a' * 64}' at 'trainingJobName' failed to satisfy constraint: "
        "Member must have length less than or equal to 63"
    )
    assert "Member must have length greater than or equal to 1" in message(job(TrainingJobName=""))


@pytest.mark.parametrize("name", ["a-job\n", "-a", "a-", "a b", "é"])
def test_a_pattern_speaks_about_the_whole_value(name: str) -> None:
    assert "regular expression" in message(job(TrainingJobName=name))


def test_an_enum() -> None:
    spec = {"TrainingImage": "image", "TrainingInputMode": "Telepathy"}
    assert message(job(AlgorithmSpecification=spec)) == (
        "1 validation error detected: Value 'Telepathy' at 'algorithmSpecification.trainingInputMode' failed to "
        "satisfy constraint: Member must satisfy enum value set: [Pipe, File, FastFile]"
    )


def test_an_open_enum_takes_any_value() -> None:
    params = job(ResourceConfig={"InstanceType": "ml.attic.pc", "InstanceCount": 1, "VolumeSizeInGB": 1})

    assert "enum value set" in message(params)
    validate(params, operation("CreateTrainingJob"), open_enums={"TrainingInstanceType"})


def test_a_range() -> None:
    assert message(job(StoppingCondition={"MaxRuntimeInSeconds": 0})) == (
        "1 validation error detected: Value '0' at 'stoppingCondition.maxRuntimeInSeconds' failed to satisfy "
        "constraint: Member must have value greater than or equal to 1"
    )
    found = message({"MaxResults": 101}, "ListTrainingJobs")
    assert (
        "Value '101' at 'maxResults' failed to satisfy constraint: Member must have value less than" in found
    )


def test_all_faults_are_in_one_message() -> None:
    found = message(job(TrainingJobName="_", RoleArn=None, OutputDataConfig={}))

    assert found.startswith("3 validation errors detected: ")
    assert found.count("; Value ") == 2
    assert all(
        path in found for path in ("'trainingJobName'", "'roleArn'", "'outputDataConfig.s3OutputPath'")
    )


def test_members_of_lists_are_counted_from_one() -> None:
    tags = [{"Key": "good", "Value": "v"}, {"Key": "a" * 129, "Value": "v"}, {"Value": "v"}]
    found = message(job(Tags=tags))

    assert "at 'tags.2.member.key' failed to satisfy constraint: Member must have length less" in found
    assert "Value null at 'tags.3.member.key'" in found
    assert "tags.1" not in found


def test_the_length_of_a_list() -> None:
    tags = [{"Key": f"k{number}", "Value": "v"} for number in range(51)]
    found = message(job(Tags=tags))

    assert found.startswith(
        "1 validation error detected: Value '[Tag(key=k0, value=v), Tag(key=k1, value=v), "
    )
    assert found.endswith(
        "...' at 'tags' failed to satisfy constraint: Member must have length less than or equal to 50"
    )


def test_a_list_of_scalars_says_what_each_must_be() -> None:
    subnets = {"SecurityGroupIds": ["sg-1"], "Subnets": ["not/ok"]}

    assert message(job(VpcConfig=subnets)) == (
        "1 validation error detected: Value '[not/ok]' at 'vpcConfig.subnets' failed to satisfy constraint: Member "
        "must satisfy constraint: [Member must have length less than or equal to 32, Member must have length greater "
        "than or equal to 0, Member must satisfy regular expression pattern: [-0-9a-zA-Z]+]"
    )


def test_a_map_says_what_keys_and_values_must_be() -> None:
    found = message(job(HyperParameters={"epochs": "1" * 2501, "k" * 257: "1"}))

    assert found.startswith("2 validation errors detected: Value '{epochs=111")
    assert (
        "at 'hyperParameters' failed to satisfy constraint: Map value must satisfy constraint: [Member must"
        in found
    )
    assert "Map keys must satisfy constraint: [Member must have length less than or equal to 256" in found


def test_null_in_a_list_and_in_a_map() -> None:
    assert "Value null at 'tags.1.member'" in message(job(Tags=[None]))
    assert "Value null at 'hyperParameters.a.member'" in message(job(HyperParameters={"a": None}))


def test_a_flood_of_faults_is_cut() -> None:
    tags = [{"Key": "?" * 200, "Value": "v"}] * 10_000

    assert len(message(job(Tags=tags))) < 100 * 600


@pytest.mark.parametrize("hostile", ["a" + "-" * 60_000, "a-" * 30_000, "a" * 60_000 + "!", "-" * 60_000])
def test_a_long_hostile_name_is_answered_by_its_length_alone(hostile: str) -> None:
    found = message(job(TrainingJobName=hostile))

    assert "length less than or equal to 63" in found
    assert "regular expression" not in found
    assert len(found) < 1000


def test_tags_take_letters_of_all_scripts() -> None:
    tags = [{"Key": "größe 日本 ключ_.:/=+-@", "Value": "naïve १२"}]

    validate(job(Tags=tags), operation("CreateTrainingJob"))
    assert "at 'tags.1.member.key'" in message(job(Tags=[{"Key": "smile😀", "Value": "v"}]))
    assert "at 'tags.1.member.key'" in message(job(Tags=[{"Key": "tab\t", "Value": "v"}]))


def test_query_services_too() -> None:
    assert "at 'roleName' failed" in message({"RoleName": "a role"}, "GetRole", "iam")


def test_s3_misses_a_header_by_its_name() -> None:
    with pytest.raises(S3Fault) as caught:
        validate({"Bucket": "b", "Key": "k"}, operation("GetObjectAttributes", "s3"))

    assert caught.value.code == "InvalidArgument"
    assert "x-amz-object-attributes" in caught.value.message


@pytest.mark.parametrize("count", [0, -1, 10_001])
def test_s3_has_ranges(count: int) -> None:
    with pytest.raises(S3Fault, match="max-buckets") as caught:
        validate({"MaxBuckets": count}, operation("ListBuckets", "s3"))

    assert caught.value.code == "InvalidArgument"


@pytest.mark.parametrize("delete", [None, {}, {"Objects": [{}]}])
def test_s3_misses_a_part_of_a_document(delete: Any) -> None:
    with pytest.raises(MalformedXML):
        validate({"Bucket": "b", "Delete": delete}, operation("DeleteObjects", "s3"))


def test_s3_leaves_its_other_rules_to_the_service() -> None:
    validate({"Bucket": "B_", "Key": "k" * 2000, "StorageClass": "ATTIC"}, operation("PutObject", "s3"))
