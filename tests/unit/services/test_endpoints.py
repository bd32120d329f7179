"""Endpoints over a real store, called as functions; what a controller writes between two of them is written here."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from itertools import count
from typing import Any

import pytest

from clary.domain.transitions import enter
from clary.errors import ValidationException
from clary.services import search, tags  # noqa: F401 - they register their operations
from clary.services.operations import Context
from clary.store.base import Resource
from tests.unit.services.asking import ask
from tests.unit.services.hosting_requests import (
    HUB_MODEL,
    make_config,
    make_endpoint,
    make_model,
    put_in_service,
    serverless,
    variant,
)
from tests.unit.services.test_endpoint_configs import ASYNC, CAPTURE

ARN = "arn:aws:sagemaker:us-east-1:123456789012:endpoint/endpoint-1"
CANARY = {
    "Type": "CANARY",
    "WaitIntervalInSeconds": 10,
    "CanarySize": {"Type": "CAPACITY_PERCENT", "Value": 25},
}


@pytest.fixture
def new_id() -> Callable[[int], str]:
    """1, 2, 3, ..."""
    ids = count(1)
    return lambda digits: f"{next(ids):0{digits}x}"


@pytest.fixture
def context(context: Context) -> Context:
    """With two models and two configurations: one variant, and two with weights 3 and 1."""
    make_model(context)
    make_model(context, "model-2")
    make_config(context)
    first = variant("first", InitialVariantWeight=3.0, InitialInstanceCount=2)
    make_config(context, "config-2", first, variant("second", "model-2"))
    return context


def describe(context: Context, name: str = "endpoint-1") -> Any:
    return ask(context, "DescribeEndpoint", EndpointName=name)


def row(context: Context) -> Resource:
    found = context.store.get("endpoint", "endpoint-1")
    assert found is not None
    return found


def set_row(context: Context, status: str, **state: Any) -> None:
    def change(row: Resource) -> Resource:
        return replace(row, status=status, state={**row.state, **state})

    context.store.update("endpoint", "endpoint-1", change)


def update(context: Context, config: str = "config-2", **more: Any) -> Any:
    return ask(context, "UpdateEndpoint", EndpointName="endpoint-1", EndpointConfigName=config, **more)


def rescale(context: Context, *desired: dict[str, Any]) -> Any:
    return ask(
        context,
        "UpdateEndpointWeightsAndCapacities",
        EndpointName="endpoint-1",
        DesiredWeightsAndCapacities=list(desired),
    )


# -- create


def test_a_new_endpoint_is_creating_and_shows_what_is_to_come(context: Context) -> None:
    assert make_endpoint(context) == ARN
    found = describe(context)
    assert (found["EndpointName"], found["EndpointArn"]) == ("endpoint-1", ARN)
    assert (found["EndpointStatus"], found["EndpointConfigName"]) == ("Creating", "config-1")
    (shown,) = found["ProductionVariants"]
    assert (shown["CurrentInstanceCount"], shown["DesiredInstanceCount"]) == (0, 1)
    (status,) = shown["VariantStatus"]
    assert (status["Status"], status["StatusMessage"]) == ("Creating", "0 of 1 instance in service")
    pending = found["PendingDeploymentSummary"]
    assert pending["EndpointConfigName"] == "config-1"
    assert pending["ProductionVariants"][0]["InstanceType"] == "ml.m5.large"
    assert "FailureReason" not in found
    assert row(context).due is not None


def add_instance(
    context: Context,
    name: str,
    secondary: str,
    message: str,
    *,
    status: str = "InProgress",
    at: float = 1.0,
    **state: Any,
) -> None:
    (generation,) = row(context).state["generations"]
    spec = {"Generation": generation, "VariantName": "first"}
    arn = f"arn:{name}"
    told = enter(state, secondary, message, at=at)
    context.store.create(Resource("endpoint-instance", name, arn, status, spec, told, at, at))


def test_a_variant_tells_what_its_instances_do_until_they_answer(context: Context) -> None:
    make_endpoint(context, config="config-2")
    add_instance(context, "endpoint-1.0a", "Pending", "Waiting for memory")
    add_instance(context, "endpoint-1.0b", "InService", "The program answers.")
    add_instance(context, "endpoint-12.0c", "Downloading", "Downloading the model")
    first, second = describe(context)["ProductionVariants"]
    assert first["VariantStatus"][0]["StatusMessage"] == (
        "0 of 2 instances in service; 1: Waiting for memory"
    )
    assert second["VariantStatus"][0]["StatusMessage"] == "0 of 1 instance in service"


def test_an_endpoint_that_has_lost_an_instance_says_why(context: Context) -> None:
    make_endpoint(context, config="config-2")
    put_in_service(context)
    add_instance(context, "endpoint-1.0a", "Failed", "", status="Failed", reason="AlgorithmError: long ago")
    assert "VariantStatus" not in describe(context)["ProductionVariants"][0]
    set_row(context, "InService", instances=row(context).state["instances"][1:])
    add_instance(
        context, "endpoint-1.0b", "Failed", "", status="Failed", reason="AlgorithmError: x-42", at=2.0
    )
    add_instance(context, "endpoint-1.0c", "Loading", "The program starts.")
    first, second = describe(context)["ProductionVariants"]
    assert first["VariantStatus"][0]["Status"] == "Creating"
    assert first["VariantStatus"][0]["StatusMessage"] == (
        "1 of 2 instances in service; 1: The program starts.; 1: lost: AlgorithmError: x-42"
    )
    assert "VariantStatus" not in second
    assert (first["CurrentInstanceCount"], first["DesiredInstanceCount"]) == (1, 2)


def test_an_endpoint_in_service_shows_weights_counts_and_images(context: Context) -> None:
    make_endpoint(context, config="config-2")
    put_in_service(context)
    found = describe(context)
    assert found["EndpointStatus"] == "InService"
    assert "PendingDeploymentSummary" not in found
    shown = {each["VariantName"]: each for each in found["ProductionVariants"]}
    assert (shown["first"]["CurrentWeight"], shown["second"]["DesiredWeight"]) == (3.0, 1.0)
    assert (shown["first"]["CurrentInstanceCount"], shown["second"]["CurrentInstanceCount"]) == (2, 1)
    assert shown["first"]["DeployedImages"][0]["SpecifiedImage"] == HUB_MODEL["Image"]
    assert "VariantStatus" not in shown["first"]


def test_a_variant_tells_what_its_model_server_reports(context: Context) -> None:
    make_endpoint(context)
    report = {
        "way": "padding-free",
        "precision": "int8",
        "agreement": "99.4 % of 500 labels as in fp32, largest change of a probability 0.05",
    }
    put_in_service(context, reports={"AllTraffic": report})
    (status,) = describe(context)["ProductionVariants"][0]["VariantStatus"]
    assert status["StatusMessage"] == (
        "padding-free, int8: 99.4 % of 500 labels as in fp32, largest change of a probability 0.05"
    )


def test_a_failed_endpoint_tells_why(context: Context) -> None:
    make_endpoint(context)
    set_row(context, "Failed", reason="the model cannot be loaded")
    assert describe(context)["FailureReason"] == "the model cannot be loaded"


def test_an_endpoint_keeps_what_it_was_made_of(context: Context) -> None:
    make_endpoint(context)
    put_in_service(context)
    ask(context, "DeleteEndpointConfig", EndpointConfigName="config-1")
    ask(context, "DeleteModel", ModelName="model-1")
    assert describe(context)["EndpointConfigName"] == "config-1"
    (generation,) = row(context).state["generations"].values()
    assert generation["models"]["model-1"]["PrimaryContainer"] == HUB_MODEL


def test_a_config_or_a_model_that_is_gone_is_refused(context: Context) -> None:
    with pytest.raises(ValidationException) as refusal:
        make_endpoint(context, config="none")
    assert refusal.value.message == (
        'Could not find endpoint configuration "arn:aws:sagemaker:us-east-1:123456789012:endpoint-config/none".'
    )
    ask(context, "DeleteModel", ModelName="model-2")
    with pytest.raises(ValidationException, match=r'Could not find model ".*:model/model-2"'):
        make_endpoint(context, config="config-2")


def test_a_taken_name_is_refused(context: Context) -> None:
    make_endpoint(context)
    with pytest.raises(ValidationException) as refusal:
        make_endpoint(context, config="config-2")
    assert refusal.value.message == f'Cannot create already existing endpoint "{ARN}".'


@pytest.mark.parametrize("operation", ["DescribeEndpoint", "DeleteEndpoint"])
def test_an_unknown_endpoint_could_not_be_found(context: Context, operation: str) -> None:
    with pytest.raises(ValidationException) as refusal:
        ask(context, operation, EndpointName="endpoint-1")
    assert (refusal.value.code, refusal.value.message) == (
        "ValidationException",
        f'Could not find endpoint "{ARN}".',
    )


def test_tags_and_lists(context: Context) -> None:
    pair = {"Key": "team", "Value": "nlp"}
    answer = ask(
        context, "CreateEndpoint", EndpointName="endpoint-1", EndpointConfigName="config-1", Tags=[pair]
    )
    make_endpoint(context, "other")
    put_in_service(context, "other")
    assert ask(context, "ListTags", ResourceArn=answer["EndpointArn"])["Tags"] == [pair]
    assert [each["EndpointName"] for each in ask(context, "ListEndpoints")["Endpoints"]] == [
        "other",
        "endpoint-1",
    ]
    (creating,) = ask(context, "ListEndpoints", StatusEquals="Creating")["Endpoints"]
    assert (creating["EndpointName"], creating["EndpointStatus"]) == ("endpoint-1", "Creating")


def test_capture_and_asynchronous_configs_are_shown(context: Context) -> None:
    make_config(context, "config-3", DataCaptureConfig=CAPTURE)
    make_endpoint(context, config="config-3")
    assert describe(context)["DataCaptureConfig"]["CaptureStatus"] == "Stopped"
    put_in_service(context)
    found = describe(context)
    assert found["DataCaptureConfig"] == {
        "EnableCapture": True,
        "CaptureStatus": "Started",
        "CurrentSamplingPercentage": 20,
        "DestinationS3Uri": "s3://data/capture",
        "KmsKeyId": "",
    }
    make_config(context, "config-4", AsyncInferenceConfig=ASYNC)
    make_endpoint(context, "other", "config-4")
    assert describe(context, "other")["AsyncInferenceConfig"] == ASYNC


def test_a_serverless_variant_shows_its_concurrency_not_instances(context: Context) -> None:
    make_config(context, "config-3", serverless())
    make_endpoint(context, config="config-3")
    (shown,) = describe(context)["ProductionVariants"]
    assert shown["VariantStatus"][0]["StatusMessage"] == "0 of 1 instance in service"
    put_in_service(context)
    (shown,) = describe(context)["ProductionVariants"]
    assert shown["CurrentServerlessConfig"] == {"MemorySizeInMB": 2048, "MaxConcurrency": 5}
    assert "CurrentInstanceCount" not in shown


# -- update


def test_an_update_shows_the_present_and_what_is_pending(context: Context) -> None:
    make_endpoint(context)
    put_in_service(context)
    assert update(context) == {"EndpointArn": ARN}
    found = describe(context)
    assert (found["EndpointStatus"], found["EndpointConfigName"]) == ("Updating", "config-1")
    assert found["PendingDeploymentSummary"]["EndpointConfigName"] == "config-2"
    first, _ = found["PendingDeploymentSummary"]["ProductionVariants"]
    assert (first["CurrentInstanceCount"], first["DesiredInstanceCount"]) == (0, 2)
    set_row(context, "Updating", rollout={"phase": "waiting", "target": "", "step": 0})
    pending = describe(context)["PendingDeploymentSummary"]["ProductionVariants"]
    assert pending[0]["VariantStatus"][0]["Status"] == "Baking"
    put_in_service(context)
    assert describe(context)["EndpointConfigName"] == "config-2"


def test_an_update_forgets_why_the_last_one_failed(context: Context) -> None:
    make_endpoint(context)
    put_in_service(context, reason="rolled back")
    update(context)
    assert "FailureReason" not in describe(context)


@pytest.mark.parametrize(
    ("status", "fault"),
    [
        ("Creating", "Cannot update in-progress endpoint"),
        ("Updating", "Cannot update in-progress endpoint"),
        ("Deleting", "Cannot update in-progress endpoint"),
        ("Failed", "delete it and make another"),
    ],
)
def test_an_endpoint_that_cannot_be_updated(context: Context, status: str, fault: str) -> None:
    make_endpoint(context)
    put_in_service(context)
    set_row(context, status)
    before = row(context)
    with pytest.raises(ValidationException, match=fault):
        update(context)
    with pytest.raises(ValidationException, match=fault):
        rescale(context, {"VariantName": "AllTraffic", "DesiredInstanceCount": 2})
    assert row(context) == before


@pytest.mark.parametrize(
    ("more", "wanted"),
    [
        ({}, (3.0, 2)),
        ({"RetainAllVariantProperties": True}, (0.5, 4)),
        (
            {
                "RetainAllVariantProperties": True,
                "ExcludeRetainedVariantProperties": [{"VariantPropertyType": "DesiredWeight"}],
            },
            (3.0, 4),
        ),
        (
            {
                "RetainAllVariantProperties": True,
                "ExcludeRetainedVariantProperties": [{"VariantPropertyType": "DesiredInstanceCount"}],
            },
            (0.5, 2),
        ),
    ],
)
def test_retained_properties(context: Context, more: dict[str, Any], wanted: tuple[float, int]) -> None:
    make_endpoint(context, config="config-2")
    put_in_service(context)
    rescale(context, {"VariantName": "first", "DesiredWeight": 0.5, "DesiredInstanceCount": 4})
    put_in_service(context)
    update(context, **more)
    first = describe(context)["PendingDeploymentSummary"]["ProductionVariants"][0]
    assert (first["DesiredWeight"], first["DesiredInstanceCount"]) == wanted


@pytest.mark.parametrize(("excluded", "is_captured"), [([], True), (["DataCaptureConfig"], False)])
def test_a_retained_data_capture(context: Context, excluded: list[str], is_captured: bool) -> None:
    make_config(context, "config-3", DataCaptureConfig=CAPTURE)
    make_endpoint(context, config="config-3")
    put_in_service(context)
    update(
        context,
        "config-1",
        RetainAllVariantProperties=True,
        ExcludeRetainedVariantProperties=[{"VariantPropertyType": each} for each in excluded],
    )
    put_in_service(context)
    assert ("DataCaptureConfig" in describe(context)) is is_captured


@pytest.mark.parametrize(
    ("old", "new"), [("plain", "serverless"), ("serverless", "plain"), ("plain", "asynchronous")]
)
def test_an_endpoint_stays_of_its_sort(context: Context, old: str, new: str) -> None:
    make_config(context, "plain")
    make_config(context, "serverless", serverless())
    make_config(context, "asynchronous", AsyncInferenceConfig=ASYNC)
    make_endpoint(context, config=old)
    put_in_service(context)
    with pytest.raises(ValidationException, match="cannot be updated from one to the other"):
        update(context, new)


def blue_green(**routing: Any) -> dict[str, Any]:
    return {"BlueGreenUpdatePolicy": {"TrafficRoutingConfiguration": {**CANARY, **routing}}}


def test_a_deployment_is_kept_and_retained(context: Context) -> None:
    make_endpoint(context, DeploymentConfig=blue_green())
    put_in_service(context)
    assert describe(context)["LastDeploymentConfig"] == blue_green()
    update(context, RetainDeploymentConfig=True)
    put_in_service(context)
    assert describe(context)["LastDeploymentConfig"] == blue_green()
    update(context)
    put_in_service(context)
    assert "LastDeploymentConfig" not in describe(context)


ROLLING = {"MaximumBatchSize": {"Type": "INSTANCE_COUNT", "Value": 1}, "WaitIntervalInSeconds": 0}


@pytest.mark.parametrize(
    ("deployment", "fault"),
    [
        (blue_green(CanarySize={"Type": "CAPACITY_PERCENT", "Value": 51}), "not between 1 and 50"),
        (blue_green(CanarySize={"Type": "INSTANCE_COUNT", "Value": 2}), "more than 50 percent of the 3"),
        (
            blue_green(Type="LINEAR"),
            "CanarySize is valid with Type CANARY only; .*LinearStepSize is required",
        ),
        (blue_green(Type="ALL_AT_ONCE"), "CanarySize is valid with Type CANARY only"),
        ({**blue_green(), "RollingUpdatePolicy": ROLLING}, "not both"),
        (
            {
                "RollingUpdatePolicy": {
                    **ROLLING,
                    "MaximumBatchSize": {"Type": "CAPACITY_PERCENT", "Value": 4},
                }
            },
            "MaximumBatchSize: 4 percent is not between 5 and 50",
        ),
        (
            {
                "RollingUpdatePolicy": {
                    **ROLLING,
                    "WaitIntervalInSeconds": 900,
                    "MaximumExecutionTimeoutInSeconds": 600,
                }
            },
            "600 is not more than the waits of the update, 900",
        ),
        ({"AutoRollbackConfiguration": {"Alarms": [{"AlarmName": "a"}]}}, "there are no alarms here"),
    ],
)
def test_a_deployment_that_cannot_be_is_refused(
    context: Context, deployment: dict[str, Any], fault: str
) -> None:
    with pytest.raises(ValidationException, match=fault):
        make_endpoint(context, config="config-2", DeploymentConfig=deployment)
    make_endpoint(context)
    put_in_service(context)
    with pytest.raises(ValidationException, match=fault):
        update(context, DeploymentConfig=deployment)
    assert describe(context)["EndpointStatus"] == "InService"


def test_a_deployment_is_given_or_retained_not_both(context: Context) -> None:
    make_endpoint(context)
    put_in_service(context)
    with pytest.raises(ValidationException, match="either DeploymentConfig or RetainDeploymentConfig"):
        update(context, DeploymentConfig=blue_green(), RetainDeploymentConfig=True)


# -- weights and capacities


def test_weights_and_capacities_change_what_is_wanted(context: Context) -> None:
    make_endpoint(context, config="config-2")
    put_in_service(context)
    rescale(
        context,
        {"VariantName": "first", "DesiredWeight": 0.0},
        {"VariantName": "second", "DesiredInstanceCount": 3},
    )
    found = describe(context)
    assert found["EndpointStatus"] == "Updating"
    assert "PendingDeploymentSummary" not in found
    first, second = found["ProductionVariants"]
    assert (first["DesiredWeight"], second["DesiredInstanceCount"]) == (0.0, 3)
    assert second["VariantStatus"][0]["StatusMessage"] == "1 of 3 instances in service"


@pytest.mark.parametrize(
    ("desired", "fault"),
    [
        ({"VariantName": "other", "DesiredWeight": 1.0}, "no variant 'other', there is AllTraffic"),
        ({"VariantName": "AllTraffic", "DesiredWeight": 0.0}, "would be 0 everywhere"),
        ({"VariantName": "AllTraffic", "DesiredInstanceCount": 0}, "for an asynchronous endpoint only"),
        ({"VariantName": "AllTraffic", "DesiredInstanceCount": 101}, "101 is more than 100"),
        ({"VariantName": "AllTraffic", "DesiredWeight": float("inf")}, "must be a finite number"),
        ({"VariantName": "AllTraffic"}, "give DesiredWeight"),
        (
            {"VariantName": "AllTraffic", "ServerlessUpdateConfig": {"MaxConcurrency": 2}},
            "valid for a serverless variant only",
        ),
    ],
)
def test_changes_that_cannot_be_are_refused(context: Context, desired: dict[str, Any], fault: str) -> None:
    make_endpoint(context)
    put_in_service(context)
    with pytest.raises(ValidationException, match=fault):
        rescale(context, desired)
    assert describe(context)["EndpointStatus"] == "InService"


def test_an_asynchronous_variant_may_have_no_instance(context: Context) -> None:
    make_config(context, "config-3", AsyncInferenceConfig=ASYNC)
    make_endpoint(context, config="config-3")
    put_in_service(context)
    rescale(context, {"VariantName": "AllTraffic", "DesiredInstanceCount": 0})
    assert describe(context)["ProductionVariants"][0]["DesiredInstanceCount"] == 0


def test_a_serverless_variant_changes_its_concurrency(context: Context) -> None:
    make_config(context, "config-3", serverless())
    make_endpoint(context, config="config-3")
    put_in_service(context)
    name = {"VariantName": "AllTraffic"}
    with pytest.raises(ValidationException, match="ProvisionedConcurrency 6 would be more"):
        rescale(context, {**name, "ServerlessUpdateConfig": {"ProvisionedConcurrency": 6}})
    with pytest.raises(ValidationException, match="not valid for a serverless variant"):
        rescale(context, {**name, "DesiredInstanceCount": 2})
    rescale(context, {**name, "ServerlessUpdateConfig": {"MaxConcurrency": 9, "ProvisionedConcurrency": 2}})
    (shown,) = describe(context)["ProductionVariants"]
    assert shown["CurrentServerlessConfig"] == {
        "MemorySizeInMB": 2048,
        "MaxConcurrency": 9,
        "ProvisionedConcurrency": 2,
    }
    (generation,) = row(context).state["generations"].values()
    assert generation["variants"]["AllTraffic"]["count"] == 1


# -- delete


@pytest.mark.parametrize("status", ["Creating", "InService", "Updating", "RollingBack", "Failed", "Deleting"])
def test_an_endpoint_can_be_deleted_in_any_status(context: Context, status: str) -> None:
    make_endpoint(context)
    set_row(context, status)
    assert ask(context, "DeleteEndpoint", EndpointName="endpoint-1") == {}
    assert describe(context)["EndpointStatus"] == "Deleting"
    assert row(context).due is not None


# -- search


def found(context: Context, resource: str, name: str, value: str) -> list[Any]:
    expression = {"Filters": [{"Name": name, "Operator": "Equals", "Value": value}]}
    return [
        each[resource]
        for each in ask(context, "Search", Resource=resource, SearchExpression=expression)["Results"]
    ]


def test_endpoints_are_found_by_status_tag_and_variant(context: Context) -> None:
    make_endpoint(context)
    put_in_service(context)
    make_endpoint(context, "other", "config-2")
    ask(context, "AddTags", ResourceArn=ARN, Tags=[{"Key": "team", "Value": "nlp"}])
    (endpoint,) = found(context, "Endpoint", "EndpointStatus", "InService")
    assert endpoint["EndpointName"] == "endpoint-1"
    assert endpoint["ProductionVariants"][0]["CurrentInstanceCount"] == 1
    assert endpoint["Tags"] == [{"Key": "team", "Value": "nlp"}]
    assert found(context, "Endpoint", "Tags.team", "nlp") == [endpoint]
    (other,) = found(context, "Endpoint", "ProductionVariants.VariantName", "second")
    assert other["EndpointName"] == "other"


def test_models_are_found_with_the_endpoints_that_serve_them(context: Context) -> None:
    make_endpoint(context)
    (record,) = found(context, "Model", "ModelName", "model-1")
    assert record["Model"]["PrimaryContainer"]["Image"] == HUB_MODEL["Image"]
    assert [each["EndpointArn"] for each in record["Endpoints"]] == [ARN]
    (record,) = found(context, "Model", "ModelName", "model-2")
    assert record["Endpoints"] == []
    latest = ask(context, "Search", Resource="Model")["Results"]
    assert [each["Model"]["Model"]["ModelName"] for each in latest] == ["model-2", "model-1"]
