"""A notebook that fine-tunes two models, a trial each of one experiment, and compares them by the averages of what
their logs say. Nothing in it knows of Clary.

Usage: published_trials.py REPORT FOLDER. What it saw goes to REPORT, as JSON.
"""

import json
import sys
import time
import warnings
from pathlib import Path

warnings.filterwarnings("ignore", message="pkg_resources is deprecated")

import boto3  # noqa: E402
import sagemaker  # noqa: E402
from sagemaker.analytics import ExperimentAnalytics  # noqa: E402
from sagemaker.huggingface import HuggingFace  # noqa: E402
from smexperiments.experiment import Experiment  # noqa: E402
from smexperiments.trial import Trial  # noqa: E402

report_file, folder = Path(sys.argv[1]), Path(sys.argv[2])
source = str(Path(__file__).parent / "published" / "trials")
stamp = time.strftime("%Y-%m-%d-%H-%M-%S")

session = sagemaker.Session()
role = sagemaker.get_execution_role()
client = boto3.client("sagemaker")
(folder / "train.csv").write_text("text,label\na good film,1\na bad film,0\n")
data = session.upload_data(str(folder / "train.csv"), key_prefix="sentiment/train")

experiment = Experiment.create(
    experiment_name=f"sentiment-{stamp}",
    description="DistilBERT or BERT: which is better at the sentiment of reviews?",
    sagemaker_boto_client=client,
)
metric_definitions = [
    {"Name": "loss", "Regex": "'loss': ([0-9]+(.|e\\-)[0-9]+),?"},
    {"Name": "learning_rate", "Regex": "'learning_rate': (.*?),"},
    {"Name": "eval_loss", "Regex": "'eval_loss': ([0-9]+(.|e\\-)[0-9]+),?"},
    {"Name": "eval_accuracy", "Regex": "'eval_accuracy': ([0-9]+(.|e\\-)[0-9]+),?"},
    {"Name": "epoch", "Regex": "'epoch': ([0-9]+(.|e\\-)[0-9]+),?"},
]

jobs = {}
for model in ("distilbert-base-uncased", "bert-base-uncased"):
    trial = Trial.create(
        trial_name=f"{model}-{stamp}",
        experiment_name=experiment.experiment_name,
        sagemaker_boto_client=client,
    )
    estimator = HuggingFace(
        entry_point="train.py",
        source_dir=source,
        role=role,
        instance_type="ml.p3.2xlarge",
        instance_count=1,
        transformers_version="4.26",
        pytorch_version="1.13",
        py_version="py39",
        hyperparameters={"epochs": 3, "train_batch_size": 32, "model_name": model},
        metric_definitions=metric_definitions,
        enable_sagemaker_metrics=True,
    )
    estimator.fit(
        {"train": data},
        job_name=f"{model}-{stamp}",
        wait=False,
        experiment_config={"TrialName": trial.trial_name, "TrialComponentDisplayName": "Training"},
    )
    jobs[model] = estimator

for estimator in jobs.values():
    estimator.latest_training_job.wait(logs="None")

frame = ExperimentAnalytics(
    sagemaker_session=session,
    experiment_name=experiment.experiment_name,
    search_expression={"Filters": [{"Name": "DisplayName", "Operator": "Equals", "Value": "Training"}]},
    sort_by="metrics.eval_accuracy.max",
    sort_order="Descending",
).dataframe()
frame["Trial"] = frame["Trials"].str[0]
averages = frame.groupby("Trial")[["eval_accuracy - Avg", "eval_loss - Avg", "loss - Avg"]].mean()
print(averages)

report = {
    "columns": list(frame.columns),
    "rows": json.loads(frame.to_json(orient="records")),
    "averages": {trial.removesuffix(f"-{stamp}"): dict(row) for trial, row in averages.iterrows()},
    "trials": sorted(each.trial_name for each in experiment.list_trials()),
    "models": {model: estimator.model_data for model, estimator in jobs.items()},
    "stamp": stamp,
}
report_file.write_text(json.dumps(report))
