# %% [markdown]
# Digits, told apart by a linear classifier: a run for each step size. Nothing in it knows of Clary.
#
# Usage: published_run.py REPORT FOLDER. What it saw goes to REPORT, as JSON.

# %%
import json
import sys
from pathlib import Path
from urllib.parse import urlsplit

import boto3
import numpy as np
import sagemaker
from sagemaker.analytics import ExperimentAnalytics
from sagemaker.experiments import SortOrderType, list_runs, load_run
from sagemaker.experiments.run import Run
from sagemaker.pytorch import PyTorch
from sklearn.datasets import load_digits
from sklearn.linear_model import SGDClassifier
from sklearn.metrics import log_loss
from sklearn.model_selection import train_test_split

report_file, folder = Path(sys.argv[1]), Path(sys.argv[2])
source = str(Path(__file__).parent / "published" / "run")
session = sagemaker.Session(boto3.Session())
client = session.sagemaker_client
seen = {"losses": {}}

# %%
texts, labels = load_digits(return_X_y=True)
train_x, test_x, train_y, test_y = train_test_split(texts / 16, labels == 8, random_state=0)
np.savetxt(folder / "labels.csv", test_y.astype(int), fmt="%d")

# %%
for step_size in (0.001, 0.1):
    with Run(
        experiment_name="digits-in-a-notebook",
        run_name=f"step-{str(step_size).replace('.', '-')}",
        run_display_name=f"step-size-{str(step_size).replace('.', '-')}",
        sagemaker_session=session,
    ) as run:
        run.log_parameters({"step_size": step_size, "model": "linear"})
        run.log_file(str(folder / "labels.csv"), name="labels", is_output=False)
        run.log_artifact(
            "data", "https://archive.ics.uci.edu/dataset/80", media_type="text/html", is_output=False
        )
        model = SGDClassifier(loss="log_loss", learning_rate="constant", eta0=step_size, random_state=0)
        losses = []
        for epoch in range(12):
            model.partial_fit(train_x, train_y, classes=[False, True])
            losses.append(log_loss(test_y, model.predict_proba(test_x)))
            run.log_metric(name="test:loss", value=losses[-1], step=epoch)
        run.log_metric(name="test:accuracy", value=model.score(test_x, test_y))
        probabilities = model.predict_proba(test_x)[:, 1]
        run.log_confusion_matrix(
            test_y.astype(int), model.predict(test_x).astype(int), title="Confusion", is_output=True
        )
        run.log_roc_curve(test_y, probabilities, title="ROC", is_output=False)
        run.log_precision_recall(test_y, probabilities, positive_label=True, title="Precision-Recall")
        seen["losses"][run.run_name] = losses

# %% the run that did better, once more: a training job that belongs to it
with load_run(experiment_name="digits-in-a-notebook", run_name="step-0-1", sagemaker_session=session) as run:
    run.log_parameter("chosen", 1)
    estimator = PyTorch(
        entry_point="train.py",
        source_dir=source,
        role=sagemaker.get_execution_role(),
        instance_type="ml.m5.large",
        instance_count=1,
        framework_version="1.13",
        py_version="py39",
        hyperparameters={"step_size": 0.1},
        metric_definitions=[{"Name": "train:loss", "Regex": "loss=([0-9.]+)"}],
    )
    estimator.fit(logs="None")
    seen["job"] = estimator.latest_training_job.name

# %% what there is by now
for order in SortOrderType.ASCENDING, SortOrderType.DESCENDING:
    runs = list_runs("digits-in-a-notebook", sagemaker_session=session, sort_order=order)
    seen[order.value] = [each.run_name for each in runs]
frame = ExperimentAnalytics("digits-in-a-notebook", sagemaker_session=session).dataframe()
seen["frame"] = json.loads(frame.set_index("TrialComponentName").to_json(orient="index"))
described = client.describe_trial_component(TrialComponentName="digits-in-a-notebook-step-0-1")
seen["display name"] = described["DisplayName"]
seen["inputs"] = {name: each["Value"] for name, each in described["InputArtifacts"].items()}
seen["labels"] = sagemaker.s3.S3Downloader.read_file(
    seen["inputs"]["labels"], sagemaker_session=session
).split()

# %% the charts, as a page would read them
arn = described["TrialComponentArn"]
outward = client.list_associations(SourceArn=arn)["AssociationSummaries"]
inward = client.list_associations(DestinationArn=arn)["AssociationSummaries"]
charts = {}
for side, found in (
    ("output", [each["DestinationArn"] for each in outward]),
    ("input", [each["SourceArn"] for each in inward]),
):
    for artifact in found:
        if ":artifact/" not in artifact:
            continue
        known = client.describe_artifact(ArtifactArn=artifact)
        where = urlsplit(known["Source"]["SourceUri"])
        if where.scheme != "s3" or not where.path.endswith(".json"):
            continue
        body = boto3.client("s3").get_object(Bucket=where.netloc, Key=where.path.lstrip("/"))["Body"].read()
        charts[known["ArtifactName"]] = {"side": side, "type": known["ArtifactType"], **json.loads(body)}
seen["charts"] = charts
seen["positives"] = [int(np.sum(test_y)), len(test_y)]

# %%
report_file.write_text(json.dumps(seen, default=str))
