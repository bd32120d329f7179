"""A notebook that has the SDK loaded before it connects. It is the one program here that names Clary.

Usage: notebook.py HOME REPORT FOLDER. What it saw goes to REPORT, as JSON.
"""

import json
import os
import sys
import time
from pathlib import Path

import boto3
import sagemaker
from sagemaker.pytorch import PyTorch

import clary

home, report_file, folder = sys.argv[1], Path(sys.argv[2]), Path(sys.argv[3])
source = str(Path(__file__).parent / "source")
(folder / "one.txt").write_text("first\n")
before = dict(os.environ)

with clary.connect(home) as connection:
    session = sagemaker.Session()
    data = session.upload_data(str(folder / "one.txt"), key_prefix="data")
    estimator = PyTorch(
        entry_point="train.py",
        source_dir=source,
        role=sagemaker.get_execution_role(),
        instance_type="ml.m5.xlarge",
        instance_count=1,
        framework_version="2.0",
        py_version="py310",
    )
    estimator.fit({"train": data}, logs="All")
    description = boto3.client("sagemaker").describe_training_job(
        TrainingJobName=estimator.latest_training_job.name
    )
    seen = {
        "role": [estimator.role, connection.role],
        "bucket": [session.default_bucket(), connection.bucket],
        "status": description["TrainingJobStatus"],
        "late_s": time.time() - description["TrainingEndTime"].timestamp(),
        "jobs": len(
            connection.boto3_session().client("sagemaker").list_training_jobs()["TrainingJobSummaries"]
        ),
    }

seen["restored"] = dict(os.environ) == before
report_file.write_text(json.dumps(seen))
