"""Two models in one experiment, a trial each, compared by averages from their logs. Nothing in it knows of Clary.

Usage: two_models.py REPORT FOLDER. What it saw goes to REPORT, as JSON.
"""

import json
import sys
import time
from pathlib import Path

import boto3
import sagemaker
from sagemaker.analytics import ExperimentAnalytics
from sagemaker.experiments.experiment import Experiment
from sagemaker.huggingface import HuggingFace
from sagemaker.s3 import S3Uploader

report_file, folder = Path(sys.argv[1]), Path(sys.argv[2])
source = str(Path(__file__).parent / "source")
stamp = time.strftime("%H%M%S")
seen: dict = {}

session = sagemaker.Session()
client = boto3.client("sagemaker")
role = sagemaker.get_execution_role()
(folder / "data").mkdir()
(folder / "data" / "rows.txt").write_text("first\nsecond\n")
data = S3Uploader.upload(str(folder / "data"), f"s3://{session.default_bucket()}/two-models")

experiment = f"Two-Models-{stamp}"
Experiment.create(experiment_name=experiment, description="which is better?", sagemaker_session=session)
jobs = {}
for model, epochs in (("tiny-bert", 2), ("small-bert", 4)):
    trial = f"{model}-{stamp}"
    client.create_trial(TrialName=trial, ExperimentName=experiment)
    estimator = HuggingFace(
        entry_point="train.py",
        source_dir=source,
        role=role,
        instance_type="ml.p3.2xlarge",
        instance_count=1,
        transformers_version="4.26",
        pytorch_version="1.13",
        py_version="py39",
        base_job_name=model,
        hyperparameters={"epochs": epochs, "model-name": model},
        metric_definitions=[
            {"Name": "eval_loss", "Regex": "'eval_loss': (.*?),"},
            {"Name": "eval_f1", "Regex": "'eval_f1': ([0-9.]+)"},
        ],
    )
    estimator.fit(
        {"train": data},
        wait=False,
        experiment_config={
            "ExperimentName": experiment,
            "TrialName": trial,
            "TrialComponentDisplayName": "Training",
        },
    )
    jobs[model] = estimator.latest_training_job
for job in jobs.values():
    job.wait(logs="None")

analytics = ExperimentAnalytics(
    experiment_name=experiment,
    search_expression={"Filters": [{"Name": "DisplayName", "Operator": "Equals", "Value": "Training"}]},
    sort_by="metrics.eval_f1.avg",
    sort_order="Descending",
    metric_names=["eval_f1", "eval_loss"],
    parameter_names=["epochs", "model-name"],
    sagemaker_session=session,
)
frame = analytics.dataframe()
seen["columns"] = list(frame.columns)
seen["models"] = list(frame["model-name"])
seen["average"] = list(frame["eval_f1 - Avg"])
seen["counts"] = list(frame["eval_f1 - Count"])
seen["trials"] = [trials[0].removesuffix(f"-{stamp}") for trials in frame["Trials"]]
seen["experiments"] = sorted({experiments[0] for experiments in frame["Experiments"]}) == [experiment]

report_file.write_text(json.dumps(seen, default=str))
