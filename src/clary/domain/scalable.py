"""Scalable targets: how an endpoint's variant is named to Application Auto Scaling, and where its metrics lie. Pure."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from hashlib import sha256
from typing import Any

from clary.domain.kinds import ENDPOINT
from clary.domain.names import Account

Document = Mapping[str, Any]

NAMESPACE = "sagemaker"
DIMENSION = "sagemaker:variant:DesiredInstanceCount"
INVOCATIONS_PER_INSTANCE = "SageMakerVariantInvocationsPerInstance"

ENDPOINT_METRICS = "AWS/SageMaker"
UTILISATION = "/aws/sagemaker/Endpoints"
COUNTS = frozenset({"Invocations", "InvocationsPerInstance"})
"""Metrics of which no data means none: nobody asked."""

_RESOURCE_ID = re.compile(r"endpoint/([A-Za-z0-9-]+)/variant/([A-Za-z0-9-]+)")
_DIGEST_DIGITS = 32


@dataclass(frozen=True, slots=True)
class Target:
    """A variant of an endpoint."""

    endpoint: str
    variant: str

    @property
    def id(self) -> str:
        return f"endpoint/{self.endpoint}/variant/{self.variant}"

    @property
    def row(self) -> str:
        """The name of its row; names of endpoints and variants have no dots."""
        return f"{self.endpoint}.{self.variant}"

    def policy_row(self, policy: str) -> str:
        """The name of a policy's row: what a policy may be called is too free for it."""
        return f"{self.row}.{sha256(policy.encode()).hexdigest()[:_DIGEST_DIGITS]}"

    def activity_row(self, id: str) -> str:  # noqa: A002
        return f"{self.row}.{id}"


def target_of(resource_id: str) -> Target | None:
    """None for what is no `endpoint/<name>/variant/<name>`."""
    found = _RESOURCE_ID.fullmatch(resource_id)
    return Target(found[1], found[2]) if found else None


def target_arn(account: Account, id: str) -> str:  # noqa: A002
    return (
        f"arn:{account.partition}:application-autoscaling:{account.region}:{account.id}:scalable-target/{id}"
    )


def policy_arn(account: Account, id: str, target: Target, policy: str) -> str:  # noqa: A002
    return (
        f"arn:{account.partition}:autoscaling:{account.region}:{account.id}:scalingPolicy:{id}:"
        f"resource/{NAMESPACE}/{target.id}:policyName/{policy}"
    )


def activity_arn(account: Account, id: str) -> str:  # noqa: A002
    return (
        f"arn:{account.partition}:application-autoscaling:{account.region}:{account.id}:scaling-activity/{id}"
    )


def role_arn(account: Account) -> str:
    """The role that AWS would act under."""
    return account.role(
        "aws-service-role/sagemaker.application-autoscaling.amazonaws.com/"
        "AWSServiceRoleForApplicationAutoScaling_SageMakerEndpoint"
    )


@dataclass(frozen=True, slots=True)
class Metric:
    """A metric in a series of the store.

    `rate`: it counts something a minute; without data there was none of it. `weighted`: a point is as many measurements
    as its step says, and its value is their sum.
    """

    series: str
    name: str
    statistic: str
    rate: bool = False
    weighted: bool = True


def metric_of(policy: Document, target: Target) -> Metric | None:
    """The metric of a target tracking policy's configuration; None where it names none that endpoints have."""
    own = f"{ENDPOINT.name}/{target.endpoint}/{target.variant}"
    if predefined := policy.get("PredefinedMetricSpecification"):
        if predefined["PredefinedMetricType"] != INVOCATIONS_PER_INSTANCE:
            return None
        return Metric(own, "InvocationsPerInstance", "Sum", rate=True)
    custom = policy.get("CustomizedMetricSpecification", {})
    name = custom.get("MetricName")
    series = series_of(custom)
    if not name or series is None or "Metrics" in custom:
        return None
    statistic = custom.get("Statistic", "Average")
    is_count = name in COUNTS and statistic == "Sum"
    return Metric(series, name, statistic, rate=is_count, weighted=custom["Namespace"] != UTILISATION)


def series_of(metric: Document) -> str | None:
    """The series of a metric that is named as CloudWatch names it; None for one that is not an endpoint's."""
    dimensions = {each["Name"]: each["Value"] for each in metric.get("Dimensions", ())}
    namespace = metric.get("Namespace")
    if namespace == ENDPOINT_METRICS and dimensions.keys() == {"EndpointName"}:
        return f"{ENDPOINT.name}/{dimensions['EndpointName']}"
    if dimensions.keys() != {"EndpointName", "VariantName"}:
        return None
    series = f"{ENDPOINT.name}/{dimensions['EndpointName']}/{dimensions['VariantName']}"
    return {ENDPOINT_METRICS: series, UTILISATION: f"{series}/algo-1"}.get(str(namespace))
