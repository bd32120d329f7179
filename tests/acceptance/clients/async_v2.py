"""Asynchronous inference with version 2 of the SDK: python async_v2.py REPORT FOLDER (FOLDER/model.tar.gz is there)."""

from __future__ import annotations

import json
import sys
from pathlib import Path

import sagemaker
from sagemaker.async_inference import AsyncInferenceConfig, WaiterConfig
from sagemaker.deserializers import JSONDeserializer
from sagemaker.exceptions import AsyncInferenceModelError, ObjectNotExistedError
from sagemaker.model import Model
from sagemaker.predictor import Predictor
from sagemaker.s3 import S3Uploader
from sagemaker.serializers import JSONSerializer

report_file, folder = Path(sys.argv[1]), Path(sys.argv[2])
seen: dict = {}

session = sagemaker.Session()
bucket = session.default_bucket()
model = Model(
    image_uri="mine",
    model_data=S3Uploader.upload(str(folder / "model.tar.gz"), f"s3://{bucket}/models"),
    role=sagemaker.get_execution_role(),
    predictor_cls=lambda name, session: Predictor(
        name, session, serializer=JSONSerializer(), deserializer=JSONDeserializer()
    ),
    sagemaker_session=session,
)
predictor = model.deploy(
    1,
    "ml.m5.xlarge",
    async_inference_config=AsyncInferenceConfig(
        output_path=f"s3://{bucket}/sdk/out",
        failure_path=f"s3://{bucket}/sdk/failed",
        max_concurrent_invocations_per_instance=2,
    ),
)
soon = WaiterConfig(max_attempts=30, delay=1)
seen["predicted"] = predictor.predict({"id": 1}, waiter_config=soon)
later = predictor.predict_async({"id": 2, "sleep": 1})
try:
    later.get_result()
except ObjectNotExistedError as error:
    seen["not yet"] = type(error).__name__
seen["later"] = later.get_result(soon)
try:
    predictor.predict({"id": 3, "status": 500}, waiter_config=soon)
except AsyncInferenceModelError as error:
    seen["failure"] = {"kind": type(error).__name__, "message": str(error)}
failing = predictor.predict_async({"id": 4, "status": 500})
try:
    failing.get_result(soon)
except AsyncInferenceModelError as error:
    seen["failure later"] = type(error).__name__
predictor.delete_endpoint()
report_file.write_text(json.dumps(seen))
