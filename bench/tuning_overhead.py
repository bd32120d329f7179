"""What a study costs beyond its children's own run time: many children of one line each.

    python bench/tuning_overhead.py [--jobs 200] [--parallel 2] [--strategy Random] [--json]

A real server process in a temporary home. A child's own run time is what its script takes when it is started by hand;
the cost is the time that one of the parallel places was taken, for each child, beyond that: starting, fetching the
code, ending, and choosing what comes next. Exit status 1 if the goal is missed.
"""

from __future__ import annotations

import argparse
import io
import json
import subprocess
import sys
import tarfile
import tempfile
import time
from pathlib import Path
from statistics import median
from typing import Any

from clary.cli.demo_server import DemoServer, running_server

GOAL_S = 0.5
NAME = "overhead"
SCRIPT = "import os; print('f1=', 1 - (float(os.environ['SM_HP_RATE']) - 0.3) ** 2)\n"


def main() -> int:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--jobs", type=int, default=200)
    parser.add_argument("--parallel", type=int, default=2)
    parser.add_argument("--strategy", default="Random")
    parser.add_argument("--json", action="store_true", help="print one JSON object")
    args = parser.parse_args()
    own_s = by_hand()
    with (
        tempfile.TemporaryDirectory(prefix="clary-bench-") as folder,
        running_server(Path(folder, "home"), keep=False) as server,
    ):
        began = time.perf_counter()
        run_study(server, args.jobs, args.parallel, args.strategy)
        wall_s = time.perf_counter() - began
        held_s = held(server)
    place_s = wall_s * args.parallel / args.jobs
    result = {
        "jobs": args.jobs,
        "parallel": args.parallel,
        "wall_s": wall_s,
        "by hand: script_s": own_s,
        "job_s, median from created to ended": median(held_s),
        "next_s, mean from an end to the next child": place_s - sum(held_s) / len(held_s),
        "overhead_s, a child in its place": place_s - own_s,
        "overhead_s, a child of the study's time": wall_s / args.jobs - own_s / args.parallel,
    }
    if args.json:
        print(json.dumps(result, indent=1))
    else:
        for name, value in result.items():
            print(f"{name:44}{value:10.3f}")
    return int(result["overhead_s, a child of the study's time"] > GOAL_S)


def by_hand(runs: int = 15) -> float:
    """Seconds from start to end of the script, the median."""
    took = []
    for _ in range(runs):
        began = time.perf_counter()
        command = [sys.executable, "-c", SCRIPT]
        subprocess.run(command, env={"SM_HP_RATE": "0.5"}, check=True, capture_output=True)
        took.append(time.perf_counter() - began)
    return median(took)


def run_study(server: DemoServer, jobs: int, parallel: int, strategy: str) -> None:
    bucket, sagemaker = server.connection.bucket, server.client("sagemaker")
    s3 = server.client("s3")
    s3.create_bucket(Bucket=bucket)
    packed = io.BytesIO()
    with tarfile.open(fileobj=packed, mode="w:gz") as archive:
        entry = tarfile.TarInfo("train.py")
        entry.size = len(SCRIPT)
        archive.addfile(entry, io.BytesIO(SCRIPT.encode()))
    s3.put_object(Bucket=bucket, Key="bench/sourcedir.tar.gz", Body=packed.getvalue())
    range_ = {"Name": "rate", "MinValue": "0", "MaxValue": "1"}
    sagemaker.create_hyper_parameter_tuning_job(
        HyperParameterTuningJobName=NAME,
        HyperParameterTuningJobConfig={
            "Strategy": strategy,
            "HyperParameterTuningJobObjective": {"Type": "Maximize", "MetricName": "f1"},
            "ResourceLimits": {"MaxNumberOfTrainingJobs": jobs, "MaxParallelTrainingJobs": parallel},
            "ParameterRanges": {"ContinuousParameterRanges": [range_]},
        },
        TrainingJobDefinition={
            "StaticHyperParameters": {
                "sagemaker_program": "train.py",
                "sagemaker_submit_directory": f"s3://{bucket}/bench/sourcedir.tar.gz",
            },
            "AlgorithmSpecification": {
                "TrainingImage": "image",
                "TrainingInputMode": "File",
                "MetricDefinitions": [{"Name": "f1", "Regex": "f1= *([-0-9.e]+)"}],
            },
            "RoleArn": server.connection.role_arn,
            "OutputDataConfig": {"S3OutputPath": f"s3://{bucket}/bench"},
            "ResourceConfig": {"InstanceType": "ml.m5.large", "InstanceCount": 1, "VolumeSizeInGB": 1},
            "StoppingCondition": {"MaxRuntimeInSeconds": 600},
        },
    )
    while True:
        time.sleep(0.5)  # rarely, so as not to take the processor from the children
        described: dict[str, Any] = sagemaker.describe_hyper_parameter_tuning_job(
            HyperParameterTuningJobName=NAME
        )
        if described["HyperParameterTuningJobStatus"] not in {"InProgress", "Stopping"}:
            break
    if described["TrainingJobStatusCounters"]["Completed"] != jobs:
        raise SystemExit(f"the study ended {described}")


def held(server: DemoServer) -> list[float]:
    """Seconds from the creation of each child to its end."""
    name = "list_training_jobs_for_hyper_parameter_tuning_job"
    pages = server.client("sagemaker").get_paginator(name)
    return [
        (each["TrainingEndTime"] - each["CreationTime"]).total_seconds()
        for page in pages.paginate(HyperParameterTuningJobName=NAME, MaxResults=100)
        for each in page["TrainingJobSummaries"]
    ]


if __name__ == "__main__":
    sys.exit(main())
