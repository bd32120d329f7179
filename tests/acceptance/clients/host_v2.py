"""Hosting with SageMaker SDK version 2, as its users write it. Nothing in it knows of Clary.

Usage: host_v2.py REPORT FOLDER. FOLDER/model.tar.gz is a classifier with two labels. What it saw
goes to REPORT, as JSON.
"""

import json
import sys
import time
from pathlib import Path

import boto3
import numpy as np
import sagemaker
from sagemaker.async_inference import AsyncInferenceConfig
from sagemaker.deserializers import JSONDeserializer
from sagemaker.exceptions import UnexpectedStatusException
from sagemaker.huggingface import HuggingFaceModel, HuggingFacePredictor
from sagemaker.model_monitor import DataCaptureConfig
from sagemaker.multidatamodel import MultiDataModel
from sagemaker.pytorch import PyTorchModel
from sagemaker.s3 import S3Downloader, S3Uploader
from sagemaker.serializers import CSVSerializer, JSONSerializer
from sagemaker.serverless import ServerlessInferenceConfig
from sagemaker.session import production_variant
from sagemaker.sklearn import SKLearnModel

report_file, folder = Path(sys.argv[1]), Path(sys.argv[2])
here = Path(__file__).parent
seen: dict = {}

session = sagemaker.Session()
role = sagemaker.get_execution_role()
bucket = session.default_bucket()
runtime = boto3.client("sagemaker-runtime")
versions = {"transformers_version": "4.26", "pytorch_version": "1.13", "py_version": "py39"}
archive = S3Uploader.upload(str(folder / "model.tar.gz"), f"s3://{bucket}/models")
text = "This is a very good product!"


def hugging_face(**given):
    return HuggingFaceModel(role=role, model_data=archive, **{**versions, **given})


# --- an archive of its own weights, in real time -------------------------------------------------------------
began = time.time()
predictor = hugging_face(env={"HF_TASK": "text-classification"}).deploy(1, "ml.m5.xlarge")
seen["real time"] = {
    "deploy_s": time.time() - began,
    "one": predictor.predict({"inputs": text}),
    "several": predictor.predict({"inputs": [text, "Awful."], "parameters": {"top_k": None}}),
    "endpoint": predictor.endpoint_name,
}
raw = runtime.invoke_endpoint(
    EndpointName=predictor.endpoint_name,
    ContentType="application/json",
    Body=json.dumps({"inputs": text}),
    InferenceId="mine-1",
)
seen["real time"]["headers"] = {
    "variant": raw["InvokedProductionVariant"],
    "type": raw["ContentType"],
    "body": json.loads(raw["Body"].read()),
}
csv = HuggingFacePredictor(predictor.endpoint_name, session, serializer=CSVSerializer())
seen["csv"] = csv.predict("inputs\nThis is a very good product!\nAwful.\n")
try:
    predictor.predict({"inputs": {"unknown": 1}})
except runtime.exceptions.ModelError as error:
    seen["bad input"] = {"message": str(error), "status": error.response["OriginalStatusCode"]}

# --- update in place -----------------------------------------------------------------------------------------
predictor.update_endpoint(initial_instance_count=2, instance_type="ml.m5.2xlarge")
described = boto3.client("sagemaker").describe_endpoint(EndpointName=predictor.endpoint_name)
seen["updated"] = {
    "instances": described["ProductionVariants"][0]["CurrentInstanceCount"],
    "status": described["EndpointStatus"],
    "answer": predictor.predict({"inputs": text}),
}
predictor.delete_model()
predictor.delete_endpoint()
try:
    predictor.predict({"inputs": text})
except runtime.exceptions.ClientError as error:
    seen["deleted"] = str(error)

# --- an inference script of one's own, packed again by the SDK -----------------------------------------------
own = hugging_face(entry_point="inference.py", source_dir=str(here / "inference"))
predictor = own.deploy(1, "ml.m5.xlarge")
seen["own script"] = predictor.predict({"inputs": text})
predictor.delete_endpoint()

# --- a model that cannot be loaded ---------------------------------------------------------------------------
broken = hugging_face(entry_point="broken.py", source_dir=str(here / "inference"))
began = time.time()
try:
    broken.deploy(1, "ml.m5.xlarge", endpoint_name="broken")
except UnexpectedStatusException as error:
    seen["broken"] = {"after_s": time.time() - began, "message": str(error)}
boto3.client("sagemaker").delete_endpoint(EndpointName="broken")

# --- asynchronous --------------------------------------------------------------------------------------------
predictor = hugging_face(env={"HF_TASK": "text-classification"}).deploy(
    1,
    "ml.m5.xlarge",
    async_inference_config=AsyncInferenceConfig(output_path=f"s3://{bucket}/async"),
)
seen["async"] = predictor.predict({"inputs": text})
later = predictor.predict_async({"inputs": "Awful."})
seen["async later"] = later.get_result(sagemaker.async_inference.WaiterConfig())
predictor.delete_endpoint()

# --- serverless ----------------------------------------------------------------------------------------------
predictor = hugging_face(env={"HF_TASK": "text-classification"}).deploy(
    serverless_inference_config=ServerlessInferenceConfig(memory_size_in_mb=2048, max_concurrency=5)
)
seen["serverless"] = predictor.predict({"inputs": text})
predictor.delete_endpoint()

# --- two variants, and data capture --------------------------------------------------------------------------
models = []
for name, word in (("variant-a", "first"), ("variant-b", "second")):
    model = hugging_face(
        entry_point="inference.py", source_dir=str(here / "inference"), env={"WORD": word}, name=name
    )
    model.sagemaker_session = session
    container = model.prepare_container_def("ml.m5.xlarge")
    session.create_model(name, role, container)
    models.append(production_variant(name, "ml.m5.xlarge", 1, variant_name=word, initial_weight=1))
capture = DataCaptureConfig(
    enable_capture=True, sampling_percentage=100, destination_s3_uri=f"s3://{bucket}/captured"
)
session.endpoint_from_production_variants(
    "two", models, data_capture_config_dict=capture._to_request_dict(), wait=True
)
both = HuggingFacePredictor("two", session)
seen["variants"] = {
    "chosen": both.predict({"inputs": text}, target_variant="second")["word"],
    "mixed": sorted({both.predict({"inputs": text})["word"] for _ in range(40)}),
}
boto3.client("sagemaker").update_endpoint_weights_and_capacities(
    EndpointName="two",
    DesiredWeightsAndCapacities=[
        {"VariantName": "first", "DesiredWeight": 0.0},
        {"VariantName": "second", "DesiredWeight": 1.0},
    ],
)
session.wait_for_endpoint("two")
seen["variants"]["after"] = sorted({both.predict({"inputs": text})["word"] for _ in range(20)})
deadline = time.time() + 60
while not (captured := S3Downloader.list(f"s3://{bucket}/captured")) and time.time() < deadline:
    time.sleep(1)
lines = [line for file in captured for line in S3Downloader.read_file(file).splitlines()]
seen["captured"] = {"files": captured, "first": json.loads(lines[0])}
both.delete_endpoint()

# --- scikit-learn and PyTorch, through their own model_fn ----------------------------------------------------
sums = SKLearnModel(
    model_data=archive,
    role=role,
    entry_point=str(here / "inference" / "sums.py"),
    framework_version="1.2-1",
    py_version="py3",
).deploy(1, "ml.m5.xlarge")
seen["scikit-learn"] = np.asarray(sums.predict(np.array([[1.0, 2.0], [3.0, 4.0]]))).tolist()
sums.delete_endpoint()
torch_model = PyTorchModel(
    model_data=archive,
    role=role,
    entry_point=str(here / "inference" / "doubles.py"),
    framework_version="2.1",
    py_version="py310",
).deploy(1, "ml.m5.xlarge", serializer=JSONSerializer(), deserializer=JSONDeserializer())
seen["pytorch"] = torch_model.predict([[1.0, 2.0]])
torch_model.delete_endpoint()

# --- many models behind one endpoint -------------------------------------------------------------------------
shelf = MultiDataModel(
    name="shelf",
    model_data_prefix=f"s3://{bucket}/shelf/",
    model=hugging_face(env={"HF_TASK": "text-classification"}, name="shelf-model"),
    sagemaker_session=session,
)
predictor = shelf.deploy(1, "ml.m5.xlarge", endpoint_name="shelf")
shelf.add_model(archive, "en/reviews.tar.gz")
seen["multi-model"] = {
    "listed": list(shelf.list_models()),
    "answer": predictor.predict({"inputs": text}, target_model="en/reviews.tar.gz"),
}
predictor.delete_endpoint()

report_file.write_text(json.dumps(seen))
