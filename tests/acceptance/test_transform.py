"""Batch transform jobs through plain boto3 against a real server, real processes and real files."""

from __future__ import annotations

import json
import os
import signal
from pathlib import Path

import pytest
from botocore.exceptions import ClientError

from clary.agent import contract
from clary.runners.machine import Machine
from tests.acceptance.transforming import (
    BUCKET,
    create_model,
    describe,
    messages,
    outputs,
    put,
    submit,
    wait,
    wait_for_line,
)
from tests.server_process import ServerProcess

needs_two = pytest.mark.skipif(Machine.look().cpus < 2, reason="two hosts need two CPUs")


def texts(count: int) -> bytes:
    return b"".join(b"x" * number + b"\n" for number in range(1, count + 1))


def lengths(count: int) -> bytes:
    return b"".join(b"%d\n" % number for number in range(1, count + 1))


def processes_of(home: Path) -> list[int]:
    """Processes of this home's transform jobs: their folders are marked in their environment."""
    jobs = home / "jobs" / "transform-job"
    folders = [*jobs.glob("*"), *jobs.glob("*/algo-*")]
    marks = [f"{contract.MARK}={contract.mark(folder)}".encode() for folder in folders]
    running = []
    for entry in Path("/proc").iterdir():
        if not entry.name.isdigit() or int(entry.name) == os.getpid():
            continue
        try:
            environment = (entry / "environ").read_bytes().split(b"\0")
        except (FileNotFoundError, ProcessLookupError, PermissionError):
            continue
        if any(mark in environment for mark in marks):
            running.append(int(entry.name))
    return running


def test_objects_go_through_the_model(shared_server: ServerProcess) -> None:
    files = {"a.txt": texts(300), "deep/b.txt": texts(5), "empty": b""}
    name = submit(shared_server, files, MaxConcurrentTransforms=4)
    described = wait(shared_server, name, "Completed")
    assert outputs(shared_server, name) == {
        "a.txt.out": lengths(300),
        "deep/b.txt.out": lengths(5),
        "empty.out": b"",
    }
    assert described["CreationTime"] <= described["TransformStartTime"] <= described["TransformEndTime"]
    lines = messages(shared_server, name)["algo-1"]
    assert "serving in batch: true" in lines
    assert any("3 of 3 objects transformed; 305 records" in line for line in lines)
    listed = shared_server.client("sagemaker").list_transform_jobs(
        NameContains=name, StatusEquals="Completed"
    )
    assert [job["TransformJobName"] for job in listed["TransformJobSummaries"]] == [name]
    assert processes_of(shared_server.home) == []


def test_many_records_in_a_request(shared_server: ServerProcess) -> None:
    name = submit(shared_server, {"a": texts(2000)}, BatchStrategy="MultiRecord", MaxPayloadInMB=1)
    wait(shared_server, name, "Completed")
    assert outputs(shared_server, name) == {"a.out": lengths(2000)}


def test_a_bad_record_does_not_sink_the_rest(shared_server: ServerProcess) -> None:
    files = {f"{number}.txt": texts(4) for number in range(6)} | {"3.txt": b"good\nthis is bad\ngood\n"}
    name = submit(shared_server, files, BatchStrategy="MultiRecord")
    described = wait(shared_server, name, "Failed")
    assert described["FailureReason"] == (
        "ClientError: 1 of 6 objects could not be transformed. The outputs of the others are in "
        f"s3://{BUCKET}/{name}/out. s3://{BUCKET}/{name}/in/3.txt, record 2: the model answered 400: there is a bad "
        "word in it"
    )
    assert set(outputs(shared_server, name)) == {f"{number}.txt.out" for number in (0, 1, 2, 4, 5)}


@needs_two
def test_hosts_share_the_objects_and_one_that_fails_ends_no_other(shared_server: ServerProcess) -> None:
    files = {f"{number}": texts(50) for number in range(6)} | {"0": b"bad\n"}
    name = submit(shared_server, files, instances=2)
    described = wait(shared_server, name, "Failed")
    assert "1 of 3 objects" in described["FailureReason"]
    assert described["FailureReason"].endswith("(on algo-1 of 2 hosts)")
    assert set(outputs(shared_server, name)) == {f"{number}.out" for number in range(1, 6)}
    assert set(messages(shared_server, name)) == {"algo-1", "algo-2"}


def test_records_are_filtered_joined_and_chosen(shared_server: ServerProcess) -> None:
    rows = b"".join(b'{"id": %d, "text": "%s"}\n' % (number, b"x" * number) for number in range(1, 40))
    source = {
        "S3DataSource": {"S3DataType": "ManifestFile", "S3Uri": f"s3://{BUCKET}/joined/list"},
    }
    manifest = json.dumps([{"prefix": f"s3://{BUCKET}/joined/"}, "rows.jsonl"])
    put(shared_server, {"joined/rows.jsonl": rows, "joined/list": manifest.encode()})
    name = submit(
        shared_server,
        {},
        TransformInput={"DataSource": source, "ContentType": "application/jsonlines", "SplitType": "Line"},
        TransformOutput={"S3OutputPath": f"s3://{BUCKET}/joined/out", "AssembleWith": "Line"},
        BatchStrategy="MultiRecord",
        DataProcessing={
            "InputFilter": "$.text",
            "JoinSource": "Input",
            "OutputFilter": "$['id','SageMakerOutput']",
        },
    )
    wait(shared_server, name, "Completed")
    body = shared_server.client("s3").get_object(Bucket=BUCKET, Key="joined/out/rows.jsonl.out")["Body"]
    found = [json.loads(line) for line in body.read().splitlines()]
    # the text is sent as a string of JSON, in quotes
    assert found == [{"id": number, "SageMakerOutput": number + 2} for number in range(1, 40)]


def test_a_stop_keeps_only_what_is_whole(shared_server: ServerProcess) -> None:
    sagemaker = shared_server.client("sagemaker")
    name = submit(shared_server, {"a": texts(3), "b": b"first\nslow\n"})
    wait_for_line(shared_server, name, "slow")
    sagemaker.stop_transform_job(TransformJobName=name)
    described = wait(shared_server, name, "Stopped")
    assert "FailureReason" not in described
    assert set(outputs(shared_server, name)) <= {"a.out"}
    with pytest.raises(ClientError, match="because the transform job is in status Stopped"):
        sagemaker.stop_transform_job(TransformJobName=name)
    assert processes_of(shared_server.home) == []


def test_a_model_that_is_killed_fails_the_job(shared_server: ServerProcess) -> None:
    name = submit(shared_server, {"a": b"slow\n"})
    wait_for_line(shared_server, name, "slow")
    agents = {
        json.loads(path.read_text())["pid"]
        for path in (shared_server.home / "jobs" / "transform-job").glob("*/agent.json")
    }
    for pid in processes_of(shared_server.home):
        if pid not in agents and b"serve" in Path(f"/proc/{pid}/cmdline").read_bytes():
            os.kill(pid, signal.SIGKILL)
    described = wait(shared_server, name, "Failed")
    assert described["FailureReason"].endswith("exit code: 137")
    assert outputs(shared_server, name) == {}
    assert processes_of(shared_server.home) == []


def test_a_job_goes_on_while_its_server_is_killed_and_its_model_deleted(server: ServerProcess) -> None:
    name = submit(server, {f"{number:03}": texts(20) for number in range(100)})
    server.client("sagemaker").delete_model(ModelName="letters")
    wait_for_line(server, name, "objects to transform")
    server.kill(signal.SIGKILL)
    server.restart()
    wait(server, name, "Completed")
    assert outputs(server, name) == {f"{number:03}.out": lengths(20) for number in range(100)}
    assert processes_of(server.home) == []


def test_what_cannot_be_is_refused(shared_server: ServerProcess) -> None:
    sagemaker = shared_server.client("sagemaker")
    with pytest.raises(ClientError, match=r'Could not find model "arn:aws:sagemaker:.*:model/none"'):
        submit(shared_server, {}, ModelName="none")
    with pytest.raises(ClientError, match=r"InputFilter '\$\.\.a': .* \(at character 2\)"):
        submit(shared_server, {}, DataProcessing={"InputFilter": "$..a"})
    with pytest.raises(ClientError, match="Requested resource not found"):
        describe(shared_server, "none")
    name = submit(shared_server, {"a": b"x\n"})
    request = describe(shared_server, name)
    with pytest.raises(ClientError, match="Transform job names must be unique"):
        sagemaker.create_transform_job(
            TransformJobName=name,
            ModelName=create_model(shared_server),
            **{key: request[key] for key in ("TransformInput", "TransformOutput", "TransformResources")},
        )
    wait(shared_server, name, "Completed")


def test_an_input_that_is_not_there_is_told(shared_server: ServerProcess) -> None:
    name = submit(shared_server, {})
    described = wait(shared_server, name, "Failed")
    assert "No S3 objects found under S3 URL" in described["FailureReason"]


def test_a_job_has_a_component_and_its_utilisation_is_measured(shared_server: ServerProcess) -> None:
    name = submit(shared_server, {"a": b"x\n"})
    wait(shared_server, name, "Completed")
    sagemaker = shared_server.client("sagemaker")
    found = sagemaker.describe_trial_component(TrialComponentName=f"{name}-aws-transform-job")
    assert found["Status"]["PrimaryStatus"] == "Completed"
    assert found["Source"]["SourceType"] == "SageMakerTransformJob"
    assert found["OutputArtifacts"]["SageMaker.TransformOutput"]["Value"] == f"s3://{BUCKET}/{name}/out"
    usage = shared_server.client("cloudwatch").list_metrics(
        Namespace="/aws/sagemaker/TransformJobs", Dimensions=[{"Name": "Host", "Value": f"{name}/algo-1"}]
    )
    assert "CPUUtilization" in {metric["MetricName"] for metric in usage["Metrics"]}
