"""Serves a model with a program of its own: packs it, deploys it, asks it, deletes it. SDK version 2.

clary up
clary run -- python examples/custom_server/run.py
"""

import json
import tarfile
import tempfile
from pathlib import Path

import sagemaker
from sagemaker.model import Model
from sagemaker.predictor import Predictor

SOURCE = Path(__file__).parent / "model"
ANY_IMAGE = "my-own-server:latest"


def main():
    session = sagemaker.Session()
    with tempfile.TemporaryDirectory() as folder:
        archive = Path(folder, "model.tar.gz")
        with tarfile.open(archive, "w:gz") as tar:
            tar.add(SOURCE, ".")
        uri = session.upload_data(str(archive), key_prefix="custom-server")
    model = Model(
        image_uri=ANY_IMAGE,
        model_data=uri,
        role=sagemaker.get_execution_role(),
        predictor_cls=Predictor,
        sagemaker_session=session,
    )
    predictor = model.deploy(initial_instance_count=1, instance_type="ml.m5.xlarge")
    try:
        for text in ("Thanks, great service!", "They were rude. Never again."):
            request = json.dumps({"inputs": text})
            answer = predictor.predict(request, initial_args={"ContentType": "application/json"})
            print(f"{text:30} {answer.decode()}")
    finally:
        predictor.delete_endpoint()
        model.delete_model()


if __name__ == "__main__":
    main()
