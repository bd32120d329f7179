"""Processing jobs in real agents: inputs, configuration, outputs, message, and how they end."""

from __future__ import annotations

import json
import threading
import time
from typing import Any

import pytest

from clary.agent.contract import STOP, Input, Output, Plan

CONFIG = {"ProcessingJobName": "job", "ProcessingJobArn": "arn:x"}
OUT = "/opt/ml/processing/out"


def plan(job: Any, script: str, **changes: Any) -> Plan:
    """A processing job that runs a Python program."""
    settings: dict[str, Any] = {
        "work": "processing",
        "entrypoint": ["python3", "-c"],
        "arguments": [script],
        "documents": {"config/processingjobconfig.json": CONFIG},
        "outputs": [Output("report", "s3://bucket/out/report", OUT)],
    }
    made: Plan = job.plan(**(settings | changes))
    return made


def test_inputs_configuration_and_outputs_lie_where_they_were_asked_for(confined_job: Any) -> None:
    s3 = confined_job.s3
    s3.bucket.update({"data/a.csv": b"1", "data/deep/b.csv": b"2", "code/run.py": b"print('hi')"})
    script = (
        "import json, os\n"
        "root = '/opt/ml/processing/'\n"
        "found = sorted(os.path.join(top, name)[len(root):] for top, _, names in os.walk(root) for name in names)\n"
        "print(found, os.getcwd(), os.path.isdir(root + 'out'))\n"
        "print(json.load(open('/opt/ml/config/processingjobconfig.json'))['ProcessingJobName'])\n"
        "os.makedirs(root + 'out/deep/er')\n"
        "open(root + 'out/deep/er/score.json', 'w').write('[1]')\n"
        "open(root + 'out/plain.txt', 'w').write('plain')\n"
        "os.symlink('/etc/passwd', root + 'out/link')\n"
    )
    inputs = [
        Input("data", "s3://bucket/data", "/opt/ml/processing/input"),
        Input("code", "s3://bucket/code/run.py", "/opt/ml/processing/input/code"),
    ]
    outcome = confined_job.run(plan(confined_job, script, inputs=inputs))
    assert outcome.status == "Completed", outcome
    assert confined_job.log() == ["['input/a.csv', 'input/code/run.py', 'input/deep/b.csv'] / True", "job"]
    uploaded = {key: body for key, body in s3.bucket.items() if key.startswith("out/")}
    assert uploaded == {"out/report/deep/er/score.json": b"[1]", "out/report/plain.txt": b"plain"}
    assert confined_job.story() == ["Downloading", "Processing", "Uploading"]
    assert outcome.artifacts is None


def test_only_credentials_and_addresses_are_in_the_environment(confined_job: Any) -> None:
    script = "import os\nprint(*sorted(name for name in os.environ if name.startswith(('SM_', 'TRAINING', 'AWS_'))))"
    confined_job.run(plan(confined_job, script, environment={"OWN": "1"}))
    names = confined_job.log()[0].split()
    assert {"AWS_REGION", "AWS_ENDPOINT_URL", "AWS_ACCESS_KEY_ID"} <= set(names)
    assert not [name for name in names if name.startswith(("SM_", "TRAINING"))]


def test_a_manifest_and_shards(confined_job: Any) -> None:
    s3 = confined_job.s3
    s3.bucket.update({f"parts/{n}": b"x" for n in range(5)})
    s3.bucket["manifest"] = json.dumps([{"prefix": "s3://bucket/parts/"}, "0", "3"]).encode()
    inputs = [
        Input("m", "s3://bucket/manifest", "/opt/ml/processing/m", s3_data_type="ManifestFile"),
        Input("s", "s3://bucket/parts/", "/opt/ml/processing/s", distribution="ShardedByS3Key"),
    ]
    script = "import os\nprint(sorted(os.listdir('/opt/ml/processing/m')), sorted(os.listdir('/opt/ml/processing/s')))"
    hosts = {"host": "algo-1", "hosts": ["algo-1", "algo-2"]}
    confined_job.run(plan(confined_job, script, inputs=inputs, **hosts))
    assert confined_job.log() == ["['0', '3'] ['0', '2', '4']"]


def test_outputs_go_up_after_a_failure_and_the_reason_is_the_programs(confined_job: Any) -> None:
    script = f"open('{OUT}/half', 'w').write('half')\nraise ValueError('no label column')"
    outcome = confined_job.run(plan(confined_job, script))
    assert outcome.status == "Failed"
    assert outcome.reason and "no label column" in outcome.reason and "exit code: 1" in outcome.reason
    assert confined_job.s3.bucket == {"out/report/half": b"half"}


def test_outputs_go_up_after_a_stop(confined_job: Any) -> None:
    script = (
        f"import time\nopen('{OUT}/half', 'w').write('half')\nprint('running', flush=True)\ntime.sleep(600)"
    )
    confined_job.start(plan(confined_job, script))
    confined_job.wait_for("running")
    (confined_job.folder / STOP).touch()
    assert confined_job.finish().status == "Stopped"
    assert confined_job.s3.bucket == {"out/report/half": b"half"}


def test_a_job_over_its_time_is_stopped(confined_job: Any) -> None:
    outcome = confined_job.run(plan(confined_job, "import time; time.sleep(600)", max_runtime_s=0.3))
    assert (outcome.status, outcome.secondary) == ("Stopped", "MaxRuntimeExceeded")
    assert "longer than MaxRuntimeInSeconds (0.3)" in confined_job.log()[-1]


def test_a_continuous_output_appears_while_the_program_runs(
    confined_job: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    script = (
        "import os, time\n"
        f"open('{OUT}/first', 'w').write('1')\n"
        "print('running', flush=True)\n"
        f"while not os.path.exists('{OUT}/go'):\n    time.sleep(0.02)\n"
        f"open('{OUT}/first', 'w').write('22')\n"
        f"os.remove('{OUT}/gone')\n"
    )
    outputs = [Output("report", "s3://bucket/out", OUT, continuous=True)]
    confined_job.start(plan(confined_job, script, outputs=outputs))
    confined_job.wait_for("running")
    folder = confined_job.ml / "processing/out"
    (folder / "gone").write_text("kept in S3")
    deadline = time.monotonic() + 30
    while confined_job.s3.bucket.keys() != {"out/first", "out/gone"} and time.monotonic() < deadline:
        time.sleep(0.05)
    (folder / "go").touch()
    assert confined_job.finish().status == "Completed"
    assert confined_job.s3.bucket == {"out/first": b"22", "out/gone": b"kept in S3", "out/go": b""}


@pytest.mark.parametrize("code", [0, 3])
def test_the_exit_message_is_its_first_kilobyte(confined_job: Any, code: int) -> None:
    script = f"open('/opt/ml/output/message', 'w').write('é' * 600)\nraise SystemExit({code})"
    outcome = confined_job.run(plan(confined_job, script))
    assert outcome.message == "é" * 512
    assert outcome.status == ("Failed" if code else "Completed")


def test_an_exit_message_that_is_no_text_fails_the_job(confined_job: Any) -> None:
    script = "open('/opt/ml/output/message', 'wb').write(b'\\xff\\xfe')"
    outcome = confined_job.run(plan(confined_job, script))
    assert outcome.status == "Failed"
    assert (
        outcome.reason
        == "ClientError: /opt/ml/output/message is not UTF-8 text: write the exit message as such."
    )


def test_an_output_that_cannot_be_saved_fails_a_job_that_was_to_complete(confined_job: Any) -> None:
    outputs = [Output("lost", "s3://nowhere/out", OUT), Output("kept", "s3://bucket/kept", OUT)]
    outcome = confined_job.run(plan(confined_job, f"open('{OUT}/a', 'w').write('a')", outputs=outputs))
    assert outcome.status == "Failed"
    assert outcome.reason and "nowhere" in outcome.reason
    assert confined_job.s3.bucket == {"kept/a": b"a"}


def test_an_output_folder_that_became_a_link_leaks_nothing(confined_job: Any) -> None:
    script = f"import os\nos.rmdir('{OUT}')\nos.symlink('/etc', '{OUT}')"
    outcome = confined_job.run(plan(confined_job, script))
    assert confined_job.s3.bucket == {}
    assert "became a link" in outcome.notes[0]


def test_an_output_folder_that_is_none_any_more_is_told(confined_job: Any) -> None:
    script = f"import os\nos.rmdir('{OUT}')\nopen('{OUT}', 'w').close()"
    outcome = confined_job.run(plan(confined_job, script))
    assert confined_job.s3.bucket == {}
    assert "is no folder any more" in outcome.notes[0]


def test_an_input_that_is_not_there_is_named(confined_job: Any) -> None:
    inputs = [Input("data", "s3://bucket/none", "/opt/ml/processing/in")]
    outcome = confined_job.run(plan(confined_job, "print('never')", inputs=inputs))
    assert outcome.status == "Failed"
    assert outcome.reason and "input 'data'" in outcome.reason and "No S3 objects found" in outcome.reason


def test_what_cannot_be_brought_or_made_is_named(confined_job: Any) -> None:
    confined_job.s3.bucket["data/x"] = b"a file"
    inputs = [Input("data", "s3://bucket/data", "/opt/ml/processing/in")]
    outputs = [Output("out", "s3://bucket/out", "/opt/ml/processing/in/x")]
    outcome = confined_job.run(plan(confined_job, "print('never')", inputs=inputs, outputs=outputs))
    assert outcome.status == "Failed"
    assert outcome.reason and outcome.reason.startswith(
        "ClientError: The folder /opt/ml/processing/in/x of output 'out'"
    )


def test_a_stop_while_inputs_are_brought_ends_the_job(confined_job: Any) -> None:
    confined_job.s3.slow = threading.Event()
    confined_job.s3.bucket["data/x"] = b"slow"
    inputs = [Input("data", "s3://bucket/data", "/opt/ml/processing/in")]
    confined_job.start(plan(confined_job, "print('never')", inputs=inputs))
    deadline = time.monotonic() + 30
    while ("GET", "/bucket/data/x") not in confined_job.s3.requests and time.monotonic() < deadline:
        time.sleep(0.02)
    (confined_job.folder / STOP).touch()
    confined_job.s3.slow.set()
    assert confined_job.finish().status == "Stopped"
    assert not (confined_job.folder / "log/algo-1.log").exists()


def test_without_confinement_the_job_says_what_it_takes(job: Any) -> None:
    outcome = job.run(plan(job, "print('never')"))
    assert outcome.status == "Failed"
    assert outcome.reason and "takes bubblewrap" in outcome.reason


def test_a_program_without_data_runs_unconfined_too(job: Any) -> None:
    outcome = job.run(plan(job, "print('ran')", outputs=()))
    assert outcome.status == "Completed"
    assert job.log() == ["ran"]
