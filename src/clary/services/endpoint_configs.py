"""Endpoint configurations: Create, Describe, List, Delete. (`endpoint_config_rules` checks them.)"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from clary.domain.endpoints import DEFAULT_WEIGHT
from clary.services import hosting
from clary.services.endpoint_config_rules import check
from clary.services.hosting import ENDPOINT_CONFIGS
from clary.services.operations import Context, operation
from clary.store.base import Resource

Request = Mapping[str, Any]


@operation("sagemaker", "CreateEndpointConfig")
def create(context: Context, request: Request) -> Request:
    """Which models an endpoint serves, on how many instances of what type, and their shares of the requests."""
    check(context, request)
    row = hosting.record(context, ENDPOINT_CONFIGS, request)
    return hosting.create(context, ENDPOINT_CONFIGS, row, request)


@operation("sagemaker", "DescribeEndpointConfig")
def describe_config(context: Context, request: Request) -> Request:
    """What was given; weights that were not are 1."""
    return describe(hosting.find(context, ENDPOINT_CONFIGS, request["EndpointConfigName"]))


@operation("sagemaker", "ListEndpointConfigs")
def list_configs(context: Context, request: Request) -> Request:
    """Newest first unless asked otherwise."""
    found, token = hosting.listed(context, ENDPOINT_CONFIGS, request)
    return {"EndpointConfigs": [hosting.summary(ENDPOINT_CONFIGS, row) for row in found], **token}


@operation("sagemaker", "DeleteEndpointConfig")
def delete(context: Context, request: Request) -> Request:
    """Forget a configuration. Endpoints made with it go on: they have a copy."""
    return hosting.remove(context, ENDPOINT_CONFIGS, request["EndpointConfigName"])


def describe(row: Resource) -> dict[str, Any]:
    """The members of DescribeEndpointConfigOutput."""
    variants = [
        {"InitialVariantWeight": DEFAULT_WEIGHT, **variant} for variant in row.spec["ProductionVariants"]
    ]
    return {
        "EnableNetworkIsolation": False,
        **row.spec,
        "ProductionVariants": variants,
        "EndpointConfigName": row.name,
        "EndpointConfigArn": row.arn,
        "CreationTime": row.created,
    }
