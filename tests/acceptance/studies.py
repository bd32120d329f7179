"""Small studies over plain boto3 calls."""

from __future__ import annotations

import json
import time
import urllib.request
import uuid
from collections.abc import Mapping
from typing import Any

from botocore.auth import SigV4Auth
from botocore.awsrequest import AWSRequest
from botocore.credentials import Credentials

from tests.acceptance.programs import BUCKET, pack
from tests.server_process import ServerProcess

PATIENCE_S = 120.0

SCRIPT = """
import argparse
parser = argparse.ArgumentParser()
parser.add_argument("--rate", type=float, default=0.0)
given, _ = parser.parse_known_args()
print("f1=", 1 - (given.rate - 0.3) ** 2, flush=True)
"""

RANGES: dict[str, Any] = {"ContinuousParameterRanges": [{"Name": "rate", "MinValue": "0", "MaxValue": "1"}]}


def definition(server: ServerProcess, script: str = SCRIPT, **changes: Any) -> dict[str, Any]:
    """A training definition that runs `script` as train.py."""
    folder = uuid.uuid4().hex[:12]
    s3 = server.client("s3")
    s3.create_bucket(Bucket=BUCKET)
    s3.put_object(Bucket=BUCKET, Key=f"{folder}/sourcedir.tar.gz", Body=pack({"train.py": script}))
    return {
        "StaticHyperParameters": {
            "sagemaker_program": "train.py",
            "sagemaker_submit_directory": f"s3://{BUCKET}/{folder}/sourcedir.tar.gz",
            **changes.pop("StaticHyperParameters", {}),
        },
        "AlgorithmSpecification": {
            "TrainingImage": "image",
            "TrainingInputMode": "File",
            "MetricDefinitions": [{"Name": "f1", "Regex": "f1= *([-0-9.e]+)"}],
        },
        "RoleArn": server.connection.role_arn,
        "OutputDataConfig": {"S3OutputPath": f"s3://{BUCKET}/out"},
        "ResourceConfig": {"InstanceType": "ml.m5.large", "InstanceCount": 1, "VolumeSizeInGB": 1},
        "StoppingCondition": {"MaxRuntimeInSeconds": 600},
        **changes,
    }


def study(
    server: ServerProcess,
    script: str = SCRIPT,
    *,
    name: str = "",
    jobs: int | None = 4,
    parallel: int = 2,
    config: Mapping[str, Any] | None = None,
    training: Mapping[str, Any] | None = None,
    **request: Any,
) -> str:
    """Create a study; gives its name. `config` and `training` change the parts of the request of that name."""
    name = name or f"study-{uuid.uuid4().hex[:8]}"
    limits: dict[str, Any] = {"MaxParallelTrainingJobs": parallel}
    if jobs is not None:
        limits["MaxNumberOfTrainingJobs"] = jobs
    server.client("sagemaker").create_hyper_parameter_tuning_job(
        HyperParameterTuningJobName=name,
        HyperParameterTuningJobConfig={
            "Strategy": "Random",
            "HyperParameterTuningJobObjective": {"Type": "Maximize", "MetricName": "f1"},
            "ResourceLimits": limits,
            "ParameterRanges": RANGES,
            "RandomSeed": 7,
            **(config or {}),
        },
        TrainingJobDefinition=definition(server, script, **(training or {})),
        **request,
    )
    return name


def describe(server: ServerProcess, name: str) -> dict[str, Any]:
    described: dict[str, Any] = server.client("sagemaker").describe_hyper_parameter_tuning_job(
        HyperParameterTuningJobName=name
    )
    return described


def wait(server: ServerProcess, name: str, *, within_s: float = PATIENCE_S) -> dict[str, Any]:
    """What Describe says once the study has ended."""
    deadline = time.monotonic() + within_s
    while time.monotonic() < deadline:
        described = describe(server, name)
        if described["HyperParameterTuningJobStatus"] in {"Completed", "Failed", "Stopped"}:
            return described
        time.sleep(0.05)
    raise AssertionError(f"{name} has not ended: {described}")


def children(server: ServerProcess, name: str, **request: Any) -> list[dict[str, Any]]:
    """All summaries, page by page."""
    found: list[dict[str, Any]] = []
    token: dict[str, str] = {}
    while True:
        page = server.client("sagemaker").list_training_jobs_for_hyper_parameter_tuning_job(
            HyperParameterTuningJobName=name, **{"MaxResults": 100, **request}, **token
        )
        found += page["TrainingJobSummaries"]
        if "NextToken" not in page:
            return found
        token = {"NextToken": page["NextToken"]}


def page(server: ServerProcess, path: str) -> dict[str, Any]:
    """One of Clary's own pages, asked for with a signature for service `clary`."""
    request = AWSRequest("GET", server.url + path)
    keys = Credentials(server.access_key_id, server.secret_access_key)
    SigV4Auth(keys, "clary", server.region).add_auth(request)
    with urllib.request.urlopen(urllib.request.Request(request.url, headers=dict(request.headers))) as answer:
        document: dict[str, Any] = json.load(answer)
    return document
