"""Experiments with version 3 of the SageMaker SDK, as its users write it. Nothing in it knows of Clary.

Usage: experiments_v3.py REPORT FOLDER. What it saw goes to REPORT, as JSON.
"""

import json
import sys
from pathlib import Path

import boto3
from sagemaker.core.experiments.experiment import Experiment
from sagemaker.core.experiments.run import Run, list_runs, load_run
from sagemaker.core.helper.session_helper import Session

report_file, folder = Path(sys.argv[1]), Path(sys.argv[2])
seen: dict = {}

session = Session()
client = boto3.client("sagemaker")

notes = folder / "notes.txt"
notes.write_text("tried a smaller rate\n")
with Run(experiment_name="Third", run_name="By-Hand", sagemaker_session=session) as run:
    run.log_parameters({"rate": 0.01, "optimizer": "adam"})
    for step in range(12):
        run.log_metric("loss", 1.0 / (step + 1), step=step)
    run.log_file(str(notes), name="notes")
with load_run(experiment_name="Third", run_name="By-Hand", sagemaker_session=session) as run:
    run.log_parameter("later", 1)

described = client.describe_trial_component(TrialComponentName="third-by-hand")
seen["run"] = {key: described[key] for key in ("Parameters", "OutputArtifacts", "Status", "Metrics")}
seen["runs"] = [run.run_name for run in list_runs("third", sagemaker_session=session)]
Experiment.load("third", sagemaker_session=session)._delete_all("--force")
seen["left"] = [each["ExperimentName"] for each in client.list_experiments()["ExperimentSummaries"]]

report_file.write_text(json.dumps(seen, default=str))
