"""A notebook's worth of SageMaker SDK version 2, as its users write it. Nothing in it knows of Clary.

Usage: v2.py REPORT FOLDER. What it saw goes to REPORT, as JSON.
"""

import json
import sys
import time
from pathlib import Path

import boto3
import sagemaker
from sagemaker.analytics import TrainingJobAnalytics
from sagemaker.estimator import Estimator
from sagemaker.exceptions import UnexpectedStatusException
from sagemaker.huggingface import HuggingFace
from sagemaker.inputs import TrainingInput
from sagemaker.pytorch import PyTorch
from sagemaker.s3 import S3Downloader, S3Uploader

report_file, folder = Path(sys.argv[1]), Path(sys.argv[2])
source = str(Path(__file__).parent / "source")
seen: dict = {}

session = sagemaker.Session()
role = sagemaker.get_execution_role()
bucket = session.default_bucket()
seen["session"] = {
    "role": role,
    "bucket": bucket,
    "account": session.account_id(),
    "region": session.boto_region_name,
    "arn": session.get_caller_identity_arn(),
}

(folder / "data" / "deep").mkdir(parents=True)
(folder / "data" / "one.txt").write_text("first\nsecond\n")
(folder / "data" / "deep" / "two.txt").write_text("third\n")
data = S3Uploader.upload(str(folder / "data"), f"s3://{bucket}/data")
seen["uploaded"] = sorted(S3Downloader.list(data))
seen["read"] = S3Downloader.read_file(f"{data}/one.txt")


def seconds_after(name):
    """Seconds from the end of the job, as the server tells it, to now."""
    description = boto3.client("sagemaker").describe_training_job(TrainingJobName=name)
    return time.time() - description["TrainingEndTime"].timestamp()


# --- the Hugging Face estimator --------------------------------------------------------------------------------------
estimator = HuggingFace(
    entry_point="train.py",
    source_dir=source,
    role=role,
    instance_type="ml.p3.2xlarge",
    instance_count=1,
    transformers_version="4.26",
    pytorch_version="1.13",
    py_version="py39",
    hyperparameters={"epochs": 2, "learning_rate": 5e-05, "model-name": "tiny-bert", "fp16": True},
    metric_definitions=[
        {"Name": "eval_loss", "Regex": "'eval_loss': (.*?),"},
        {"Name": "eval_f1", "Regex": "'eval_f1': ([0-9.]+)"},
    ],
    environment={"OWN_VARIABLE": "mine"},
    tags=[{"Key": "team", "Value": "nlp"}],
)
estimator.fit({"train": data}, logs="All")
name = estimator.latest_training_job.name
seen["huggingface"] = {
    "name": name,
    "late_s": seconds_after(name),
    "model_data": estimator.model_data,
    "status": estimator.latest_training_job.describe()["TrainingJobStatus"],
    "hyperparameters": estimator.latest_training_job.describe()["HyperParameters"],
}
S3Downloader.download(estimator.model_data, str(folder / "model"))
seen["huggingface"]["files"] = sorted(path.name for path in (folder / "model").iterdir())
frame = TrainingJobAnalytics(name, metric_names=["eval_loss", "eval_f1"]).dataframe()
seen["metrics"] = json.loads(frame.to_json(orient="records"))
seen["default metrics"] = sorted(set(TrainingJobAnalytics(name).dataframe()["metric_name"]))

attached = HuggingFace.attach(name)
seen["attached"] = {
    "model_data": attached.model_data,
    "epochs": attached.hyperparameters()["epochs"],
    "job": attached.latest_training_job.name,
}

# --- the PyTorch estimator, with an input of its own kind ------------------------------------------------------------
pytorch = PyTorch(
    entry_point="train.py",
    source_dir=source,
    role=role,
    instance_type="ml.m5.xlarge",
    instance_count=1,
    framework_version="2.0",
    py_version="py310",
    hyperparameters={"epochs": 1},
    base_job_name="pt",
    output_path=f"s3://{bucket}/results",
    max_run=600,
)
pytorch.fit(
    {"train": TrainingInput(f"{data}/one.txt", content_type="text/plain")}, job_name="pt-by-name", logs="All"
)
seen["pytorch"] = {"model_data": pytorch.model_data, "late_s": seconds_after("pt-by-name")}
pytorch.fit({"train": data}, logs="None")
seen["pytorch"]["quiet_late_s"] = seconds_after(pytorch.latest_training_job.name)

# --- a plain estimator, that fails ----------------------------------------------------------------------------------
failing = Estimator(
    image_uri=estimator.training_image_uri(),
    entry_point="fail.py",
    source_dir=source,
    role=role,
    instance_type="ml.m5.xlarge",
    instance_count=1,
)
try:
    failing.fit(logs="All")
except UnexpectedStatusException as error:
    seen["failure"] = {
        "text": str(error),
        "actual": error.actual_status,
        "late_s": seconds_after(failing.latest_training_job.name),
    }

# --- one that is stopped ---------------------------------------------------------------------------------------------
endless = PyTorch(
    entry_point="endless.py",
    source_dir=source,
    role=role,
    instance_type="ml.m5.xlarge",
    instance_count=1,
    framework_version="2.0",
    py_version="py310",
)
endless.fit(wait=False)
job = endless.latest_training_job
while job.describe()["SecondaryStatus"] != "Training":
    time.sleep(0.2)
session.stop_training_job(job.name)
session.logs_for_job(job.name, wait=True)
seen["stopped"] = {
    "status": job.describe()["TrainingJobStatus"],
    "late_s": seconds_after(job.name),
    "model_data": endless.model_data,
}

# --- one with requirements that its environment meets already --------------------------------------------------------
(folder / "needs").mkdir()
(folder / "needs" / "requirements.txt").write_text("packaging>=20\n")
(folder / "needs" / "start.py").write_text("import packaging\nprint('packaging', packaging.__version__)\n")
needy = PyTorch(
    entry_point="start.py",
    source_dir=str(folder / "needs"),
    role=role,
    instance_type="ml.m5.xlarge",
    instance_count=1,
    framework_version="2.0",
    py_version="py310",
)
needy.fit(logs="All")
seen["needy"] = {
    "status": needy.latest_training_job.describe()["TrainingJobStatus"],
    "late_s": seconds_after(needy.latest_training_job.name),
}

report_file.write_text(json.dumps(seen))
