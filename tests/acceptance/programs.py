"""Small training programs, and the plain boto3 calls that run them."""

from __future__ import annotations

import io
import tarfile
import time
import uuid
from collections.abc import Mapping
from typing import Any

from tests.server_process import ServerProcess

BUCKET = "programs"
GROUP = "/aws/sagemaker/TrainingJobs"
PATIENCE_S = 60.0


def pack(files: Mapping[str, str]) -> bytes:
    """A sourcedir.tar.gz."""
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w:gz") as archive:
        for name, text in files.items():
            entry = tarfile.TarInfo(name)
            entry.size = len(text.encode())
            archive.addfile(entry, io.BytesIO(text.encode()))
    return buffer.getvalue()


def submit(server: ServerProcess, script: str, *, name: str = "", **request: Any) -> str:
    """Upload `script` as train.py and create a job that runs it; gives the job's name."""
    name = name or f"job-{uuid.uuid4().hex[:12]}"
    s3 = server.client("s3")
    s3.create_bucket(Bucket=BUCKET)
    s3.put_object(Bucket=BUCKET, Key=f"{name}/sourcedir.tar.gz", Body=pack({"train.py": script}))
    algorithm = {
        "TrainingImage": "image",
        "TrainingInputMode": "File",
        **request.pop("AlgorithmSpecification", {}),
    }
    server.client("sagemaker").create_training_job(
        **{
            "TrainingJobName": name,
            "RoleArn": server.connection.role_arn,
            "AlgorithmSpecification": algorithm,
            "HyperParameters": {
                "sagemaker_program": "train.py",
                "sagemaker_submit_directory": f"s3://{BUCKET}/{name}/sourcedir.tar.gz",
                **request.pop("HyperParameters", {}),
            },
            "OutputDataConfig": {"S3OutputPath": f"s3://{BUCKET}/out"},
            "ResourceConfig": {"InstanceType": "ml.m5.large", "InstanceCount": 1, "VolumeSizeInGB": 1},
            "StoppingCondition": {"MaxRuntimeInSeconds": 600},
            **request,
        }
    )
    return name


def describe(server: ServerProcess, name: str) -> dict[str, Any]:
    described: dict[str, Any] = server.client("sagemaker").describe_training_job(TrainingJobName=name)
    return described


def wait(server: ServerProcess, name: str, *, until: str = "", secondary: str = "") -> dict[str, Any]:
    """What Describe says once the job has a status (any final one unless named), or a secondary status."""
    sagemaker = server.client("sagemaker")
    deadline = time.monotonic() + PATIENCE_S
    while time.monotonic() < deadline:
        described: dict[str, Any] = sagemaker.describe_training_job(TrainingJobName=name)
        status = described["TrainingJobStatus"]
        if secondary and described["SecondaryStatus"] == secondary:
            return described
        if status == until or (not until and status in {"Completed", "Failed", "Stopped"}):
            return described
        if status in {"Completed", "Failed", "Stopped"}:
            raise AssertionError(f"{name} ended {status}: {described.get('FailureReason')}")
        time.sleep(0.05)
    raise AssertionError(f"{name} is still {described['SecondaryStatus']}: {messages(server, name)}")


def wait_for_line(server: ServerProcess, name: str, text: str) -> None:
    deadline = time.monotonic() + PATIENCE_S
    while time.monotonic() < deadline:
        if any(text in message for message in messages(server, name)):
            return
        time.sleep(0.05)
    raise AssertionError(f"{name} never printed {text!r}; it printed {messages(server, name)}")


def messages(server: ServerProcess, name: str) -> list[str]:
    """All lines of the job's log, page by page."""
    logs = server.client("logs")
    streams = logs.describe_log_streams(logGroupName=GROUP, logStreamNamePrefix=f"{name}/")["logStreams"]
    lines: list[str] = []
    for stream in streams:
        token: dict[str, str] = {}
        while True:
            page = logs.get_log_events(
                logGroupName=GROUP, logStreamName=stream["logStreamName"], startFromHead=True, **token
            )
            lines += [event["message"] for event in page["events"]]
            if page["nextForwardToken"] == token.get("nextToken"):
                break
            token = {"nextToken": page["nextForwardToken"]}
    return lines


def model_files(server: ServerProcess, described: Mapping[str, Any]) -> dict[str, bytes]:
    """The files in the job's model.tar.gz."""
    bucket, key = described["ModelArtifacts"]["S3ModelArtifacts"].removeprefix("s3://").split("/", 1)
    body = server.client("s3").get_object(Bucket=bucket, Key=key)["Body"].read()
    with tarfile.open(fileobj=io.BytesIO(body), mode="r:gz") as archive:
        members = [entry for entry in archive.getmembers() if entry.isfile()]
        return {entry.name: archive.extractfile(entry).read() for entry in members}  # type: ignore[union-attr]
