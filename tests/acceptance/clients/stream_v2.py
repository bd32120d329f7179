"""As a user writes it: a model that generates text, its answer read while it is made, with version 2 of the SDK.

python stream_v2.py REPORT FOLDER. FOLDER has model.tar.gz. Knows nothing of Clary.
"""

import json
import os
import sys

import boto3
from sagemaker import Session, get_execution_role
from sagemaker.deserializers import JSONDeserializer
from sagemaker.huggingface import HuggingFaceModel
from sagemaker.serializers import JSONSerializer


def main(report_path: str, folder: str) -> None:
    session = Session()
    model = HuggingFaceModel(
        model_data=session.upload_data(f"{folder}/model.tar.gz", key_prefix="writer"),
        role=get_execution_role(),
        transformers_version="4.49.0",
        pytorch_version="2.6.0",
        py_version="py312",
        env={"HF_TASK": "text-generation"},
        sagemaker_session=session,
    )
    predictor = model.deploy(
        initial_instance_count=1,
        instance_type="ml.m5.xlarge",
        serializer=JSONSerializer(),
        deserializer=JSONDeserializer(),
    )
    asked = {"inputs": "good film", "parameters": {"do_sample": False, "max_new_tokens": 12}}
    whole = {**asked, "parameters": {**asked["parameters"], "return_full_text": False}}
    report = {"whole": predictor.predict(whole)[0]["generated_text"]}
    report["bytes"] = b"".join(predictor.predict_stream(asked)).decode()

    runtime = boto3.client("sagemaker-runtime")

    def stream(body: dict) -> dict:
        return runtime.invoke_endpoint_with_response_stream(
            EndpointName=predictor.endpoint_name, Body=json.dumps(body), ContentType="application/json"
        )

    answer = stream(asked)
    report["type"] = answer["ContentType"]
    report["pieces"] = [event["PayloadPart"]["Bytes"].decode() for event in answer["Body"]]
    for _ in range(5):  # read no further than the first piece; places of those left are free again
        left = stream(asked | {"parameters": {"max_new_tokens": 30}})
        next(iter(left["Body"]))
        left["Body"].close()
    report["after"] = predictor.predict(whole)[0]["generated_text"]
    try:
        stream({"inputs": ["one", "two"]})
    except runtime.exceptions.ModelError as error:
        report["error"] = [error.response["OriginalStatusCode"], error.response["Error"]["Message"]]
    predictor.delete_model()
    predictor.delete_endpoint()
    with open(report_path, "w") as file:
        json.dump(report, file)


if __name__ == "__main__":
    main(*sys.argv[1:3])
    os._exit(0)  # threads of the SDK's telemetry
