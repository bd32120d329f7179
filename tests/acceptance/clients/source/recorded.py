"""A script that adds to the run of the experiment in which its job was started: load_run finds it by itself."""

import argparse
import os

from sagemaker.experiments import load_run
from sagemaker.session import Session

parser = argparse.ArgumentParser()
parser.add_argument("--epochs", type=int, default=3)
options, _ = parser.parse_known_args()

with load_run(sagemaker_session=Session()) as run:
    run.log_parameter("inside", os.environ.get("TRAINING_JOB_NAME", "processing"))
    for epoch in range(options.epochs):
        run.log_metric("inside:Loss", 1.0 / (epoch + 1), step=epoch)
    print(f"recorded in {run.experiment_name} / {run.run_name}", flush=True)
