"""Models: Create, Describe, List, Delete. (`model_rules` checks them.)"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from clary.services import hosting
from clary.services.hosting import MODELS
from clary.services.model_rules import check
from clary.services.operations import Context, operation
from clary.store.base import Resource

Request = Mapping[str, Any]


@operation("sagemaker", "CreateModel")
def create(context: Context, request: Request) -> Request:
    """An image, model data and variables under a name. Its data must be there."""
    check(context, request)
    # some clients send both, one of them empty
    given = {key: value for key, value in request.items() if value or key != "Containers"}
    return hosting.create(context, MODELS, hosting.record(context, MODELS, given), request)


@operation("sagemaker", "DescribeModel")
def describe_model(context: Context, request: Request) -> Request:
    """What was given; variables without a value too."""
    return describe(hosting.find(context, MODELS, request["ModelName"]))


@operation("sagemaker", "ListModels")
def list_models(context: Context, request: Request) -> Request:
    """Newest first unless asked otherwise."""
    found, token = hosting.listed(context, MODELS, request)
    return {"Models": [hosting.summary(MODELS, row) for row in found], **token}


@operation("sagemaker", "DeleteModel")
def delete(context: Context, request: Request) -> Request:
    """Forget a model. Endpoints that serve it go on: they have a copy."""
    return hosting.remove(context, MODELS, request["ModelName"])


def describe(row: Resource) -> dict[str, Any]:
    """The members of DescribeModelOutput."""
    spec = dict(row.spec)
    if "PrimaryContainer" in spec:
        spec["PrimaryContainer"] = _filled(spec["PrimaryContainer"])
    if "Containers" in spec:
        spec["Containers"] = [_filled(container) for container in spec["Containers"]]
    return {
        "EnableNetworkIsolation": False,
        **spec,
        "ModelName": row.name,
        "ModelArn": row.arn,
        "CreationTime": row.created,
    }


def _filled(container: Request) -> Request:
    return {"Mode": "SingleModel", "Environment": {}, **container}
