"""Small processing programs, and the plain boto3 calls that run them."""

from __future__ import annotations

import time
import uuid
from typing import Any

from tests.acceptance.logs import log_lines
from tests.server_process import ServerProcess

BUCKET = "processing"
GROUP = "/aws/sagemaker/ProcessingJobs"
FINAL = {"Completed", "Failed", "Stopped"}
PATIENCE_S = 60.0
CODE = "/opt/ml/processing/input/code"
OUT = "/opt/ml/processing/out"


def put(server: ServerProcess, files: dict[str, bytes]) -> None:
    s3 = server.client("s3")
    s3.create_bucket(Bucket=BUCKET)
    for key, body in files.items():
        s3.put_object(Bucket=BUCKET, Key=key, Body=body)


def found(server: ServerProcess, prefix: str) -> dict[str, bytes]:
    """The objects below a prefix, by what follows it."""
    s3 = server.client("s3")
    listing = s3.list_objects_v2(Bucket=BUCKET, Prefix=prefix)
    return {
        entry["Key"].removeprefix(prefix): s3.get_object(Bucket=BUCKET, Key=entry["Key"])["Body"].read()
        for entry in listing.get("Contents", ())
    }


def source(uri: str, local_path: str, **more: Any) -> dict[str, Any]:
    """One of ProcessingInputs."""
    s3 = {"S3Uri": uri, "LocalPath": local_path, "S3DataType": "S3Prefix", "S3InputMode": "File", **more}
    return {"InputName": local_path.rpartition("/")[2], "AppManaged": False, "S3Input": s3}


def submit(
    server: ServerProcess,
    script: str,
    *,
    name: str = "",
    instances: int = 1,
    inputs: tuple[dict[str, Any], ...] = (),
    mode: str = "EndOfJob",
    **request: Any,
) -> str:
    """Upload `script` and create a job that runs it; its folder OUT goes below `<name>/` in the bucket."""
    name = name or f"job-{uuid.uuid4().hex[:12]}"
    put(server, {f"code/{name}/run.py": script.encode()})
    target = {"S3Uri": f"s3://{BUCKET}/{name}", "LocalPath": OUT, "S3UploadMode": mode}
    cluster = {"InstanceType": "ml.m5.large", "InstanceCount": instances, "VolumeSizeInGB": 1}
    server.client("sagemaker").create_processing_job(
        **{
            "ProcessingJobName": name,
            "RoleArn": server.connection.role_arn,
            "AppSpecification": {"ImageUri": "image", "ContainerEntrypoint": ["python3", f"{CODE}/run.py"]},
            "ProcessingInputs": [source(f"s3://{BUCKET}/code/{name}/run.py", CODE), *inputs],
            "ProcessingOutputConfig": {"Outputs": [{"OutputName": "out", "S3Output": target}]},
            "ProcessingResources": {"ClusterConfig": cluster},
            **request,
        }
    )
    return name


def describe(server: ServerProcess, name: str) -> dict[str, Any]:
    described: dict[str, Any] = server.client("sagemaker").describe_processing_job(ProcessingJobName=name)
    return described


def wait(server: ServerProcess, name: str, until: str) -> dict[str, Any]:
    deadline = time.monotonic() + PATIENCE_S
    while time.monotonic() < deadline:
        described = describe(server, name)
        if described["ProcessingJobStatus"] in FINAL:
            assert described["ProcessingJobStatus"] == until, described.get("FailureReason")
            return described
        time.sleep(0.05)
    raise AssertionError(f"{name} goes on: {messages(server, name)}")


def messages(server: ServerProcess, name: str) -> dict[str, list[str]]:
    """The lines of the job's logs, by host."""
    return log_lines(server, GROUP, name)


def wait_for_line(server: ServerProcess, name: str, text: str, *, hosts: int = 1) -> None:
    """Until so many hosts have printed it."""
    deadline = time.monotonic() + PATIENCE_S
    while time.monotonic() < deadline:
        told = messages(server, name)
        if sum(any(text in line for line in lines) for lines in told.values()) >= hosts:
            return
        time.sleep(0.05)
    raise AssertionError(f"{name} never printed {text!r}; it printed {told}, {describe(server, name)}")
