"""Application Auto Scaling through a real server, with data points of a few seconds."""

from __future__ import annotations

import json
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from botocore.exceptions import ClientError

from tests.acceptance.served import delete, deploy, keys, status, until, variant_of
from tests.server_process import ServerProcess

pytestmark = pytest.mark.timeout(300)

PERIOD_S = 6


@pytest.fixture(scope="module")
def quick(
    tmp_path_factory: pytest.TempPathFactory, database_options: Callable[[], tuple[str, ...]]
) -> Iterator[ServerProcess]:
    """A server whose data points are short."""
    home = tmp_path_factory.mktemp("scaling") / "home"
    server = ServerProcess(home, database_options(), {"CLARY_SCALING_PERIOD_S": str(PERIOD_S)})
    server.start()
    yield server
    server.stop()
    server.clear()


def place(name: str) -> dict[str, str]:
    return {
        "ServiceNamespace": "sagemaker",
        "ResourceId": f"endpoint/{name}/variant/AllTraffic",
        "ScalableDimension": "sagemaker:variant:DesiredInstanceCount",
    }


def put_policy(server: ServerProcess, name: str, target: float, **config: Any) -> None:
    metric = {"PredefinedMetricType": "SageMakerVariantInvocationsPerInstance"}
    server.client("application-autoscaling").put_scaling_policy(
        **place(name),
        PolicyName="requests",
        PolicyType="TargetTrackingScaling",
        TargetTrackingScalingPolicyConfiguration={
            "TargetValue": target,
            **(
                {} if "CustomizedMetricSpecification" in config else {"PredefinedMetricSpecification": metric}
            ),
            **config,
        },
    )


def activities(server: ServerProcess, name: str) -> list[dict[str, Any]]:
    answer = server.client("application-autoscaling").describe_scaling_activities(**place(name))
    return list(answer["ScalingActivities"])


def has(server: ServerProcess, name: str, count: int) -> bool:
    shown = variant_of(server, name)
    return status(server, name) == "InService" and shown["CurrentInstanceCount"] == count


def test_limits_hold_and_an_update_must_not_take_a_target_away(quick: ServerProcess) -> None:
    deploy(quick, "kept")
    scaling, sagemaker = quick.client("application-autoscaling"), quick.client("sagemaker")
    arn = scaling.register_scalable_target(**place("kept"), MinCapacity=2, MaxCapacity=3)["ScalableTargetARN"]
    until(lambda: has(quick, "kept", 2))
    done = until(lambda: [each for each in activities(quick, "kept") if each["StatusCode"] == "Successful"])
    assert done[0]["Cause"] == "the scalable target's MinCapacity is 2"
    (shown,) = scaling.describe_scalable_targets(ServiceNamespace="sagemaker")["ScalableTargets"]
    assert (shown["ScalableTargetARN"], shown["MinCapacity"], shown["MaxCapacity"]) == (arn, 2, 3)
    config = sagemaker.describe_endpoint_config(EndpointConfigName="kept")
    other = [{**config["ProductionVariants"][0], "InstanceType": "ml.c5.large"}]
    sagemaker.create_endpoint_config(EndpointConfigName="other", ProductionVariants=other)
    with pytest.raises(ClientError, match="must be deregistered as scalable targets"):
        sagemaker.update_endpoint(EndpointName="kept", EndpointConfigName="other")
    put_policy(quick, "kept", 10.0)
    assert len(scaling.describe_scaling_policies(**place("kept"))["ScalingPolicies"]) == 1
    scaling.deregister_scalable_target(**place("kept"))
    assert scaling.describe_scaling_policies(**place("kept"))["ScalingPolicies"] == []
    with pytest.raises(scaling.exceptions.ObjectNotFoundException, match="No scalable target registered"):
        scaling.deregister_scalable_target(**place("kept"))
    delete(quick, "kept")


def test_the_first_request_wakes_an_endpoint_without_instances(quick: ServerProcess) -> None:
    output = {"S3OutputPath": f"s3://{quick.connection.bucket}/out"}
    bucket = deploy(quick, "sleeper", AsyncInferenceConfig={"OutputConfig": output})
    scaling, sagemaker = quick.client("application-autoscaling"), quick.client("sagemaker")
    with pytest.raises(ClientError, match="MinCapacity -1"):
        scaling.register_scalable_target(**place("sleeper"), MinCapacity=-1, MaxCapacity=1)
    scaling.register_scalable_target(**place("sleeper"), MinCapacity=0, MaxCapacity=1)
    metric = {
        "MetricName": "ApproximateBacklogSizePerInstance",
        "Namespace": "AWS/SageMaker",
        "Dimensions": [{"Name": "EndpointName", "Value": "sleeper"}],
        "Statistic": "Average",
    }
    put_policy(quick, "sleeper", 5.0, CustomizedMetricSpecification=metric)
    sagemaker.update_endpoint_weights_and_capacities(
        EndpointName="sleeper",
        DesiredWeightsAndCapacities=[{"VariantName": "AllTraffic", "DesiredInstanceCount": 0}],
    )
    until(lambda: has(quick, "sleeper", 0))
    quick.client("sagemaker-runtime").invoke_endpoint_async(EndpointName="sleeper", Body=b'{"id": 1}')
    until(lambda: keys(quick, bucket, "out/"))
    assert "HasBacklogWithoutCapacity" in activities(quick, "sleeper")[0]["Cause"]
    delete(quick, "sleeper")


@pytest.mark.slow
def test_a_load_is_followed_out_and_in(quick: ServerProcess, tmp_path: Path) -> None:
    deploy(quick, "busy")
    scaling = quick.client("application-autoscaling")
    scaling.register_scalable_target(**place("busy"), MinCapacity=1, MaxCapacity=2)
    put_policy(quick, "busy", 60.0, ScaleOutCooldown=0, ScaleInCooldown=0)
    faults: list[Exception] = []
    is_over = threading.Event()

    def ask() -> None:
        runtime = quick.client("sagemaker-runtime")
        while not is_over.wait(0.25):
            try:
                runtime.invoke_endpoint(EndpointName="busy", Body=json.dumps({"id": 1}))["Body"].read()
            except ClientError as error:
                faults.append(error)

    caller = threading.Thread(target=ask)
    caller.start()
    until(lambda: has(quick, "busy", 2), within_s=90)
    (out,) = activities(quick, "busy")
    assert out["Description"] == "Setting desired instance count to 2."
    assert "above the target of 60 of policy requests" in out["Cause"]
    time.sleep(10)
    assert has(quick, "busy", 2)
    is_over.set()
    caller.join()
    until(lambda: has(quick, "busy", 1), within_s=PERIOD_S * 15 + 60)
    assert "below the target of 60 of policy requests" in activities(quick, "busy")[0]["Cause"]
    assert faults == []
    delete(quick, "busy")
