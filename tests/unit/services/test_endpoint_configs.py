"""Endpoint configurations over a real store, called as functions whose answers fit the published shapes."""

from __future__ import annotations

from typing import Any

import pytest

from clary.errors import ValidationException
from clary.services import tags  # noqa: F401 - it registers its operations
from clary.services.operations import Context
from tests.unit.services.asking import ask
from tests.unit.services.hosting_requests import HUB_MODEL, make_config, make_model, serverless, variant

CAPTURE = {
    "EnableCapture": True,
    "InitialSamplingPercentage": 20,
    "DestinationS3Uri": "s3://data/capture",
    "CaptureOptions": [{"CaptureMode": "Input"}],
}
ASYNC = {"OutputConfig": {"S3OutputPath": "s3://data/out", "S3FailurePath": "s3://data/failed"}}
TOPICS = {"SuccessTopic": "arn:aws:sns:us-east-1:123456789012:t"}


@pytest.fixture
def context(context: Context) -> Context:
    """With two models, and one that is many."""
    make_model(context)
    make_model(context, "model-2")
    many = {**HUB_MODEL, "Mode": "MultiModel", "ModelDataUrl": "s3://data/models/"}
    make_model(context, "many", PrimaryContainer=many)
    return context


def describe(context: Context) -> Any:
    return ask(context, "DescribeEndpointConfig", EndpointConfigName="config-1")


def test_describe_gives_back_what_was_given_and_weights_of_one(context: Context) -> None:
    source = {"Key": "sagemaker.amazonaws.com/model-source", "Value": "org/name"}
    routed = {"RoutingStrategy": "LEAST_OUTSTANDING_REQUESTS"}
    second = variant("second", "model-2", InitialVariantWeight=0.25, RoutingConfig=routed)
    arn = make_config(
        context,
        "config-1",
        variant(),
        second,
        DataCaptureConfig={**CAPTURE, "EnableCapture": False},
        AsyncInferenceConfig=ASYNC,
        Tags=[source],
    )
    found = describe(context)
    assert found["EndpointConfigArn"] == arn
    assert arn == "arn:aws:sagemaker:us-east-1:123456789012:endpoint-config/config-1"
    assert found["ProductionVariants"] == [{**variant(), "InitialVariantWeight": 1.0}, second]
    assert found["DataCaptureConfig"] == {**CAPTURE, "EnableCapture": False}
    assert found["AsyncInferenceConfig"] == ASYNC
    assert ask(context, "ListTags", ResourceArn=arn)["Tags"] == [source]


def test_a_capture_that_is_off_goes_with_everything(context: Context) -> None:
    off = {"DataCaptureConfig": {**CAPTURE, "EnableCapture": False}}
    make_config(context, "config-1", **off, AsyncInferenceConfig={"OutputConfig": {}})
    make_config(context, "config-2", serverless(), **off)


def test_any_name_of_an_instance_type_and_a_serverless_variant_are_accepted(context: Context) -> None:
    make_config(context, "config-1", variant(InstanceType="ml.mine"))
    make_config(context, "config-2", serverless(ProvisionedConcurrency=5))
    named = [each["EndpointConfigName"] for each in ask(context, "ListEndpointConfigs")["EndpointConfigs"]]
    assert named == ["config-2", "config-1"]


def without(document: dict[str, Any], name: str) -> dict[str, Any]:
    return {key: value for key, value in document.items() if key != name}


@pytest.mark.parametrize(
    ("variants", "fault"),
    [
        ([variant(model="unknown")], 'Could not find model "arn:aws:sagemaker:.*:model/unknown"'),
        ([variant(), variant()], "VariantName 'AllTraffic' is there 2 times"),
        ([variant(InitialVariantWeight=0.0)], "give a variant a weight above 0"),
        ([without(variant(), "ModelName")], "inference components are not supported by Clary"),
        ([without(variant(), "InstanceType")], "InstanceType is required"),
        ([without(variant(), "InitialInstanceCount")], "InitialInstanceCount is required"),
        ([variant(InitialInstanceCount=101)], "InitialInstanceCount 101 is more than 100"),
        ([variant(InitialVariantWeight=float("nan"))], "InitialVariantWeight must be a finite number"),
        ([variant(AcceleratorType="ml.eia1.large")], "AcceleratorType is not supported"),
        ([variant(ManagedInstanceScaling={"Status": "ENABLED"})], "ManagedInstanceScaling is not supported"),
        ([variant(RoutingConfig={"RoutingStrategy": "PREFIX_AWARE"})], "PREFIX_AWARE is not supported"),
        ([variant(EnableSSMAccess=True)], "EnableSSMAccess is not supported"),
        ([serverless(MemorySizeInMB=1500)], "MemorySizeInMB 1500 is not one of"),
        ([serverless(ProvisionedConcurrency=6)], "ProvisionedConcurrency 6 is more than MaxConcurrency 5"),
        (
            [{**serverless(), "InstanceType": "ml.m5.large"}],
            "InstanceType is not valid with ServerlessConfig",
        ),
        ([serverless(), variant("second")], "a serverless endpoint has one variant"),
        ([{**serverless(), "ModelName": "many"}], "whose Mode is MultiModel"),
    ],
)
def test_a_variant_that_cannot_be_is_refused(
    context: Context, variants: list[dict[str, Any]], fault: str
) -> None:
    with pytest.raises(ValidationException, match=fault):
        make_config(context, "config-1", *variants)


@pytest.mark.parametrize(
    ("more", "fault"),
    [
        ({"ShadowProductionVariants": [variant("shadow")]}, "ShadowProductionVariants is not supported"),
        ({"ExplainerConfig": {"ClarifyExplainerConfig": {}}}, "ExplainerConfig is not supported"),
        ({"EnableNetworkIsolation": True}, "EnableNetworkIsolation is not supported"),
        ({"MetricsConfig": {"EnableEnhancedMetrics": True}}, "EnableEnhancedMetrics is not supported"),
        ({"DataCaptureConfig": {**CAPTURE, "DestinationS3Uri": "s3://none/x"}}, "there is no bucket 'none'"),
        (
            {"DataCaptureConfig": CAPTURE, "AsyncInferenceConfig": ASYNC},
            "DataCaptureConfig is not supported with AsyncInferenceConfig",
        ),
        (
            {
                "AsyncInferenceConfig": {
                    "OutputConfig": {**ASYNC["OutputConfig"], "NotificationConfig": TOPICS}
                }
            },
            "there are no SNS topics",
        ),
        ({"Tags": [{"Key": "aws:x", "Value": ""}]}, "reserved"),
    ],
)
def test_what_cannot_be_honoured_is_refused_by_name(
    context: Context, more: dict[str, Any], fault: str
) -> None:
    with pytest.raises(ValidationException, match=fault):
        make_config(context, **more)


@pytest.mark.parametrize("more", [{"DataCaptureConfig": CAPTURE}, {"AsyncInferenceConfig": ASYNC}])
def test_what_a_serverless_endpoint_cannot_have_is_refused(context: Context, more: dict[str, Any]) -> None:
    with pytest.raises(ValidationException, match="not supported with ServerlessConfig"):
        make_config(context, "config-1", serverless(), **more)


def test_every_fault_is_told_at_once(context: Context) -> None:
    with pytest.raises(ValidationException) as refusal:
        make_config(context, "config-1", variant(EnableSSMAccess=True), EnableNetworkIsolation=True)
    assert "EnableSSMAccess" in refusal.value.message
    assert "EnableNetworkIsolation" in refusal.value.message


def test_taken_deleted_and_unknown_names(context: Context) -> None:
    arn = make_config(context)
    with pytest.raises(ValidationException) as refusal:
        make_config(context)
    assert refusal.value.message == f'Cannot create already existing endpoint configuration "{arn}".'
    assert ask(context, "DeleteEndpointConfig", EndpointConfigName="config-1") == {}
    for operation in ("DescribeEndpointConfig", "DeleteEndpointConfig"):
        with pytest.raises(ValidationException) as refusal:
            ask(context, operation, EndpointConfigName="config-1")
        assert refusal.value.message == f'Could not find endpoint configuration "{arn}".'
