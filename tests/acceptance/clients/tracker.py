"""A notebook with the older package for experiments, sagemaker-experiments. Nothing in it knows of Clary.

Usage: tracker.py REPORT FOLDER. What it saw goes to REPORT, as JSON.
"""

import json
import sys
import warnings
from pathlib import Path

warnings.filterwarnings("ignore", message="pkg_resources is deprecated")

import boto3  # noqa: E402
import sagemaker  # noqa: E402
from sagemaker.pytorch import PyTorch  # noqa: E402
from smexperiments.experiment import Experiment  # noqa: E402
from smexperiments.tracker import Tracker  # noqa: E402
from smexperiments.trial import Trial  # noqa: E402

report_file, folder = Path(sys.argv[1]), Path(sys.argv[2])
source = str(Path(__file__).parent / "source")
seen: dict = {}

session = sagemaker.Session()
client = boto3.client("sagemaker")
bucket = session.default_bucket()

experiment = Experiment.create(
    experiment_name="Digits", description="how wide a layer", sagemaker_boto_client=client
)
table = folder / "rows.csv"
table.write_text("1,2\n")
with Tracker.create(
    base_trial_component_name="Preparation", artifact_bucket=bucket, sagemaker_boto_client=client
) as tracker:
    tracker.log_parameters({"mean": 0.1307, "kind": "normalised"})
    tracker.log_input(name="raw", value="s3://elsewhere/raw", media_type="text/csv")
    tracker.log_output_artifact(str(table), name="rows", media_type="text/csv")
prepared = client.describe_trial_component(TrialComponentName=tracker.trial_component.trial_component_name)
seen["prepared"] = {
    key: prepared[key] for key in ("Parameters", "InputArtifacts", "OutputArtifacts", "Status")
}

trial = Trial.create(trial_name="Wide", experiment_name="Digits", sagemaker_boto_client=client)
trial.add_trial_component(tracker.trial_component)
estimator = PyTorch(
    entry_point="tracked.py",
    source_dir=source,
    role=sagemaker.get_execution_role(),
    instance_type="ml.m5.large",
    instance_count=1,
    framework_version="1.13",
    py_version="py39",
    hyperparameters={"width": 128},
)
estimator.fit(
    experiment_config={
        "ExperimentName": "Digits",
        "TrialName": "Wide",
        "TrialComponentDisplayName": "Training",
    }
)
name = estimator.latest_training_job.name
trained = client.describe_trial_component(TrialComponentName=f"{name}-aws-training-job")
seen["trained"] = {
    key: trained[key] for key in ("DisplayName", "Parameters", "OutputArtifacts", "Status", "Metrics")
}

# after the job has ended
with Tracker.load(training_job_name=name, artifact_bucket=bucket, sagemaker_boto_client=client) as tracker:
    tracker.log_parameter("verdict", "good")
seen["later"] = client.describe_trial_component(TrialComponentName=f"{name}-aws-training-job")["Parameters"]

seen["components"] = sorted(each.display_name or "" for each in trial.list_trial_components())
frame = sagemaker.analytics.ExperimentAnalytics(
    experiment_name="Digits",
    sagemaker_session=session,
    sort_by="metrics.train:loss.last",
    parameter_names=["hidden", "mean"],
).dataframe()
seen["columns"] = list(frame.columns)
seen["rows"] = json.loads(frame.set_index("DisplayName").to_json(orient="index"))
seen["experiments"] = [each.experiment_name for each in Experiment.list(sagemaker_boto_client=client)]

experiment.delete_all("--force")
seen["left"] = [each.experiment_name for each in Experiment.list(sagemaker_boto_client=client)]

report_file.write_text(json.dumps(seen, default=str))
