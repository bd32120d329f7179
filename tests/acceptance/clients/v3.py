"""A notebook's worth of SageMaker SDK version 3, as its users write it. Nothing in it knows of Clary.

Usage: v3.py REPORT FOLDER. What it saw goes to REPORT, as JSON.
"""

import json
import logging
import sys
import time
from pathlib import Path

import boto3
from sagemaker.core.helper.session_helper import Session, get_execution_role
from sagemaker.core.resources import TrainingJob
from sagemaker.core.shapes import StoppingCondition
from sagemaker.core.utils.exceptions import FailedStatusError
from sagemaker.train import ModelTrainer
from sagemaker.train.configs import Compute, InputData, SourceCode

logging.basicConfig(
    level=logging.INFO
)  # this version of the SDK says nothing otherwise, no log of a job either
report_file, folder = Path(sys.argv[1]), Path(sys.argv[2])
source = str(Path(__file__).parent / "source")
image = "763104351884.dkr.ecr.us-east-1.amazonaws.com/pytorch-training:2.2.0-cpu-py310-ubuntu20.04-sagemaker"
seen: dict = {}

session = Session()
role = get_execution_role()
seen["session"] = {"role": role, "bucket": session.default_bucket()}

(folder / "data").mkdir(parents=True)
(folder / "data" / "one.txt").write_text("first\nsecond\n")


def seconds_after(name):
    """Seconds from the end of the job, as the server tells it, to now."""
    description = boto3.client("sagemaker").describe_training_job(TrainingJobName=name)
    return time.time() - description["TrainingEndTime"].timestamp()


def trainer(script, **options):
    return ModelTrainer(
        training_image=image,
        source_code=SourceCode(source_dir=source, entry_script=script),
        compute=Compute(instance_type="ml.m5.xlarge", instance_count=1),
        stopping_condition=StoppingCondition(max_runtime_in_seconds=600),
        **options,
    )


# --- a job that goes well, from local files ---------------------------------------------------------------------------
good = trainer(
    "train.py",
    base_job_name="v3",
    hyperparameters={"epochs": 2, "learning_rate": 5e-05, "model-name": "tiny-bert", "fp16": True},
    environment={"OWN_VARIABLE": "mine"},
)
good.train(
    input_data_config=[InputData(channel_name="train", data_source=str(folder / "data"))],
    wait=True,
    logs=True,
)
job = good._latest_training_job
seen["good"] = {
    "name": job.training_job_name,
    "status": job.training_job_status,
    "late_s": seconds_after(job.training_job_name),
    "model": job.model_artifacts.s3_model_artifacts,
    "hyperparameters": job.hyper_parameters,
}
found = TrainingJob.get(training_job_name=job.training_job_name)
seen["found"] = {"status": found.training_job_status, "arn": found.training_job_arn}

# --- one that fails --------------------------------------------------------------------------------------------------
try:
    trainer("fail.py", base_job_name="v3-fail").train(wait=True, logs=True)
except FailedStatusError as error:
    seen["failure"] = str(error)

# --- one that is stopped ---------------------------------------------------------------------------------------------
endless = trainer("endless.py", base_job_name="v3-endless")
endless.train(wait=False, logs=False)
job = endless._latest_training_job
while job.secondary_status != "Training":
    time.sleep(0.2)
    job.refresh()
job.stop()
job.wait(logs=True)
seen["stopped"] = {"status": job.training_job_status, "late_s": seconds_after(job.training_job_name)}

report_file.write_text(json.dumps(seen))
