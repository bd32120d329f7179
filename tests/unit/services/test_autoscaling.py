from __future__ import annotations

from dataclasses import replace
from itertools import count
from typing import Any

import pytest

from clary.domain.kinds import SCALING_ACTIVITY
from clary.domain.scalable import Target, activity_arn
from clary.errors import ClientFault, ValidationException
from clary.services import autoscaling, endpoints  # noqa: F401 - they offer operations
from clary.services.autoscaling_rules import check_update
from clary.services.operations import OPERATIONS, Context
from clary.store.base import Resource
from clary.wire.encode_json import write_json
from clary.wire.models import service_model
from tests.unit.hosted import ACCOUNT, ASYNC, add_endpoint, variant

SERVICE = "application-autoscaling"
PLACE = {
    "ServiceNamespace": "sagemaker",
    "ResourceId": "endpoint/e/variant/AllTraffic",
    "ScalableDimension": "sagemaker:variant:DesiredInstanceCount",
}
TRACKING = {
    "TargetValue": 70.0,
    "PredefinedMetricSpecification": {"PredefinedMetricType": "SageMakerVariantInvocationsPerInstance"},
}


@pytest.fixture
def world(context: Context) -> Context:
    ids = count(1)
    add_endpoint(context.store, now=1.0)
    add_endpoint(context.store, "a", now=1.0, AsyncInferenceConfig=ASYNC)
    return replace(context, new_id=lambda digits: f"{next(ids):0{digits}x}")


def ask(context: Context, name: str, **request: Any) -> Any:
    answer = OPERATIONS[SERVICE, name](context, request)
    write_json(answer, service_model(SERVICE).operation_model(name).output_shape)  # type: ignore[arg-type]
    return answer


def register(context: Context, least: int = 1, most: int = 4, **given: Any) -> Any:
    return ask(
        context, "RegisterScalableTarget", **{**PLACE, "MinCapacity": least, "MaxCapacity": most, **given}
    )


def put(context: Context, name: str = "p", **given: Any) -> Any:
    values = {
        "PolicyName": name,
        "PolicyType": "TargetTrackingScaling",
        "TargetTrackingScalingPolicyConfiguration": TRACKING,
    }
    return ask(context, "PutScalingPolicy", **{**PLACE, **values, **given})


def refused(context: Context, operation: str, code: str = "ValidationException", **request: Any) -> str:
    with pytest.raises(ClientFault) as caught:
        ask(context, operation, **{**PLACE, **request})
    assert (caught.value.code, caught.value.status) == (code, 400)
    return caught.value.message


class TestTargets:
    def test_is_registered_and_described(self, world: Context) -> None:
        told: list[int] = []
        world = replace(world, changed=lambda: told.append(1))
        arn = register(world, Tags={"team": "nlp"})["ScalableTargetARN"]
        assert arn == f"arn:aws:application-autoscaling:us-east-1:123456789012:scalable-target/{1:032x}"
        (shown,) = ask(world, "DescribeScalableTargets", ServiceNamespace="sagemaker")["ScalableTargets"]
        assert shown == {
            **PLACE,
            "MinCapacity": 1,
            "MaxCapacity": 4,
            "RoleARN": shown["RoleARN"],
            "CreationTime": shown["CreationTime"],
            "SuspendedState": {
                "DynamicScalingInSuspended": False,
                "DynamicScalingOutSuspended": False,
                "ScheduledScalingSuspended": False,
            },
            "ScalableTargetARN": arn,
        }
        assert told
        assert ask(world, "ListTagsForResource", ResourceARN=arn) == {"Tags": {"team": "nlp"}}
        ask(world, "TagResource", ResourceARN=arn, Tags={"a": "b"})
        ask(world, "UntagResource", ResourceARN=arn, TagKeys=["team"])
        assert ask(world, "ListTagsForResource", ResourceARN=arn) == {"Tags": {"a": "b"}}
        many = {f"{number}": "" for number in range(50)}
        refused(world, "TagResource", "TooManyTagsException", ResourceARN=arn, Tags=many)
        refused(world, "ListTagsForResource", "ResourceNotFoundException", ResourceARN=f"{arn}0")

    def test_what_is_not_said_stays(self, world: Context) -> None:
        arn = register(world)
        assert ask(world, "RegisterScalableTarget", **PLACE, MaxCapacity=9) == arn
        register(world, 2, 9, SuspendedState={"DynamicScalingInSuspended": True})
        (shown,) = ask(world, "DescribeScalableTargets", ServiceNamespace="sagemaker")["ScalableTargets"]
        assert (shown["MinCapacity"], shown["MaxCapacity"]) == (2, 9)
        assert shown["SuspendedState"]["DynamicScalingInSuspended"]
        assert not shown["SuspendedState"]["DynamicScalingOutSuspended"]

    def test_zero_is_for_asynchronous_endpoints(self, world: Context) -> None:
        assert "asynchronous endpoint only" in refused(
            world, "RegisterScalableTarget", MinCapacity=0, MaxCapacity=1
        )
        register(world, 0, 2, ResourceId="endpoint/a/variant/AllTraffic")

    @pytest.mark.parametrize(
        ("request_", "said"),
        [
            ({"MinCapacity": 3, "MaxCapacity": 2}, "MinCapacity 3 is larger than MaxCapacity 2"),
            ({"MinCapacity": 1, "MaxCapacity": 101}, "MaxCapacity 101 is more than 100"),
            ({"MinCapacity": 3}, "MaxCapacity: required"),
            ({"ServiceNamespace": "ecs"}, "'ecs' is not supported"),
            (
                {"ScalableDimension": "ecs:service:DesiredCount"},
                "use 'sagemaker:variant:DesiredInstanceCount'",
            ),
            ({"ResourceId": "endpoint/e"}, "not of the form endpoint/<endpoint>/variant/<variant>"),
            ({"ResourceId": "endpoint/x/variant/y"}, "there is no endpoint 'x'"),
            ({"ResourceId": "endpoint/e/variant/y"}, "no variant 'y', it has AllTraffic"),
        ],
    )
    def test_a_wrong_one_is_refused(self, world: Context, request_: dict[str, Any], said: str) -> None:
        assert said in refused(world, "RegisterScalableTarget", **request_)

    def test_a_serverless_variant_is_not_scaled(self, world: Context) -> None:
        serverless = variant(ServerlessConfig={"MemorySizeInMB": 1024, "MaxConcurrency": 2})
        add_endpoint(world.store, "s", now=1.0, variants=(serverless,))
        where = "endpoint/s/variant/AllTraffic"
        said = refused(world, "RegisterScalableTarget", ResourceId=where, MinCapacity=1, MaxCapacity=2)
        assert "serverless variant is not scaled" in said

    def test_deregistering_takes_its_policies_along(self, world: Context) -> None:
        register(world)
        put(world, "p")
        put(world, "q")
        ask(world, "DeregisterScalableTarget", **PLACE)
        assert ask(world, "DescribeScalingPolicies", ServiceNamespace="sagemaker")["ScalingPolicies"] == []
        assert ask(world, "DescribeScalableTargets", ServiceNamespace="sagemaker")["ScalableTargets"] == []
        said = refused(world, "DeregisterScalableTarget", "ObjectNotFoundException")
        assert said.startswith(
            "No scalable target registered for service namespace: sagemaker, resource ID: endp"
        )

    def test_pages_and_filters(self, world: Context) -> None:
        for number in range(5):
            add_endpoint(world.store, f"x{number}", now=1.0)
            register(world, ResourceId=f"endpoint/x{number}/variant/AllTraffic")
        names, token = [], {}
        while True:
            page = ask(world, "DescribeScalableTargets", ServiceNamespace="sagemaker", MaxResults=2, **token)
            names += [each["ResourceId"].split("/")[1] for each in page["ScalableTargets"]]
            if "NextToken" not in page:
                break
            token = {"NextToken": page["NextToken"]}
        assert names == ["x0", "x1", "x2", "x3", "x4"]
        some = [f"endpoint/{each}/variant/AllTraffic" for each in ("x3", "x1", "nobody")]
        found = ask(world, "DescribeScalableTargets", ServiceNamespace="sagemaker", ResourceIds=some)
        assert [each["ResourceId"] for each in found["ScalableTargets"]] == [some[1], some[0]]
        refused(world, "DescribeScalableTargets", "InvalidNextTokenException", NextToken="x")
        refused(world, "DescribeScalableTargets", MaxResults=51)

    def test_a_target_of_an_earlier_endpoint_of_the_name_is_another(self, world: Context) -> None:
        first = register(world)
        put(world)
        world.store.delete("endpoint", "e")
        add_endpoint(world.store, "e", now=2.0)
        second = register(world, 2, 3)
        assert first != second
        assert ask(world, "DescribeScalingPolicies", ServiceNamespace="sagemaker")["ScalingPolicies"] == []


class TestPolicies:
    def test_is_put_described_changed_and_deleted(self, world: Context) -> None:
        register(world)
        answer = put(world, "scale: it/well")
        assert answer["PolicyARN"] == (
            f"arn:aws:autoscaling:us-east-1:123456789012:scalingPolicy:{2:032x}:resource/sagemaker/"
            "endpoint/e/variant/AllTraffic:policyName/scale: it/well"
        )
        again = {**TRACKING, "TargetValue": 5.0, "ScaleInCooldown": 0}
        assert put(world, "scale: it/well", TargetTrackingScalingPolicyConfiguration=again) == answer
        (shown,) = ask(world, "DescribeScalingPolicies", **PLACE)["ScalingPolicies"]
        assert shown["TargetTrackingScalingPolicyConfiguration"] == again
        assert shown["PolicyName"] == "scale: it/well"
        assert ask(world, "DescribeScalingPolicies", **PLACE, PolicyNames=["x"])["ScalingPolicies"] == []
        ask(world, "DeleteScalingPolicy", **PLACE, PolicyName="scale: it/well")
        assert ask(world, "DescribeScalingPolicies", **PLACE)["ScalingPolicies"] == []
        refused(world, "DeleteScalingPolicy", "ObjectNotFoundException", PolicyName="p")

    def test_needs_a_target(self, world: Context) -> None:
        refused(world, "PutScalingPolicy", "ObjectNotFoundException", PolicyName="p")

    def test_a_metric_of_the_endpoint(self, world: Context) -> None:
        register(world)
        custom = {
            "MetricName": "ApproximateBacklogSizePerInstance",
            "Namespace": "AWS/SageMaker",
            "Dimensions": [{"Name": "EndpointName", "Value": "e"}],
            "Statistic": "Average",
        }
        config = {"TargetValue": 5.0, "CustomizedMetricSpecification": custom}
        put(world, TargetTrackingScalingPolicyConfiguration=config)

    @pytest.mark.parametrize(
        ("config", "said"),
        [
            ({"TargetValue": 0.0}, "TargetValue 0.0 must be a number larger than 0"),
            ({"TargetValue": float("inf")}, "TargetValue inf must be"),
            ({"TargetValue": float("nan")}, "TargetValue nan must be"),
            ({"ScaleInCooldown": -1}, "ScaleInCooldown -1 must be"),
            ({"CustomizedMetricSpecification": {}}, "exactly one of"),
            (
                {
                    "PredefinedMetricSpecification": {
                        "PredefinedMetricType": "ECSServiceAverageCPUUtilization"
                    }
                },
                "use 'SageMakerVariantInvocationsPerInstance'",
            ),
            (
                {
                    "PredefinedMetricSpecification": None,
                    "CustomizedMetricSpecification": {"MetricName": "m", "Namespace": "mine"},
                },
                "must name a metric of an endpoint",
            ),
            (
                {
                    "PredefinedMetricSpecification": None,
                    "CustomizedMetricSpecification": {"Metrics": [{"Id": "a"}]},
                },
                "Metrics is not supported",
            ),
        ],
    )
    def test_a_wrong_one_is_refused(self, world: Context, config: dict[str, Any], said: str) -> None:
        register(world)
        given = {name: value for name, value in {**TRACKING, **config}.items() if value is not None}
        message = refused(
            world,
            "PutScalingPolicy",
            PolicyName="p",
            PolicyType="TargetTrackingScaling",
            TargetTrackingScalingPolicyConfiguration=given,
        )
        assert said in message

    def test_other_types_are_refused(self, world: Context) -> None:
        register(world)
        for kind in ("StepScaling", "PredictiveScaling"):
            said = refused(world, "PutScalingPolicy", PolicyName="p", PolicyType=kind)
            assert f"PolicyType {kind} is not supported" in said


def test_activities_are_listed_newest_first(world: Context) -> None:
    target = Target("e", "AllTraffic")
    for number in range(3):
        world.store.create(
            Resource(
                SCALING_ACTIVITY.name,
                target.activity_row(f"{number}"),
                activity_arn(ACCOUNT, f"{number}"),
                "Active",
                {**PLACE, "ActivityId": f"{number}", "Description": "d", "Cause": "c", "StartTime": 1.0},
                {"StatusCode": "Successful"},
                created=float(number),
                modified=1.0,
            )
        )
    found = ask(world, "DescribeScalingActivities", **PLACE)["ScalingActivities"]
    assert [each["ActivityId"] for each in found] == ["2", "1", "0"]
    other = {**PLACE, "ResourceId": "endpoint/e/variant/All"}
    assert ask(world, "DescribeScalingActivities", **other)["ScalingActivities"] == []


def test_an_update_must_not_take_away_what_is_scaled(world: Context) -> None:
    before = {"ProductionVariants": [variant(), variant("other")]}
    check_update(world.store, "e", before, {"ProductionVariants": []})
    register(world)
    check_update(world.store, "e", before, before)
    check_update(world.store, "e", before, {"ProductionVariants": [variant(InitialInstanceCount=7)]})
    for after in ([variant("other")], [variant(InstanceType="ml.c5.large")]):
        with pytest.raises(ValidationException, match="must be deregistered as scalable targets"):
            check_update(world.store, "e", before, {"ProductionVariants": after})


def test_update_endpoint_keeps_the_rule(world: Context) -> None:
    register(world)
    others = {"ProductionVariants": [variant(InstanceType="ml.c5.large")]}
    for kind, name, spec in (("model", "m", {"ModelName": "m"}), ("endpoint-config", "next", others)):
        arn = ACCOUNT.sagemaker(kind, name)
        world.store.create(Resource(kind, name, arn, "Active", spec, {}, 1.0, 1.0))
    update = OPERATIONS["sagemaker", "UpdateEndpoint"]
    with pytest.raises(ValidationException, match="must be deregistered as scalable targets"):
        update(world, {"EndpointName": "e", "EndpointConfigName": "next"})
    ask(world, "DeregisterScalableTarget", **PLACE)
    assert update(world, {"EndpointName": "e", "EndpointConfigName": "next"})
