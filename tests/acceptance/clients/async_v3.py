"""Asynchronous inference with version 3 of the SDK: python async_v3.py REPORT FOLDER (FOLDER/model.tar.gz is there)."""

from __future__ import annotations

import json
import sys
import time
from pathlib import Path
from urllib.parse import urlsplit

import boto3
from sagemaker.core.helper.session_helper import Session, get_execution_role
from sagemaker.core.inference_config import AsyncInferenceConfig
from sagemaker.serve.model_builder import ModelBuilder

report_file, folder = Path(sys.argv[1]), Path(sys.argv[2])
session = Session()
bucket = session.default_bucket()
s3 = boto3.client("s3")
s3.upload_file(str(folder / "model.tar.gz"), bucket, "models/model.tar.gz")
s3.put_object(Bucket=bucket, Key="inputs/1", Body=b'{"id": 1}', ContentType="application/json")
s3.put_object(Bucket=bucket, Key="inputs/2", Body=b'{"id": 2, "status": 400}')

builder = ModelBuilder(
    image_uri="mine",
    s3_model_data_url=f"s3://{bucket}/models/model.tar.gz",
    role_arn=get_execution_role(),
    sagemaker_session=session,
    instance_type="ml.m5.xlarge",
)
builder.build(model_name="later")
endpoint = builder.deploy(
    endpoint_name="later-v3",
    initial_instance_count=1,
    inference_config=AsyncInferenceConfig(output_path=f"s3://{bucket}/v3/out"),
)


def read(uri: str) -> dict:
    place = urlsplit(uri)
    for _ in range(60):
        found = s3.list_objects_v2(Bucket=place.netloc, Prefix=place.path.lstrip("/"))
        if found["KeyCount"]:
            return json.loads(s3.get_object(Bucket=place.netloc, Key=place.path.lstrip("/"))["Body"].read())
        time.sleep(0.5)
    raise TimeoutError(uri)


well = endpoint.invoke_async(input_location=f"s3://{bucket}/inputs/1", inference_id="mine")
badly = endpoint.invoke_async(input_location=f"s3://{bucket}/inputs/2")
seen = {
    "id": well.inference_id,
    "output": read(well.output_location),
    "failure": read(badly.failure_location),
    "places": [well.output_location, badly.failure_location],
}
endpoint.delete()
report_file.write_text(json.dumps(seen))
