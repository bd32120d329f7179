"""Models, configurations and endpoints with boto3 alone: what is shown, waited for, logged and refused."""

from __future__ import annotations

import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from botocore.exceptions import ClientError

from tests.acceptance.models import classifier_archive
from tests.server_process import ServerProcess

pytestmark = [pytest.mark.slow, pytest.mark.timeout(240)]

BUCKET = "hosting"
NAME = "Sentiment"
GROUP = f"/aws/sagemaker/Endpoints/{NAME}"
WAIT = {"Delay": 1, "MaxAttempts": 100}
IMAGE = (
    "763104351884.dkr.ecr.us-east-1.amazonaws.com/huggingface-pytorch-inference:2.6.0-transformers4.49.0-cpu"
)


@pytest.fixture(scope="module")
def sagemaker(shared_server: ServerProcess, tmp_path_factory: pytest.TempPathFactory) -> Any:
    """With the models `good` and `broken`, each with a configuration of its name."""
    s3, client = shared_server.client("s3"), shared_server.client("sagemaker")
    s3.create_bucket(Bucket=BUCKET)
    archive: Path = classifier_archive(tmp_path_factory.mktemp("model"))
    s3.upload_file(str(archive), BUCKET, "good/model.tar.gz")
    s3.put_object(Bucket=BUCKET, Key="broken/model.tar.gz", Body=b"no archive")
    for name in ("good", "broken"):
        variables = {"HF_TASK": "text-classification", "SAGEMAKER_PROGRAM": ""}
        container = {
            "Image": IMAGE,
            "ModelDataUrl": f"s3://{BUCKET}/{name}/model.tar.gz",
            "Environment": variables,
        }
        client.create_model(ModelName=name, PrimaryContainer=container)
        variant = {
            "VariantName": "AllTraffic",
            "ModelName": name,
            "InstanceType": "ml.anything",
            "InitialInstanceCount": 1,
        }
        client.create_endpoint_config(EndpointConfigName=name, ProductionVariants=[variant])
    return client


@pytest.fixture(scope="module")
def lines(sagemaker: Any, shared_server: ServerProcess) -> Iterator[list[str]]:
    """What a reader of the log saw while the endpoint was made, reading as the SDKs do."""
    seen: list[str] = []
    paginator = shared_server.client("logs").get_paginator("filter_log_events")
    settings: dict[str, Any] = {"MaxItems": 100, "PageSize": 10}
    sagemaker.create_endpoint(EndpointName=NAME, EndpointConfigName="good", Tags=[])
    status = "Creating"
    while status == "Creating":
        status = sagemaker.describe_endpoint(EndpointName=NAME)["EndpointStatus"]
        pages = paginator.paginate(
            logGroupName=GROUP, logStreamNamePrefix="AllTraffic/", PaginationConfig=settings
        )
        for page in pages:
            if "nextToken" in page:
                settings["StartingToken"] = page["nextToken"]
                seen += [event["message"] for event in page["events"]]
        time.sleep(0.2)
    assert status == "InService", sagemaker.describe_endpoint(EndpointName=NAME)
    yield seen
    sagemaker.delete_endpoint(EndpointName=NAME)
    sagemaker.get_waiter("endpoint_deleted").wait(EndpointName=NAME, WaiterConfig=WAIT)


@pytest.fixture
def endpoint(lines: list[str]) -> str:
    """The name of an endpoint in service."""
    assert lines
    return NAME


def test_the_log_can_be_followed_while_the_endpoint_is_made(
    lines: list[str], shared_server: ServerProcess
) -> None:
    logs = shared_server.client("logs")
    (stream,) = logs.describe_log_streams(logGroupName=GROUP)["logStreams"]
    assert stream["logStreamName"].startswith("AllTraffic/")
    whole = logs.get_log_events(logGroupName=GROUP, logStreamName=stream["logStreamName"], startFromHead=True)
    assert [event["message"] for event in whole["events"]][: len(lines)] == lines
    groups = logs.describe_log_groups(logGroupNamePrefix="/aws/sagemaker/Endpoints/Sent")["logGroups"]
    assert [group["logGroupName"] for group in groups] == [GROUP]


def test_an_endpoint_in_service_tells_of_its_variant(sagemaker: Any, endpoint: str) -> None:
    sagemaker.get_waiter("endpoint_in_service").wait(EndpointName=endpoint, WaiterConfig=WAIT)
    found = sagemaker.describe_endpoint(EndpointName=endpoint)
    assert found["EndpointArn"].endswith(":endpoint/sentiment")
    (variant,) = found["ProductionVariants"]
    assert (variant["CurrentInstanceCount"], variant["CurrentWeight"]) == (1, 1.0)
    assert variant["DeployedImages"][0]["SpecifiedImage"] == IMAGE
    told = variant["VariantStatus"][0]["StatusMessage"]
    assert "text-classification" in told
    assert "fp32" in told


def test_capacity_changes_and_the_configuration_may_be_gone(sagemaker: Any, endpoint: str) -> None:
    sagemaker.delete_endpoint_config(EndpointConfigName="good")
    wanted = [{"VariantName": "AllTraffic", "DesiredInstanceCount": 2}]
    sagemaker.update_endpoint_weights_and_capacities(
        EndpointName=endpoint, DesiredWeightsAndCapacities=wanted
    )
    sagemaker.get_waiter("endpoint_in_service").wait(EndpointName=endpoint, WaiterConfig=WAIT)
    (variant,) = sagemaker.describe_endpoint(EndpointName=endpoint)["ProductionVariants"]
    assert (variant["CurrentInstanceCount"], variant["DesiredInstanceCount"]) == (2, 2)


def test_search_finds_it(sagemaker: Any, endpoint: str) -> None:
    terms = {"Filters": [{"Name": "EndpointName", "Operator": "Contains", "Value": "Senti"}]}
    (record,) = sagemaker.search(Resource="Endpoint", SearchExpression=terms)["Results"]
    assert record["Endpoint"]["EndpointName"] == endpoint


def test_a_broken_model_fails_its_endpoint_which_can_only_be_deleted(sagemaker: Any) -> None:
    sagemaker.create_endpoint(EndpointName="broken", EndpointConfigName="broken")
    deadline = time.monotonic() + 60
    while (found := sagemaker.describe_endpoint(EndpointName="broken"))["EndpointStatus"] == "Creating":
        assert time.monotonic() < deadline
        time.sleep(0.2)
    assert found["EndpointStatus"] == "Failed"
    assert "model.tar.gz" in found["FailureReason"]
    with pytest.raises(ClientError, match="delete it and make another"):
        sagemaker.update_endpoint(EndpointName="broken", EndpointConfigName="broken")
    sagemaker.delete_endpoint(EndpointName="broken")
    sagemaker.get_waiter("endpoint_deleted").wait(EndpointName="broken", WaiterConfig=WAIT)


def test_what_is_not_there_could_not_be_found(sagemaker: Any) -> None:
    for ask, name in (
        (sagemaker.describe_model, "ModelName"),
        (sagemaker.describe_endpoint_config, "EndpointConfigName"),
        (sagemaker.describe_endpoint, "EndpointName"),
    ):
        with pytest.raises(ClientError, match="Could not find") as refusal:
            ask(**{name: "nothing"})
        assert refusal.value.response["Error"]["Code"] == "ValidationException"
        assert refusal.value.response["ResponseMetadata"]["HTTPStatusCode"] == 400
