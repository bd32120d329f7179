"""The aws command, unmodified, with nothing but the variables of `clary env`."""

from __future__ import annotations

import json
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from tests.acceptance.running import CLIENTS, own_environment, source_archive
from tests.server_process import ServerProcess

pytestmark = [pytest.mark.slow, pytest.mark.timeout(300)]

AWS = Path(sys.prefix) / "sdk-v3" / "bin" / "aws"
IMAGE = "763104351884.dkr.ecr.us-east-1.amazonaws.com/pytorch-training:2.2.0-cpu-py310-ubuntu20.04-sagemaker"
Aws = Callable[..., Any]


@pytest.fixture(scope="module")
def aws(shared_server: ServerProcess, tmp_path_factory: pytest.TempPathFactory) -> Aws:
    """Runs the aws command; gives its answer, or its error when `fails`."""
    if not AWS.exists():
        pytest.skip("make setup-dev makes the environment with the aws command")
    folder = tmp_path_factory.mktemp("aws")
    changes = subprocess.run(
        [sys.executable, "-m", "clary.cli.main", "env", "--home", str(shared_server.home), "--json"],
        env=own_environment(folder),
        capture_output=True,
        check=True,
    )
    merged = {**own_environment(folder), **json.loads(changes.stdout), "AWS_PAGER": ""}
    environment = {name: value for name, value in merged.items() if value is not None}

    def run(*words: str, fails: bool = False) -> Any:
        done = subprocess.run(
            [str(AWS), *words, "--output", "json"],
            env=environment,
            cwd=folder,
            capture_output=True,
            text=True,
            timeout=120,
            check=False,
        )
        assert (done.returncode != 0) == fails, done.stderr
        return done.stderr if fails else json.loads(done.stdout or "null")

    return run


@pytest.fixture(scope="module")
def job(aws: Aws, shared_server: ServerProcess) -> dict[str, Any]:
    """A job made by the aws command, ended."""
    s3 = shared_server.client("s3")
    s3.create_bucket(Bucket="cli")
    s3.put_object(Bucket="cli", Key="data/one.txt", Body=b"first\nsecond\n")
    s3.put_object(Bucket="cli", Key="code.tar.gz", Body=source_archive(CLIENTS / "source"))
    channel = {
        "ChannelName": "train",
        "DataSource": {"S3DataSource": {"S3DataType": "S3Prefix", "S3Uri": "s3://cli/data"}},
    }
    hyperparameters = {
        "sagemaker_program": '"train.py"',
        "sagemaker_submit_directory": '"s3://cli/code.tar.gz"',
        "epochs": "1",
    }
    created = aws(
        *["sagemaker", "create-training-job", "--training-job-name", "from-the-shell"],
        *["--algorithm-specification", f"TrainingImage={IMAGE},TrainingInputMode=File"],
        *["--role-arn", shared_server.connection.role_arn],
        *["--input-data-config", json.dumps([channel])],
        *["--hyper-parameters", json.dumps(hyperparameters)],
        *["--output-data-config", "S3OutputPath=s3://cli/out"],
        *["--resource-config", "InstanceType=ml.m5.large,InstanceCount=1,VolumeSizeInGB=1"],
        *["--stopping-condition", "MaxRuntimeInSeconds=600"],
    )
    while (description := _describe(aws))["TrainingJobStatus"] == "InProgress":
        time.sleep(0.5)
    assert description["TrainingJobArn"] == created["TrainingJobArn"]
    return description


def _describe(aws: Aws) -> dict[str, Any]:
    description: dict[str, Any] = aws(
        "sagemaker", "describe-training-job", "--training-job-name", "from-the-shell"
    )
    return description


def test_a_job_is_made_and_described(job: dict[str, Any]) -> None:
    assert job["TrainingJobStatus"] == "Completed", job.get("FailureReason")
    assert job["ModelArtifacts"]["S3ModelArtifacts"] == "s3://cli/out/from-the-shell/output/model.tar.gz"


def test_jobs_are_listed(job: dict[str, Any], aws: Aws) -> None:
    listed = aws("sagemaker", "list-training-jobs", "--name-contains", "shell")

    assert [entry["TrainingJobName"] for entry in listed["TrainingJobSummaries"]] == ["from-the-shell"]


def test_its_log_is_read(job: dict[str, Any], aws: Aws) -> None:
    group = "/aws/sagemaker/TrainingJobs"
    streams = aws(
        "logs",
        "describe-log-streams",
        "--log-group-name",
        group,
        "--log-stream-name-prefix",
        "from-the-shell/",
    )
    name = streams["logStreams"][0]["logStreamName"]

    events = aws("logs", "get-log-events", "--log-group-name", group, "--log-stream-name", name)["events"]

    assert "training  on 2 lines" in [event["message"] for event in events]


def test_who_am_i(aws: Aws, shared_server: ServerProcess) -> None:
    assert aws("sts", "get-caller-identity")["Account"] == shared_server.connection.account_id


def test_an_unknown_job_is_an_error(aws: Aws) -> None:
    error = aws("sagemaker", "describe-training-job", "--training-job-name", "no-such-job", fails=True)

    assert "ValidationException" in error
