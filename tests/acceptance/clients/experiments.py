"""A notebook with experiments, as users of the SageMaker SDK version 2 write it. Nothing in it knows of Clary.

Usage: experiments.py REPORT FOLDER. What it saw goes to REPORT, as JSON.
"""

import json
import sys
from pathlib import Path

import boto3
import sagemaker
from sagemaker.experiments import Run, list_runs, load_run
from sagemaker.experiments.experiment import Experiment
from sagemaker.huggingface import HuggingFace
from sagemaker.processing import ProcessingInput, ProcessingOutput
from sagemaker.sklearn.processing import SKLearnProcessor

report_file, folder = Path(sys.argv[1]), Path(sys.argv[2])
source = str(Path(__file__).parent / "source")
seen: dict = {}

session = sagemaker.Session()
role = sagemaker.get_execution_role()
client = boto3.client("sagemaker")

# --- a run by hand ---------------------------------------------------------------------------------------------------
notes = folder / "notes.txt"
notes.write_text("tried a smaller rate\n")
with Run(experiment_name="Reviews", run_name="By-Hand", sagemaker_session=session) as run:
    run.log_parameter("rate", 0.01)
    run.log_parameters({"optimizer": "adam", "layers": 4})
    for step in range(25):
        run.log_metric("val:Loss", 1.0 - step / 100, step=step)
    run.log_metric("accuracy", 0.75)
    run.log_file(str(notes), name="notes", is_output=False)
    run.log_file(str(notes), name="copied notes")
    run.log_artifact("weights", "s3://elsewhere/weights.bin", media_type="application/octet-stream")
    run.log_confusion_matrix([0, 1, 1, 0], [0, 1, 0, 0], title="confusion")
    run.log_roc_curve([0, 1, 1, 0], [0.2, 0.9, 0.4, 0.1], title="roc")
    run.log_precision_recall([0, 1, 1, 0], [0.2, 0.9, 0.4, 0.1], positive_label=1, title="precision-recall")
    with load_run() as same:
        same.log_parameter("nested", "yes")

by_hand = client.describe_trial_component(TrialComponentName="reviews-by-hand")
seen["by hand"] = {
    key: by_hand[key] for key in ("Parameters", "InputArtifacts", "OutputArtifacts", "Status", "Metrics")
}
associations = client.list_associations(SourceArn=by_hand["TrialComponentArn"])["AssociationSummaries"]
seen["charts"] = sorted(each["DestinationName"] for each in associations)

# --- the same run once more: it is loaded, not made -------------------------------------------------------------------
with load_run(experiment_name="Reviews", run_name="By-Hand", sagemaker_session=session) as run:
    run.log_parameter("later", 1)
seen["later"] = client.describe_trial_component(TrialComponentName="reviews-by-hand")["Parameters"]

try:
    with Run(experiment_name="reviews", run_name="broken", sagemaker_session=session):
        raise ValueError("no such column")
except ValueError:
    seen["broken"] = client.describe_trial_component(TrialComponentName="reviews-broken")["Status"]

# --- a run that a training job and a processing job add to ------------------------------------------------------------
with Run(experiment_name="reviews", run_name="with-jobs", sagemaker_session=session) as run:
    estimator = HuggingFace(
        entry_point="recorded.py",
        source_dir=source,
        role=role,
        instance_type="ml.p3.2xlarge",
        instance_count=1,
        transformers_version="4.26",
        pytorch_version="1.13",
        py_version="py39",
        base_job_name="Fit-Reviews",
        hyperparameters={"epochs": 2, "optimizer": "adam"},
        metric_definitions=[{"Name": "never", "Regex": "never=(.*)"}],
    )
    estimator.fit()
    seen["training"] = estimator.latest_training_job.name
    processor = SKLearnProcessor(
        framework_version="1.2-1",
        role=role,
        instance_type="ml.m5.large",
        instance_count=1,
        base_job_name="evaluate-reviews",
    )
    data = folder / "data"
    data.mkdir()
    (data / "rows.csv").write_text("1,2\n")
    processor.run(
        code=f"{source}/recorded.py",
        arguments=["--epochs", "4"],
        inputs=[ProcessingInput(source=str(data), destination="/opt/ml/processing/data", input_name="rows")],
        outputs=[ProcessingOutput(source="/opt/ml/processing/out", output_name="evaluation")],
    )
    seen["processing"] = processor.latest_job.job_name

with_jobs = client.describe_trial_component(TrialComponentName="reviews-with-jobs")
seen["with jobs"] = {key: with_jobs[key] for key in ("Parameters", "Metrics", "Status")}


def job_component(name, suffix):
    described = client.describe_trial_component(TrialComponentName=name + suffix)
    wanted = ("Source", "Parameters", "InputArtifacts", "OutputArtifacts", "Status")
    trials = client.list_trials(TrialComponentName=name + suffix)["TrialSummaries"]
    return {
        **{key: described.get(key) for key in wanted},
        "times": described["StartTime"] <= described["EndTime"],
        "trials": [each["TrialName"] for each in trials],
    }


seen["training component"] = job_component(seen["training"], "-aws-training-job")
seen["processing component"] = job_component(seen["processing"], "-aws-processing-job")

# --- what there is by now ---------------------------------------------------------------------------------------------
seen["runs"] = [run.run_name for run in list_runs("reviews", sagemaker_session=session)]
frame = sagemaker.analytics.ExperimentAnalytics("reviews", sagemaker_session=session).dataframe()
seen["frame"] = json.loads(frame.set_index("TrialComponentName").to_json(orient="index"))
experiment = Experiment.load("REVIEWS", sagemaker_session=session)
seen["trials"] = [each.trial_name for each in experiment.list_trials()]

experiment._delete_all("--force")
seen["left"] = {
    "experiments": client.list_experiments()["ExperimentSummaries"],
    "trials": client.list_trials()["TrialSummaries"],
    "components": client.list_trial_components()["TrialComponentSummaries"],
}

report_file.write_text(json.dumps(seen, default=str))
