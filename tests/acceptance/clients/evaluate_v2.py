"""Clary's evaluation as processing jobs of SageMaker SDK version 2: a classifier, and a mistake in the data.

Usage: evaluate_v2.py REPORT FOLDER. What it saw goes to REPORT, as JSON. FOLDER/model.tar.gz is the model.
"""

import io
import json
import sys
from pathlib import Path

import pyarrow.parquet
import sagemaker
from sagemaker.exceptions import UnexpectedStatusException
from sagemaker.huggingface import HuggingFaceProcessor
from sagemaker.processing import ProcessingInput, ProcessingOutput, ScriptProcessor
from sagemaker.s3 import S3Downloader, S3Uploader

from clary.recipes import evaluate

report_file, folder = Path(sys.argv[1]), Path(sys.argv[2])
session = sagemaker.Session()
role = sagemaker.get_execution_role()
bucket = session.default_bucket()
seen: dict = {}

model = S3Uploader.upload(str(folder.parent / "model.tar.gz"), f"s3://{bucket}/model")
rows = [
    f"{text},{label}"
    for text, label in [("good film", "good"), ("bad plot", "bad"), ("slow scene", "bad")] * 8
]
for name, lines in (("test", rows), ("broken", [*rows, "no label here,"])):
    (folder / name).mkdir()
    (folder / name / "test.csv").write_text("\n".join(["text,label", *lines]) + "\n")
    S3Uploader.upload(str(folder / name), f"s3://{bucket}/{name}")


def places(name):
    return {
        "inputs": [
            ProcessingInput(source=model, destination="/opt/ml/processing/model"),
            ProcessingInput(source=f"s3://{bucket}/{name}", destination="/opt/ml/processing/test"),
        ],
        "outputs": [ProcessingOutput(source="/opt/ml/processing/evaluation", output_name="evaluation")],
    }


hugging_face = HuggingFaceProcessor(
    role=role,
    instance_type="ml.g4dn.xlarge",
    instance_count=1,
    transformers_version="4.26",
    pytorch_version="1.13",
    py_version="py39",
    base_job_name="evaluate",
)
hugging_face.run(code=evaluate.__file__, arguments=["--resamples", "20", "--seed", "3"], **places("test"))
job = hugging_face.latest_job
output = job.outputs[0].destination
files = [uri.rpartition("/")[2] for uri in S3Downloader.list(output)]
table = pyarrow.parquet.read_table(io.BytesIO(S3Downloader.read_bytes(f"{output}/predictions.parquet")))
seen["files"] = sorted(files)
seen["evaluation"] = json.loads(S3Downloader.read_file(f"{output}/evaluation.json"))
seen["rows"] = table.num_rows
seen["message"] = job.describe()["ExitMessage"]
seen["png"] = S3Downloader.read_bytes(f"{output}/confusion_matrix.png")[1:4].decode()

script = ScriptProcessor(
    role=role,
    image_uri=hugging_face.image_uri or "image",
    command=["python3"],
    instance_type="ml.m5.xlarge",
    instance_count=1,
    base_job_name="broken",
)
try:
    script.run(code=evaluate.__file__, logs=False, **places("broken"))
except UnexpectedStatusException as failure:
    seen["failure"] = str(failure)
seen["failed message"] = script.latest_job.describe().get("ExitMessage")

report_file.write_text(json.dumps(seen))
