"""Hosting with SageMaker SDK version 3, as its users write it. Nothing in it knows of Clary.

Usage: host_v3.py REPORT FOLDER. FOLDER/model.tar.gz is a classifier with two labels. What it saw
goes to REPORT, as JSON.
"""

import json
import logging
import sys
from pathlib import Path

import boto3
from sagemaker.core.helper.session_helper import Session, get_execution_role
from sagemaker.core.resources import Endpoint, EndpointConfig, Model
from sagemaker.core.shapes import ContainerDefinition, ProductionVariant
from sagemaker.serve.model_builder import ModelBuilder

logging.basicConfig(level=logging.INFO)
report_file, folder = Path(sys.argv[1]), Path(sys.argv[2])
image = (
    "763104351884.dkr.ecr.us-east-1.amazonaws.com/huggingface-pytorch-inference:"
    "2.1.0-transformers4.37.0-cpu-py310-ubuntu22.04"
)
seen: dict = {}

session = Session()
role = get_execution_role()
bucket = session.default_bucket()
boto3.client("s3").upload_file(str(folder / "model.tar.gz"), bucket, "models/model.tar.gz")
archive = f"s3://{bucket}/models/model.tar.gz"
question = json.dumps({"inputs": "This is a very good product!"})


def ask(endpoint):
    answer = endpoint.invoke(body=question, content_type="application/json", accept="application/json")
    return json.loads(answer.body.read())


# --- ModelBuilder ---------------------------------------------------------------------------------------------------
builder = ModelBuilder(
    image_uri=image,
    s3_model_data_url=archive,
    role_arn=role,
    sagemaker_session=session,
    instance_type="ml.m5.xlarge",
    env_vars={"HF_TASK": "text-classification"},
)
model = builder.build(model_name="built")
endpoint = builder.deploy(endpoint_name="built", initial_instance_count=1)
endpoint.refresh()
seen["built"] = {"status": endpoint.endpoint_status, "model": model.model_name, "answer": ask(endpoint)}
endpoint.delete()
endpoint.wait_for_delete()

# --- the resources themselves ---------------------------------------------------------------------------------------
made = Model.create(
    model_name="plain",
    primary_container=ContainerDefinition(
        image=image, model_data_url=archive, environment={"HF_TASK": "text-classification"}
    ),
    execution_role_arn=role,
)
config = EndpointConfig.create(
    endpoint_config_name="plain",
    production_variants=[
        ProductionVariant(
            variant_name="all",
            model_name=made.model_name,
            initial_instance_count=1,
            instance_type="ml.m5.xlarge",
        )
    ],
)
plain = Endpoint.create(endpoint_name="plain", endpoint_config_name=config.endpoint_config_name)
plain.wait_for_status("InService")
seen["plain"] = {"answer": ask(plain), "listed": sorted(one.endpoint_name for one in Endpoint.get_all())}
plain.delete()
plain.wait_for_delete()
config.delete()
made.delete()

report_file.write_text(json.dumps(seen))
