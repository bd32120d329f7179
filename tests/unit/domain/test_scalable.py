from __future__ import annotations

from typing import Any

import pytest

from clary.domain.scalable import Metric, Target, metric_of, target_of

TARGET = Target("e", "v")


def custom(namespace: str, *names: str, **given: Any) -> dict[str, Any]:
    dimensions = [{"Name": name, "Value": name[0].lower()} for name in names]
    metric = {"MetricName": "m", "Namespace": namespace, "Dimensions": dimensions, **given}
    return {"CustomizedMetricSpecification": metric}


@pytest.mark.parametrize(
    ("resource_id", "found"),
    [
        ("endpoint/e/variant/v", TARGET),
        ("endpoint/My-Endpoint/variant/AllTraffic", Target("My-Endpoint", "AllTraffic")),
        *(
            (text, None)
            for text in ("", "endpoint/e", "endpoint/e/variant/", "endpoint/e/variant/v/x", "a.b")
        ),
        ("endpoint/a.b/variant/v", None),
        ("endpoint/e/variant/v\n", None),
    ],
)
def test_a_resource_id_names_a_variant(resource_id: str, found: Target | None) -> None:
    assert target_of(resource_id) == found
    if found:
        assert found.id == resource_id


def test_rows_of_one_variant_do_not_look_like_anothers() -> None:
    assert not Target("e", "v2").policy_row("p").startswith(f"{TARGET.row}.")
    assert Target("e", "v").policy_row("p") != Target("e", "v").policy_row("q")


@pytest.mark.parametrize(
    ("config", "found"),
    [
        (
            {
                "PredefinedMetricSpecification": {
                    "PredefinedMetricType": "SageMakerVariantInvocationsPerInstance"
                }
            },
            Metric("endpoint/e/v", "InvocationsPerInstance", "Sum", rate=True),
        ),
        ({"PredefinedMetricSpecification": {"PredefinedMetricType": "LambdaX"}}, None),
        (custom("AWS/SageMaker", "EndpointName"), Metric("endpoint/e", "m", "Average")),
        (
            custom("AWS/SageMaker", "EndpointName", "VariantName", Statistic="Maximum"),
            Metric("endpoint/e/v", "m", "Maximum"),
        ),
        (
            custom("AWS/SageMaker", "EndpointName", "VariantName", MetricName="Invocations", Statistic="Sum"),
            Metric("endpoint/e/v", "Invocations", "Sum", rate=True),
        ),
        (
            custom("/aws/sagemaker/Endpoints", "EndpointName", "VariantName"),
            Metric("endpoint/e/v/algo-1", "m", "Average", weighted=False),
        ),
        (custom("/aws/sagemaker/Endpoints", "EndpointName"), None),
        (custom("AWS/SageMaker"), None),
        (custom("AWS/SageMaker", "EndpointName", "Host"), None),
        (custom("mine", "EndpointName"), None),
        (custom("AWS/SageMaker", "EndpointName", Metrics=[]), None),
    ],
)
def test_a_policy_names_a_metric_of_endpoints(config: dict[str, Any], found: Metric | None) -> None:
    assert metric_of(config, TARGET) == found
