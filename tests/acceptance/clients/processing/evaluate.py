"""A published evaluation script in little: it knows where SageMaker puts things, and nothing else."""

import argparse
import csv
import json
import os
import pathlib
import sys

parser = argparse.ArgumentParser()
parser.add_argument("--threshold", type=float, default=0.1)
arguments = parser.parse_args()

with open("/opt/ml/config/processingjobconfig.json") as file:
    job = json.load(file)
with open("/opt/ml/config/resourceconfig.json") as file:
    hosts = json.load(file)
with open("/opt/ml/processing/test/reviews.csv") as file:
    rows = list(csv.DictReader(file))
print("evaluating", len(rows), "rows of", job["ProcessingJobName"], "on", hosts["current_host"])
print("a word on stderr", file=sys.stderr)

report = {
    "accuracy": 0.5,
    "threshold": arguments.threshold,
    "own": os.environ.get("OWN_VARIABLE"),
    "python": sys.executable,
}
pathlib.Path("/opt/ml/processing/evaluation").mkdir(parents=True, exist_ok=True)
pathlib.Path("/opt/ml/processing/evaluation/evaluation.json").write_text(json.dumps(report))
pathlib.Path("/opt/ml/output/message").write_text("accuracy 0.5")
