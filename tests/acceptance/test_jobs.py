"""Training jobs through plain boto3 against a real server, real processes and real files."""

from __future__ import annotations

import io
import json
import tarfile
from datetime import timedelta
from typing import Any

import pytest
from botocore.exceptions import ClientError

from tests.acceptance.programs import BUCKET, describe, messages, model_files, submit, wait, wait_for_line
from tests.server_process import ServerProcess

FAILING = """
def load(path):
    raise ValueError("no label column in " + path)

print("about to fail", flush=True)
load("reviews.csv")
"""

TALKATIVE = """
import sys
print("epoch 1 loss=0.75 f1=0.5")
print("epoch 2 loss=0.25 f1=0.875", file=sys.stderr)
print("loss=not-a-number")
"""

STUBBORN = """
import os, signal, time
def finish(*_):
    open(os.environ["SM_MODEL_DIR"] + "/saved", "w").write("in the handler")
    raise SystemExit(0)
signal.signal(signal.SIGTERM, finish)
print("running", flush=True)
time.sleep(600)
"""

CURIOUS = """
import json, os, socket
facts = {
    "host": socket.gethostname(),
    "address": socket.gethostbyname("algo-1"),
    "channel": open("/opt/ml/input/data/train/a/b.txt").read() if os.path.isdir("/opt/ml") else None,
    "env": sorted(key for key in os.environ if key.startswith("SM_HP")),
    "cwd": os.getcwd(),
}
print(json.dumps(facts))
"""

REACHING = """
import boto3, os
body = boto3.client("s3").get_object(Bucket="programs", Key="secret.txt")["Body"].read()
print("read", body.decode())
print(boto3.client("sts").get_caller_identity()["Account"])
"""


def test_a_programs_own_error_is_in_the_reason(shared_server: ServerProcess) -> None:
    name = submit(shared_server, FAILING)
    described = wait(shared_server, name, until="Failed")
    reason = described["FailureReason"]
    assert "no label column in reviews.csv" in reason
    assert 'load("reviews.csv")' in reason
    assert "exit code: 1" in reason
    assert len(reason) <= 1024
    assert described["SecondaryStatus"] == "Failed"
    assert "ModelArtifacts" not in described
    assert "about to fail" in messages(shared_server, name)


def test_metrics_are_found_in_both_streams(shared_server: ServerProcess) -> None:
    definitions = [{"Name": "loss", "Regex": r"loss=([0-9.]+)"}, {"Name": "f1", "Regex": r"f1=([0-9.]+)"}]
    name = submit(shared_server, TALKATIVE, AlgorithmSpecification={"MetricDefinitions": definitions})
    described = wait(shared_server, name, until="Completed")
    finals = {entry["MetricName"]: entry["Value"] for entry in described["FinalMetricDataList"]}
    assert finals == {"loss": 0.25, "f1": 0.875}
    answer = shared_server.client("cloudwatch").get_metric_statistics(
        Namespace="/aws/sagemaker/TrainingJobs",
        MetricName="f1",
        Dimensions=[{"Name": "TrainingJobName", "Value": name}],
        StartTime=described["TrainingStartTime"].replace(second=0, microsecond=0),
        EndTime=described["TrainingEndTime"].replace(microsecond=999_999),
        Period=3600,
        Statistics=["Maximum", "SampleCount"],
    )
    assert [(point["Maximum"], point["SampleCount"]) for point in answer["Datapoints"]] == [(0.875, 2.0)]


def test_a_metric_that_ends_in_nan_has_no_final_value(shared_server: ServerProcess) -> None:
    definitions = [{"Name": "loss", "Regex": r"loss=(\S+)"}, {"Name": "f1", "Regex": r"f1=(\S+)"}]
    script = "for line in ('loss=0.5 f1=nan', 'loss=2.5', 'loss=inf', 'loss=nan f1=0.5'): print(line)"
    name = submit(shared_server, script, AlgorithmSpecification={"MetricDefinitions": definitions})
    described = wait(shared_server, name)
    final = {entry["MetricName"]: entry["Value"] for entry in described["FinalMetricDataList"]}
    assert final == {"f1": 0.5}
    told = messages(shared_server, name)
    for metric, found in (("loss", "inf"), ("f1", "nan")):
        note = f"clary: Metric {metric!r} was {found!r}, which is no finite number: if it stays so to the end"
        assert sum(line.startswith(note) for line in told) == 1
    now = described["TrainingEndTime"]
    found = shared_server.client("cloudwatch").get_metric_statistics(
        Namespace="/aws/sagemaker/TrainingJobs",
        MetricName="loss",
        Dimensions=[{"Name": "TrainingJobName", "Value": name}],
        StartTime=now - timedelta(hours=1),
        EndTime=now + timedelta(hours=1),
        Period=3600 * 24,
        Statistics=["Average", "SampleCount", "Maximum"],
    )
    (point,) = found["Datapoints"]
    assert (point["Average"], point["SampleCount"], point["Maximum"]) == (1.5, 2.0, 2.5)


def test_a_stop_lets_the_program_save_its_model(shared_server: ServerProcess) -> None:
    name = submit(shared_server, STUBBORN)
    wait_for_line(shared_server, name, "running")
    sagemaker = shared_server.client("sagemaker")
    sagemaker.stop_training_job(TrainingJobName=name)
    described = wait(shared_server, name, until="Stopped")
    assert model_files(shared_server, described) == {"saved": b"in the handler"}
    with pytest.raises(ClientError, match="because the training job is in status Stopped"):
        sagemaker.stop_training_job(TrainingJobName=name)


def test_a_job_over_its_time_is_stopped_and_keeps_its_model(shared_server: ServerProcess) -> None:
    name = submit(shared_server, STUBBORN, StoppingCondition={"MaxRuntimeInSeconds": 1})
    described = wait(shared_server, name, until="Stopped")
    assert described["SecondaryStatus"] == "MaxRuntimeExceeded"
    told = [entry["Status"] for entry in described["SecondaryStatusTransitions"]]
    assert told == ["Starting", "Training", "Stopping", "MaxRuntimeExceeded"]
    assert model_files(shared_server, described) == {"saved": b"in the handler"}


def test_the_contract_of_the_container(shared_server: ServerProcess) -> None:
    s3 = shared_server.client("s3")
    s3.create_bucket(Bucket=BUCKET)
    s3.put_object(Bucket=BUCKET, Key="data/a/b.txt", Body=b"hello")
    source = {"S3DataSource": {"S3DataType": "S3Prefix", "S3Uri": f"s3://{BUCKET}/data"}}
    name = submit(
        shared_server,
        CURIOUS,
        HyperParameters={"learning-rate": "0.1", "name": '"quoted"'},
        InputDataConfig=[{"ChannelName": "train", "DataSource": source}],
    )
    described = wait(shared_server, name, until="Completed")
    facts = json.loads(messages(shared_server, name)[-1])
    assert facts["env"] == ["SM_HPS", "SM_HP_LEARNING-RATE", "SM_HP_NAME"]
    assert facts["channel"] == "hello"
    assert (facts["host"], facts["address"]) == ("algo-1", "127.0.0.1")
    assert described["HyperParameters"]["name"] == '"quoted"'
    statuses = [entry["Status"] for entry in described["SecondaryStatusTransitions"]]
    assert statuses == ["Starting", "Downloading", "Training", "Uploading", "Completed"]
    assert "isolation: bubblewrap" in described["SecondaryStatusTransitions"][2]["StatusMessage"]


@pytest.mark.parametrize("fixture", ["server", "tls_server"])
def test_a_program_reaches_the_api_with_a_key_of_its_own(
    fixture: str, request: pytest.FixtureRequest
) -> None:
    server: ServerProcess = request.getfixturevalue(fixture)
    s3 = server.client("s3")
    s3.create_bucket(Bucket=BUCKET)
    s3.put_object(Bucket=BUCKET, Key="secret.txt", Body=b"mine")
    name = submit(server, REACHING)
    wait(server, name, until="Completed")
    assert messages(server, name) == ["read mine", server.connection.account_id]


def test_output_data_and_checkpoints_reach_the_bucket(shared_server: ServerProcess) -> None:
    script = (
        "import os\n"
        "open(os.environ['SM_OUTPUT_DATA_DIR'] + '/scores.json', 'w').write('[1]')\n"
        "before = os.listdir('/opt/ml/checkpoints')\n"
        "print('found', sorted(before))\n"
        "open('/opt/ml/checkpoints/step-' + str(len(before)), 'w').write('weights')\n"
    )
    checkpoints = {"S3Uri": f"s3://{BUCKET}/checkpoints"}
    first = submit(shared_server, script, CheckpointConfig=checkpoints)
    wait(shared_server, first, until="Completed")
    second = submit(shared_server, script, CheckpointConfig=checkpoints)
    wait(shared_server, second, until="Completed")
    assert messages(shared_server, second) == ["found ['step-0']"]
    s3 = shared_server.client("s3")
    body = s3.get_object(Bucket=BUCKET, Key=f"out/{first}/output/output.tar.gz")["Body"].read()
    with tarfile.open(fileobj=io.BytesIO(body), mode="r:gz") as archive:
        assert archive.getnames() == ["scores.json"]
    keys = [entry["Key"] for entry in s3.list_objects_v2(Bucket=BUCKET, Prefix="checkpoints/")["Contents"]]
    assert keys == ["checkpoints/step-0", "checkpoints/step-1"]


def test_missing_data_is_a_clear_failure(shared_server: ServerProcess) -> None:
    s3 = shared_server.client("s3")
    s3.create_bucket(Bucket=BUCKET)
    source = {"S3DataSource": {"S3DataType": "S3Prefix", "S3Uri": f"s3://{BUCKET}/nothing-here"}}
    name = submit(shared_server, "pass", InputDataConfig=[{"ChannelName": "train", "DataSource": source}])
    reason = wait(shared_server, name, until="Failed")["FailureReason"]
    assert reason.startswith("ClientError")
    assert f"s3://{BUCKET}/nothing-here" in reason


def test_a_deleted_job_frees_its_name(shared_server: ServerProcess) -> None:
    name = submit(shared_server, "print('first')")
    wait(shared_server, name, until="Completed")
    with pytest.raises(ClientError, match="Training job names must be unique"):
        submit(shared_server, "print('second')", name=name)
    shared_server.client("sagemaker").delete_training_job(TrainingJobName=name)
    with pytest.raises(ClientError, match=r"Requested resource not found\."):
        describe(shared_server, name)
    submit(shared_server, "print('second')", name=name)
    wait(shared_server, name, until="Completed")
    assert messages(shared_server, name) == ["second"]


def test_utilisation_is_measured(shared_server: ServerProcess) -> None:
    name = submit(shared_server, "import time\nend = time.time() + 1\nwhile time.time() < end: pass\n")
    described = wait(shared_server, name, until="Completed")
    cloudwatch = shared_server.client("cloudwatch")
    for metric in ("CPUUtilization", "MemoryUtilization", "DiskUtilization"):
        answer: dict[str, Any] = cloudwatch.get_metric_statistics(
            Namespace="/aws/sagemaker/TrainingJobs",
            MetricName=metric,
            Dimensions=[{"Name": "Host", "Value": f"{name}/algo-1"}],
            StartTime=described["CreationTime"].replace(minute=0),
            EndTime=described["TrainingEndTime"].replace(microsecond=999_999),
            Period=3600,
            Statistics=["Average"],
        )
        assert answer["Datapoints"], metric
        assert 0 <= answer["Datapoints"][0]["Average"] <= 100 * 1024


def test_a_job_without_confinement_says_so(server: ServerProcess) -> None:
    server.stop()
    server.environment["CLARY_ISOLATION"] = "none"
    server.restart()
    name = submit(server, "import os; print(open(os.environ['SM_MODEL_DIR'] + '/m', 'w').write('x'))")
    described = wait(server, name, until="Completed")
    said = {entry["Status"]: entry["StatusMessage"] for entry in described["SecondaryStatusTransitions"]}
    assert "isolation: none" in said["Training"]
    assert model_files(server, described) == {"m": b"x"}
