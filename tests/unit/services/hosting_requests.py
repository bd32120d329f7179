"""Requests that make a model, an endpoint configuration and an endpoint, as the SDKs send them."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

from clary.services import endpoint_configs, endpoints, models  # noqa: F401 - they register their operations
from clary.services.operations import Context
from clary.store.base import Resource
from tests.unit.services.asking import ask

ROLE = "arn:aws:iam::123456789012:role/any"
HUB_MODEL = {
    "Image": "763104351884.dkr.ecr.us-east-1.amazonaws.com/huggingface-pytorch-inference:2.6.0",
    "Environment": {
        "HF_MODEL_ID": "org/name",
        "HF_TASK": "text-classification",
        "SAGEMAKER_PROGRAM": "",
        "SAGEMAKER_SUBMIT_DIRECTORY": "",
    },
}


def variant(name: str = "AllTraffic", model: str = "model-1", **more: Any) -> dict[str, Any]:
    return {
        "VariantName": name,
        "ModelName": model,
        "InstanceType": "ml.m5.large",
        "InitialInstanceCount": 1,
        **more,
    }


def serverless(**more: Any) -> dict[str, Any]:
    config = {"MemorySizeInMB": 2048, "MaxConcurrency": 5, **more}
    return {"VariantName": "AllTraffic", "ModelName": "model-1", "ServerlessConfig": config}


def make_model(context: Context, name: str = "model-1", **more: Any) -> str:
    request = {"ModelName": name, "ExecutionRoleArn": ROLE, "PrimaryContainer": HUB_MODEL, **more}
    return str(ask(context, "CreateModel", **request)["ModelArn"])


def make_config(context: Context, name: str = "config-1", *variants: dict[str, Any], **more: Any) -> str:
    request = {
        "EndpointConfigName": name,
        "ProductionVariants": list(variants) or [variant()],
        **more,
    }
    return str(ask(context, "CreateEndpointConfig", **request)["EndpointConfigArn"])


def make_endpoint(context: Context, name: str = "endpoint-1", config: str = "config-1", **more: Any) -> str:
    answer = ask(context, "CreateEndpoint", EndpointName=name, EndpointConfigName=config, Tags=[], **more)
    return str(answer["EndpointArn"])


def put_in_service(context: Context, name: str = "endpoint-1", **state: Any) -> None:
    """What the controller writes once the generation that is wanted answers; `state` is noted beside that."""

    def change(row: Resource) -> Resource:
        target = row.state["target"]
        variants = row.state["generations"][target]["variants"]
        settled = {
            "generations": {target: row.state["generations"][target]},
            "live": target,
            "traffic": [{"generation": target, "share": 1.0}],
            "instances": [
                {
                    "id": f"{index:x}{number:07x}",
                    "generation": target,
                    "variant": name,
                    "address": f"127.0.0.1:{4000 + number}",
                }
                for index, (name, wanted) in enumerate(variants.items())
                for number in range(wanted["count"])
            ],
        }
        return replace(row, status="InService", state={**row.state, **settled, **state})

    assert context.store.update("endpoint", name, change) is not None
