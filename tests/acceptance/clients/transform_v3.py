"""Batch transform with SageMaker SDK version 3, as its users write it. Nothing in it knows of Clary.

Usage: transform_v3.py REPORT FOLDER. FOLDER/model.tar.gz is a classifier with two labels. What it saw
goes to REPORT, as JSON.
"""

import json
import logging
import sys
from pathlib import Path

import boto3
from sagemaker.core.helper.session_helper import Session, get_execution_role
from sagemaker.core.resources import Model, TransformJob
from sagemaker.core.shapes import (
    ContainerDefinition,
    TransformDataSource,
    TransformInput,
    TransformOutput,
    TransformResources,
    TransformS3DataSource,
)
from sagemaker.core.transformer import Transformer
from sagemaker.core.utils.exceptions import FailedStatusError

logging.basicConfig(level=logging.INFO)
report_file, folder = Path(sys.argv[1]), Path(sys.argv[2])
seen: dict = {}

session = Session()
bucket = session.default_bucket()
s3 = boto3.client("s3")
s3.upload_file(str(folder / "model.tar.gz"), bucket, "models/model.tar.gz")
reviews = [{"id": number, "inputs": f"product {number}"} for number in range(20)]
body = "\n".join(json.dumps(review) for review in reviews).encode()
s3.put_object(Bucket=bucket, Key="v3/reviews.jsonl", Body=body)
s3.put_object(Bucket=bucket, Key="v3-bad/reviews.jsonl", Body=body + b'\n{"nothing": 1}\n')


def lines(path):
    return s3.get_object(Bucket=bucket, Key=path)["Body"].read().decode().splitlines()


Model.create(
    model_name="v3-model",
    execution_role_arn=get_execution_role(),
    primary_container=ContainerDefinition(
        image="763104351884.dkr.ecr.us-east-1.amazonaws.com/huggingface-pytorch-inference:"
        "2.1.0-transformers4.37.0-cpu-py310-ubuntu22.04",
        model_data_url=f"s3://{bucket}/models/model.tar.gz",
        environment={"HF_TASK": "text-classification"},
    ),
)

# --- the transformer --------------------------------------------------------------------------------------------------
transformer = Transformer(
    model_name="v3-model",
    instance_count=1,
    instance_type="ml.m5.large",
    strategy="MultiRecord",
    assemble_with="Line",
    accept="application/jsonlines",
    output_path=f"s3://{bucket}/v3-out",
    sagemaker_session=session,
)
transformer.transform(
    f"s3://{bucket}/v3/",
    content_type="application/jsonlines",
    split_type="Line",
    join_source="Input",
    job_name="v3-first",
)
seen["joined"] = [json.loads(line) for line in lines("v3-out/reviews.jsonl.out")]
found = Transformer.attach("v3-first", sagemaker_session=session)
seen["attached"] = {"model": found.model_name, "output": found.output_path == transformer.output_path}
try:
    transformer.transform(f"s3://{bucket}/v3-bad/", content_type="application/jsonlines", split_type="Line")
except FailedStatusError as failure:
    seen["failure"] = f"{type(failure).__name__}: {failure}"

# --- the resource itself ----------------------------------------------------------------------------------------------
job = TransformJob.create(
    transform_job_name="v3-second",
    model_name="v3-model",
    transform_input=TransformInput(
        data_source=TransformDataSource(
            s3_data_source=TransformS3DataSource(s3_data_type="S3Prefix", s3_uri=f"s3://{bucket}/v3/")
        ),
        content_type="application/jsonlines",
        split_type="Line",
    ),
    transform_output=TransformOutput(s3_output_path=f"s3://{bucket}/v3-plain", assemble_with="Line"),
    transform_resources=TransformResources(instance_type="ml.m5.large", instance_count=1),
)
job.wait(logs=True)
seen["plain"] = {"status": job.transform_job_status, "lines": len(lines("v3-plain/reviews.jsonl.out"))}
stopped = TransformJob.create(
    transform_job_name="v3-third",
    model_name="v3-model",
    transform_input=job.transform_input,
    transform_output=job.transform_output,
    transform_resources=job.transform_resources,
)
stopped.stop()
stopped.wait()
stopped.refresh()
seen["stopped"] = stopped.transform_job_status
seen["all"] = sorted(each.transform_job_name for each in TransformJob.get_all(name_contains="v3-"))
transformer.delete_model()
report_file.write_text(json.dumps(seen))
