"""Processing jobs through plain boto3 against a real server, real processes and real files."""

from __future__ import annotations

import json
import time

import pytest
from botocore.exceptions import ClientError

from clary.runners.machine import Machine
from tests.acceptance.processing import (
    BUCKET,
    OUT,
    PATIENCE_S,
    describe,
    found,
    messages,
    put,
    source,
    submit,
    wait,
    wait_for_line,
)
from tests.server_process import ServerProcess

pytestmark = pytest.mark.skipif(Machine.look().cpus < 2, reason="two hosts need two CPUs")

CURIOUS = f"""
import json, os, socket
config = json.load(open("/opt/ml/config/processingjobconfig.json"))
hosts = json.load(open("/opt/ml/config/resourceconfig.json"))
me = hosts["current_host"]
facts = {{
    "arn": config["ProcessingJobArn"],
    "hosts": hosts["hosts"],
    "name": socket.gethostname(),
    "addresses": [socket.gethostbyname(name) for name in hosts["hosts"]],
    "parts": sorted(os.listdir("/opt/ml/processing/parts")),
    "all": sorted(os.listdir("/opt/ml/processing/all")),
}}
open("{OUT}/" + me + ".json", "w").write(json.dumps(facts))
open("/opt/ml/output/message", "w").write("from " + me)
"""

SERVING = f"""
import json, socket, time
hosts = json.load(open("/opt/ml/config/resourceconfig.json"))
PORT = int(open("/opt/ml/processing/port/number").read())
if hosts["current_host"] == "algo-1":
    server = socket.create_server(("algo-1", PORT))
    connection, _ = server.accept()
    open("{OUT}/heard", "wb").write(connection.recv(100))
else:
    for _ in range(500):
        try:
            socket.create_connection(("algo-1", PORT)).send(b"hello from " + hosts["current_host"].encode())
            break
        except OSError:
            time.sleep(0.02)
"""

UNEQUAL = """
import json, sys, time
me = json.load(open("/opt/ml/config/resourceconfig.json"))["current_host"]
print("running", flush=True)
if me == "algo-2":
    open("/opt/ml/processing/out/of-the-failed", "w").write("x")
    raise ValueError("this shard has no rows")
time.sleep(600)
"""

APPEARING = f"""
import os, time
open("{OUT}/early", "w").write("first")
print("running", flush=True)
while not os.path.exists("{OUT}/never"):
    time.sleep(0.05)
"""


def test_hosts_share_the_work_and_know_of_each_other(shared_server: ServerProcess) -> None:
    put(shared_server, {f"parts/{number}.csv": b"x" for number in range(5)})
    inputs = (
        source(f"s3://{BUCKET}/parts/", "/opt/ml/processing/parts", S3DataDistributionType="ShardedByS3Key"),
        source(f"s3://{BUCKET}/parts/", "/opt/ml/processing/all"),
    )
    name = submit(shared_server, CURIOUS, instances=2, inputs=inputs)
    described = wait(shared_server, name, "Completed")
    facts = {key: json.loads(body) for key, body in found(shared_server, f"{name}/").items()}
    one, two = facts["algo-1.json"], facts["algo-2.json"]
    assert one["arn"] == described["ProcessingJobArn"]
    assert one["hosts"] == two["hosts"] == ["algo-1", "algo-2"]
    assert (one["name"], two["name"]) == ("algo-1", "algo-2")
    assert one["addresses"] == ["127.0.0.1", "127.0.0.1"]
    assert one["parts"] == ["0.csv", "2.csv", "4.csv"]
    assert two["parts"] == ["1.csv", "3.csv"]
    assert len(one["all"]) == len(two["all"]) == 5
    assert described["ExitMessage"] == "from algo-1\nfrom algo-2"
    assert described["ProcessingResources"]["ClusterConfig"]["InstanceCount"] == 2
    assert set(messages(shared_server, name)) == {"algo-1", "algo-2"}


def test_hosts_reach_each_other_by_name(shared_server: ServerProcess) -> None:
    import socket

    with socket.create_server(("127.0.0.1", 0)) as free:
        port = free.getsockname()[1]
    put(shared_server, {"port/number": str(port).encode()})
    name = submit(
        shared_server,
        SERVING,
        instances=2,
        inputs=(source(f"s3://{BUCKET}/port", "/opt/ml/processing/port"),),
    )
    wait(shared_server, name, "Completed")
    assert found(shared_server, f"{name}/") == {"heard": b"hello from algo-2"}


def test_the_first_host_that_fails_ends_the_others_and_says_why(shared_server: ServerProcess) -> None:
    name = submit(shared_server, UNEQUAL, instances=2)
    described = wait(shared_server, name, "Failed")
    reason = described["FailureReason"]
    assert "this shard has no rows" in reason
    assert reason.endswith("(on algo-2 of 2 hosts)")
    assert found(shared_server, f"{name}/") == {"of-the-failed": b"x"}
    usage = shared_server.client("cloudwatch").list_metrics(
        Namespace="/aws/sagemaker/ProcessingJobs", Dimensions=[{"Name": "Host", "Value": f"{name}/algo-2"}]
    )
    assert "CPUUtilization" in {metric["MetricName"] for metric in usage["Metrics"]}


def test_more_hosts_than_the_machine_holds_are_refused(shared_server: ServerProcess) -> None:
    with pytest.raises(ClientError, match="this machine holds"):
        submit(shared_server, "print('never')", instances=100)


def test_a_continuous_output_appears_while_the_job_runs_and_a_stop_ends_it(
    shared_server: ServerProcess,
) -> None:
    name = submit(shared_server, APPEARING, mode="Continuous")
    deadline = time.monotonic() + PATIENCE_S
    while found(shared_server, f"{name}/") != {"early": b"first"} and time.monotonic() < deadline:
        time.sleep(0.05)
    assert describe(shared_server, name)["ProcessingJobStatus"] == "InProgress"
    sagemaker = shared_server.client("sagemaker")
    sagemaker.stop_processing_job(ProcessingJobName=name)
    wait(shared_server, name, "Stopped")
    with pytest.raises(ClientError, match="because the processing job is in status Stopped"):
        sagemaker.stop_processing_job(ProcessingJobName=name)


def test_a_manifest_names_the_objects(shared_server: ServerProcess) -> None:
    manifest = json.dumps([{"prefix": f"s3://{BUCKET}/set/"}, "a.txt", "deep/b.txt"]).encode()
    put(shared_server, {"set/a.txt": b"A", "set/deep/b.txt": b"B", "set/c.txt": b"C", "list.json": manifest})
    script = (
        "import os, shutil\n"
        f"shutil.copytree('/opt/ml/processing/named', '{OUT}/copy')\n"
        "open('/opt/ml/output/message', 'wb').write(b'a' * 2000)\n"
    )
    named = source(f"s3://{BUCKET}/list.json", "/opt/ml/processing/named", S3DataType="ManifestFile")
    name = submit(shared_server, script, inputs=(named,))
    described = wait(shared_server, name, "Completed")
    assert found(shared_server, f"{name}/") == {"copy/a.txt": b"A", "copy/deep/b.txt": b"B"}
    assert described["ExitMessage"] == "a" * 1024


def test_a_job_over_its_time_is_stopped(shared_server: ServerProcess) -> None:
    name = submit(shared_server, "import time; time.sleep(600)", StoppingCondition={"MaxRuntimeInSeconds": 1})
    described = wait(shared_server, name, "Stopped")
    assert described["ProcessingEndTime"] > described["ProcessingStartTime"]


def test_a_name_is_free_again_once_its_job_was_deleted(shared_server: ServerProcess) -> None:
    sagemaker = shared_server.client("sagemaker")
    name = submit(shared_server, "print('once')")
    with pytest.raises(ClientError, match="Processing job names must be unique"):
        submit(shared_server, "print('twice')", name=name)
    wait(shared_server, name, "Completed")
    listed = sagemaker.list_processing_jobs(NameContains=name, StatusEquals="Completed")
    assert [entry["ProcessingJobName"] for entry in listed["ProcessingJobSummaries"]] == [name]
    sagemaker.delete_processing_job(ProcessingJobName=name)
    with pytest.raises(ClientError, match="Requested resource not found"):
        describe(shared_server, name)
    submit(shared_server, "print('again')", name=name)
    wait(shared_server, name, "Completed")
    assert messages(shared_server, name) == {"algo-1": ["again"]}


def test_an_entry_point_may_be_any_command(shared_server: ServerProcess) -> None:
    program = {
        "ImageUri": "image",
        "ContainerEntrypoint": ["/bin/sh", "-c"],
        "ContainerArguments": [f"pwd; which python; echo $OWN > {OUT}/own"],
    }
    name = submit(shared_server, "", AppSpecification=program, Environment={"OWN": "mine"})
    wait(shared_server, name, "Completed")
    assert messages(shared_server, name) == {"algo-1": ["/", "/opt/env/bin/python"]}
    assert found(shared_server, f"{name}/") == {"own": b"mine\n"}


def test_training_and_processing_share_one_queue(server: ServerProcess) -> None:
    from tests.acceptance import programs

    cpus = Machine.look().cpus
    (server.home / "instances.toml").write_text(f'[instances]\n"*" = {{ cpus = {cpus}, memory_gib = 1 }}\n')
    server.stop()
    server.restart()
    training = programs.submit(server, "import time; print('running', flush=True); time.sleep(600)")
    programs.wait_for_line(server, training, "running")
    processing = submit(server, "print('evaluated')")
    later = programs.submit(server, "print('trained')")
    programs.wait(server, later, secondary="Pending")
    assert "ProcessingStartTime" not in describe(server, processing)
    server.client("sagemaker").stop_training_job(TrainingJobName=training)
    evaluated = wait(server, processing, "Completed")
    trained = programs.wait(server, later, until="Completed")
    assert evaluated["ProcessingEndTime"] <= trained["TrainingStartTime"]


def test_the_end_of_a_line_is_seen(shared_server: ServerProcess) -> None:
    name = submit(shared_server, "print('hello', flush=True); import time; time.sleep(0.5)")
    wait_for_line(shared_server, name, "hello")
    wait(shared_server, name, "Completed")
