"""Whole jobs: a real agent process, a real program, S3 in a thread."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any
from zipfile import ZipFile

import pytest

from clary.agent.contract import AGENT, OUTCOME, STOP, Channel, Checkpoints, MetricDefinition, write_plan

HANDLER = """
import os, signal, sys, time
def save(*_):
    open(os.environ["SM_MODEL_DIR"] + "/saved", "w").write("in time")
    print("handled", flush=True)
    sys.exit(0)
signal.signal(signal.SIGTERM, save)
print("ready", flush=True)
time.sleep(60)
"""
STUBBORN = """
import os, signal, time
signal.signal(signal.SIGTERM, signal.SIG_IGN)
open(os.environ["SM_MODEL_DIR"] + "/half", "w").write("half")
if os.fork() == 0:
    os.setsid()
print("ready", flush=True)
time.sleep(60)
"""


def wait_gone(job: Any) -> None:
    for _ in range(500):
        if not job.leftovers():
            return
        time.sleep(0.01)
    raise AssertionError(f"left: {job.leftovers()}")


def test_a_script_job_from_its_code_to_its_model(any_job: Any) -> None:
    any_job.s3.bucket["data/train/a.txt"] = b"one"
    any_job.s3.bucket["data/train/deep/b.txt"] = b"two"
    program = """
import argparse, os, sys
parser = argparse.ArgumentParser()
parser.add_argument("--epochs", type=int)
parser.add_argument("--model-dir", default=os.environ["SM_MODEL_DIR"])
args = parser.parse_args()
folder = os.environ["SM_CHANNEL_TRAIN"]
text = open(folder + "/a.txt").read() + open(folder + "/deep/b.txt").read()
print("hello", args.epochs, text, os.getcwd() == os.environ["SM_INPUT_DIR"].replace("input", "code"))
print("{'eval_loss': '0.25', 'epoch': 1}", file=sys.stderr)
open(args.model_dir + "/weights", "w").write(text)
open(os.environ["SM_OUTPUT_DATA_DIR"] + "/notes", "w").write("n")
"""
    plan = any_job.script(
        program,
        hyperparameters={"epochs": "3"},
        channels=[Channel("train", "s3://bucket/data/train")],
        metric_definitions=[MetricDefinition("eval_loss", "'eval_loss': (.*?),")],
    )
    outcome = any_job.run(plan)
    assert (outcome.status, outcome.secondary, outcome.exit_code) == ("Completed", "Completed", 0), outcome
    assert outcome.artifacts == "s3://bucket/out/job/output/model.tar.gz"
    assert outcome.notes == [] and outcome.started < outcome.ended <= outcome.at
    assert any_job.s3.archive("out/job/output/model.tar.gz") == {"weights": b"onetwo"}
    assert any_job.s3.archive("out/job/output/output.tar.gz") == {"notes": b"n"}
    assert any_job.story() == ["Downloading", "Training", "Uploading"]
    assert f"(isolation: {plan.isolation})" in any_job.documents("story.jsonl")[1]["message"]
    assert "hello 3 onetwo True" in any_job.log()
    assert any_job.times() == sorted(any_job.times())
    assert [(entry["name"], entry["value"]) for entry in any_job.documents("metrics.jsonl")] == [
        ("eval_loss", 0.25)
    ]
    usage = any_job.documents("usage.jsonl")[-1]
    assert usage["host"] == "algo-1" and usage["CPUUtilization"] > 0 and usage["DiskUtilization"] > 0
    assert (any_job.ml / "output/success").exists()
    assert any_job.leftovers() == []


def test_a_failure_says_what_the_program_said(any_job: Any) -> None:
    program = """
import os
open(os.environ["SM_MODEL_DIR"] + "/weights", "w").write("w")
open(os.environ["SM_OUTPUT_DATA_DIR"] + "/notes", "w").write("n")
def load(path):
    raise FileNotFoundError("no labels in " + path)
load("here")
"""
    outcome = any_job.run(any_job.script(program))
    assert (outcome.status, outcome.exit_code, outcome.artifacts) == ("Failed", 1, None)
    assert outcome.reason.startswith("AlgorithmError: ExecuteUserScriptError:\nExitCode 1\nErrorMessage ")
    for part in (
        "FileNotFoundError: no labels in here",
        'raise FileNotFoundError("no labels in "',
        "exit code: 1",
    ):
        assert part in outcome.reason
    assert set(any_job.s3.bucket) == {"code/sourcedir.tar.gz", "out/job/output/output.tar.gz"}
    assert (any_job.ml / "output/failure").read_text() in outcome.reason


def test_a_container_entry_point_runs_as_given(confined_job: Any) -> None:
    job = confined_job
    job.s3.bucket["drivers/run.sh"] = (
        b"set -e\ntrap 'echo \"Training Execution failed\" > /opt/ml/output/failure' ERR\n"
        b'cd /opt/ml/input/data/code\necho "$1 $TRAINING_JOB_NAME $X" > /opt/ml/input/made\n'
        b"python -c \"import sys; sys.exit('boom at the end')\"\n"
    )
    job.s3.bucket["code/x"] = b""
    plan = job.plan(
        entrypoint=["/bin/bash"],
        arguments=[
            "-c",
            "chmod +x /opt/ml/input/data/drivers/run.sh && /bin/bash /opt/ml/input/data/drivers/run.sh one",
        ],
        channels=[Channel("drivers", "s3://bucket/drivers"), Channel("code", "s3://bucket/code/")],
        environment={"X": "user's"},
    )
    outcome = job.run(plan)
    assert (outcome.status, outcome.exit_code) == ("Failed", 1)
    assert (job.ml / "input/made").read_text() == "one job user's\n"
    assert "Training Execution failed" in outcome.reason and "boom at the end" in outcome.reason


def test_shell_scripts_and_packages_are_entry_points_too(any_job: Any) -> None:
    text = '#!/bin/bash\necho "args: $@"; python -c "import sys; print(sys.prefix)"; exit 7\n'
    outcome = any_job.run(any_job.script(text, name="run.sh", hyperparameters={"aa": '"b c"'}))
    assert (outcome.status, outcome.exit_code) == ("Failed", 7)
    inside = "/opt/env" if any_job.sandbox else str(any_job.folder / "env")
    assert any_job.log() == ["args: --aa b c", inside]


def test_requirements_go_into_the_jobs_own_layer(any_job: Any, tmp_path: Path) -> None:
    with ZipFile(tmp_path / "clarytestthing-1.0-py3-none-any.whl", "w") as wheel:
        info = "clarytestthing-1.0.dist-info"
        wheel.writestr("clarytestthing.py", "value = 42\n")
        wheel.writestr(f"{info}/METADATA", "Metadata-Version: 2.1\nName: clarytestthing\nVersion: 1.0\n")
        wheel.writestr(f"{info}/WHEEL", "Wheel-Version: 1.0\nRoot-Is-Purelib: true\nTag: py3-none-any\n")
        wheel.writestr(
            f"{info}/RECORD", f"clarytestthing.py,,\n{info}/METADATA,,\n{info}/WHEEL,,\n{info}/RECORD,,\n"
        )
    any_job.s3.bucket["wheels/clarytestthing-1.0-py3-none-any.whl"] = (
        tmp_path / "clarytestthing-1.0-py3-none-any.whl"
    ).read_bytes()
    inside = "/opt/ml" if any_job.sandbox else str(any_job.ml)
    plan = any_job.script(
        "import clarytestthing; print('value', clarytestthing.value)",
        files={"requirements.txt": "clarytestthing\n"},
        channels=[Channel("wheels", "s3://bucket/wheels")],
    )
    environment = {
        "PIP_NO_INDEX": "1",
        "PIP_FIND_LINKS": f"{inside}/input/data/wheels",
        "PIP_CONFIG_FILE": os.devnull,
    }
    outcome = any_job.run(plan, environment)
    assert outcome.status == "Completed", (outcome, any_job.log())
    assert "value 42" in any_job.log()
    assert list(any_job.folder.glob("env/lib/*/site-packages/clarytestthing.py"))


def test_what_cannot_be_installed_is_told_in_pips_words(job: Any) -> None:
    plan = job.script("print('never')", files={"requirements.txt": "clary-no-such-thing==9\n"})
    outcome = job.run(plan, {"PIP_NO_INDEX": "1", "PIP_CONFIG_FILE": os.devnull})
    assert outcome.status == "Failed"
    assert outcome.reason.startswith("AlgorithmError: InstallRequirementsError:")
    assert "No matching distribution found for clary-no-such-thing==9" in outcome.reason
    assert "never" not in job.log()


@pytest.mark.parametrize("how", ["file", "signal"])
def test_a_stop_lets_the_program_save_its_model(any_job: Any, how: str) -> None:
    any_job.start(any_job.script(HANDLER))
    any_job.wait_for("ready")
    if how == "file":
        (any_job.folder / STOP).touch()
    else:
        any_job.process.terminate()
    outcome = any_job.finish()
    assert (outcome.status, outcome.secondary, outcome.reason) == ("Stopped", "Stopped", None)
    assert any_job.s3.archive("out/job/output/model.tar.gz") == {"saved": b"in time"}
    assert "handled" in any_job.log()


def test_a_program_behind_shells_hears_of_the_stop(any_job: Any) -> None:
    script = "#!/bin/bash\nset -e\npython program.py\necho never\n"
    any_job.start(
        any_job.script(
            script, name="run.sh", files={"program.py": HANDLER.replace("sys.exit(0)", "sys.exit(3)")}
        )
    )
    any_job.wait_for("ready")
    (any_job.folder / STOP).touch()
    outcome = any_job.finish()
    assert outcome.status == "Stopped"
    assert any_job.s3.archive("out/job/output/model.tar.gz") == {"saved": b"in time"}
    assert any_job.log() == ["ready", "handled"]


def test_a_program_that_will_not_end_is_killed_with_all_it_started(any_job: Any) -> None:
    any_job.start(any_job.script(STUBBORN, grace_s=0.5))
    any_job.wait_for("ready")
    (any_job.folder / STOP).touch()
    outcome = any_job.finish(30)
    assert (outcome.status, outcome.exit_code) == ("Stopped", 137)
    assert any_job.s3.archive("out/job/output/model.tar.gz") == {"half": b"half"}
    assert any_job.leftovers() == []


def test_the_time_limit_stops_the_job_and_keeps_the_model(any_job: Any) -> None:
    outcome = any_job.run(any_job.script(HANDLER, max_runtime_s=3.0))
    assert (outcome.status, outcome.secondary) == ("Stopped", "MaxRuntimeExceeded")
    assert any_job.s3.archive("out/job/output/model.tar.gz") == {"saved": b"in time"}
    assert any_job.story() == ["Training", "Stopping"]


def test_a_stop_before_the_start_runs_nothing(job: Any) -> None:
    job.folder.mkdir()
    (job.folder / STOP).touch()
    job.s3.bucket["d/a"] = b""
    outcome = job.run(job.script("print('never')", channels=[Channel("c", "s3://bucket/d")]))
    assert (outcome.status, outcome.artifacts) == ("Stopped", None)
    assert not (job.folder / "log/algo-1.log").exists()


def test_a_stop_ends_the_wait_for_a_server_that_is_down(job: Any) -> None:
    job.s3.failures[:] = [503] * 10_000
    job.start(job.script("print('never')"))
    while len(job.s3.requests) < 2:
        time.sleep(0.01)
    (job.folder / STOP).touch()
    assert job.finish().status == "Stopped"


def test_a_server_that_was_down_for_a_moment_does_no_harm(job: Any) -> None:
    job.s3.failures[:] = ["drop", 503, "drop", 500]
    assert job.run(job.script("print('done')")).status == "Completed"


def test_nothing_is_left_when_the_agent_is_killed(any_job: Any) -> None:
    any_job.start(any_job.script("import time; print('ready', flush=True); time.sleep(60)"))
    any_job.wait_for("ready")
    assert any_job.leftovers()
    any_job.process.kill()
    any_job.process.wait()
    wait_gone(any_job)
    assert not (any_job.folder / OUTCOME).exists()


def test_what_the_program_leaves_behind_is_ended_with_it(any_job: Any) -> None:
    program = """
import os, sys, time
if os.fork() == 0:
    os.setsid()
    if os.fork() == 0:
        time.sleep(60)
    os._exit(0)
os.wait()
print("done")
"""
    assert any_job.run(any_job.script(program)).status == "Completed"
    assert any_job.log() == ["done"]
    assert any_job.leftovers() == []


def test_an_agent_works_once_in_a_folder(job: Any) -> None:
    job.start(job.script("import time; print('ready', flush=True); time.sleep(60)"))
    job.wait_for("ready")
    assert job.spawn().wait(30) == 0
    assert job.process.poll() is None
    assert json.loads((job.folder / AGENT).read_text())["pid"] == job.process.pid
    (job.folder / STOP).touch()
    first = job.finish()
    assert job.spawn().wait(30) == 0
    assert job.run(job.script("print('never')")) == first
    assert job.log() == ["ready"]


def test_a_program_is_never_started_twice(job: Any) -> None:
    job.start(job.script("import time; print('ready', flush=True); time.sleep(60)"))
    job.wait_for("ready")
    job.process.kill()
    job.process.wait()
    job.process = job.spawn()
    outcome = job.finish()
    assert outcome.status == "Failed" and outcome.reason.startswith(
        "InternalServerError: the agent of this job ended"
    )
    assert job.log() == ["ready"]


def test_a_plan_that_cannot_be_read_is_an_outcome_too(job: Any) -> None:
    job.folder.mkdir()
    (job.folder / "plan.json").write_text("{")
    job.process = job.spawn()
    assert job.finish().reason.startswith("InternalServerError: the job's agent failed: JSONDecodeError")


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"hyperparameters": {}}, "Nothing says which program to run"),
        ({"hyperparameters": {"sagemaker_program": "a.py"}}, "sagemaker_submit_directory"),
        ({"hyperparameters": {"deep": "[" * 2500}}, "A hyperparameter is JSON with more levels"),
        (
            {
                "hyperparameters": {
                    "sagemaker_program": "a.py",
                    "sagemaker_submit_directory": "s3://bucket/none",
                }
            },
            "s3://bucket/none was refused: there is no such object",
        ),
        ({"entrypoint": ["/no/such/program"]}, "'/no/such/program' cannot be started"),
        ({"entrypoint": ["cat", "/opt/ml/x"]}, "bubblewrap"),
        ({"entrypoint": ["true"], "environment": {"A": "/opt/ml/model"}}, "Environment.A names /opt/ml"),
        ({"channels": [Channel("c", "s3://bucket/none")]}, "No S3 objects found"),
        ({"entrypoint": ["true"], "checkpoints": Checkpoints("s3://bucket/ck", "/tmp/x")}, "below /opt/ml"),
    ],
)
def test_what_the_user_gave_wrong_is_said(job: Any, changes: dict[str, Any], words: str) -> None:
    outcome = job.run(job.plan(**changes))
    assert outcome.status == "Failed"
    assert outcome.reason.startswith("ClientError: ") and words in outcome.reason


def test_an_entry_point_that_is_not_in_the_code_is_named(job: Any) -> None:
    plan = job.script("pass", files={"other.py": ""})
    plan.hyperparameters["sagemaker_program"] = '"tran.py"'  # type: ignore[index]
    outcome = job.run(plan)
    assert "The entry point 'tran.py'" in outcome.reason and "other.py, train.py" in outcome.reason


def test_a_confined_program_that_does_not_exist_is_the_users_fault(confined_job: Any) -> None:
    outcome = confined_job.run(confined_job.plan(entrypoint=["/no/such/program"]))
    assert outcome.reason == "ClientError: '/no/such/program' cannot be started: No such file or directory"


def test_a_confinement_that_fails_is_the_platforms_fault(confined_job: Any) -> None:
    confined_job.sandbox = [*confined_job.sandbox, "--bind", "/no/such/folder", "/x"]
    outcome = confined_job.run(confined_job.plan(entrypoint=["true"]))
    assert outcome.reason.startswith("InternalServerError: The job could not be confined: bwrap: ")


def test_code_may_lie_in_a_channel(confined_job: Any) -> None:
    confined_job.s3.bucket["my/code/t.py"] = b"print('from the channel')"
    given = {"sagemaker_program": "t.py", "sagemaker_submit_directory": "/opt/ml/input/data/code"}
    channels = [Channel("code", "s3://bucket/my/code")]
    outcome = confined_job.run(confined_job.plan(hyperparameters=given, channels=channels))
    assert outcome.status == "Completed", outcome
    assert confined_job.log() == ["from the channel"]


def test_the_environment_is_the_platforms_then_the_users(any_job: Any) -> None:
    program = "import json, os; print(json.dumps(dict(os.environ)))"
    plan = any_job.script(
        program, cpus=3, environment={"OMP_NUM_THREADS": "1", "SM_MODEL_DIR": "mine", "MINE": "x"}
    )
    outcome = any_job.run(plan, {"SECRET_TOKEN": "outside", "HF_HOME": "/hf", "TMPDIR": "/elsewhere"})
    assert outcome.status == "Completed"
    found = json.loads(any_job.log()[0])
    ml = "/opt/ml" if any_job.sandbox else str(any_job.ml)
    expected = {
        "AWS_ACCESS_KEY_ID": "AKIDEXAMPLE",
        "AWS_SECRET_ACCESS_KEY": "SECRETEXAMPLE",
        "AWS_REGION": "us-east-1",
        "AWS_DEFAULT_REGION": "us-east-1",
        "AWS_ENDPOINT_URL": any_job.s3.endpoint,
        "S3_ENDPOINT_URL": any_job.s3.endpoint,
        "AWS_EC2_METADATA_DISABLED": "true",
        "TRAINING_JOB_NAME": "job",
        "TRAINING_JOB_ARN": plan.job_arn,
        "SAGEMAKER_METRICS_DIRECTORY": f"{ml}/output/metrics/sagemaker",
        "SAGEMAKER_BASE_DIR": ml,
        "CLARY_JOB": any_job.folder.name,
        "HF_HOME": "/hf",
        "OMP_NUM_THREADS": "1",
        "OMP_WAIT_POLICY": "PASSIVE",
        "MINE": "x",
        "SM_MODEL_DIR": f"{ml}/model",
        "PYTHONPATH": f"{ml}/code",
        "PYTHONUNBUFFERED": "1",
    }
    assert {name: found.get(name) for name in expected} == expected
    assert "SECRET_TOKEN" not in found and found["TMPDIR"] != "/elsewhere"
    assert Path(found["PATH"].split(":")[0]).name == "bin"


def test_checkpoints_come_back_go_up_and_survive_a_failure(any_job: Any) -> None:
    any_job.s3.bucket["ck/old"] = b"old"
    folder = "/opt/ml/checkpoints" if any_job.sandbox else str(any_job.ml / "checkpoints")
    program = f"""
print(open({folder!r} + "/old").read())
open({folder!r} + "/new", "w").write("new")
raise SystemExit("enough")
"""
    outcome = any_job.run(any_job.script(program, checkpoints=Checkpoints("s3://bucket/ck")))
    assert outcome.status == "Failed" and "enough" in outcome.reason
    assert any_job.log()[0] == "old"
    assert any_job.s3.bucket["ck/new"] == b"new" and any_job.s3.bucket["ck/old"] == b"old"


def test_a_flood_and_odd_bytes_come_through_in_order(job: Any) -> None:
    program = r"""
import sys
for number in range(20000):
    print("line", number)
sys.stdout.flush()
sys.stdout.buffer.write(b"\xff\xfe bad\n" + b"y" * 600000 + b"\nlast\n")
"""
    assert job.run(job.script(program)).status == "Completed"
    lines = job.log()
    assert lines[:20000] == [f"line {number}" for number in range(20000)]
    assert lines[20000] == "\ufffd\ufffd bad"
    assert "".join(lines[20001:-1]) == "y" * 600_000 and lines[-1] == "last"


def test_a_program_killed_by_a_signal_says_so(any_job: Any) -> None:
    outcome = any_job.run(any_job.script("import os, signal; os.kill(os.getpid(), signal.SIGKILL)"))
    assert outcome.exit_code == 137 and "OutOfMemory" in outcome.reason
    assert outcome.reason.endswith("exit code: 137")


def test_a_model_that_cannot_be_saved_fails_the_job(job: Any) -> None:
    outcome = job.run(job.script("pass", output_s3_uri="s3://nowhere/out"))
    assert outcome.status == "Failed"
    assert "s3://nowhere/out/job/output/model.tar.gz was refused: there is no such bucket" in outcome.reason


@pytest.mark.parametrize(("ending", "code"), [("", 0), ("raise SystemExit(4)", 4)])
def test_links_in_place_of_folders_lead_the_agent_nowhere(
    any_job: Any, tmp_path: Path, ending: str, code: int
) -> None:
    for name in ("model", "output", "checkpoints"):
        (tmp_path / name).mkdir()
        (tmp_path / name / "secret").write_text("of the machine")
    (tmp_path / "output/failure").write_text("of the machine")
    (tmp_path / "output/data").mkdir()
    (tmp_path / "output/data/x").write_text("of the machine")
    base = "/opt/ml" if any_job.sandbox else str(any_job.ml)
    program = f"""
import os, shutil
for name in ("model", "output", "checkpoints"):
    shutil.rmtree({base!r} + "/" + name)
    os.symlink({str(tmp_path)!r} + "/" + name, {base!r} + "/" + name)
"""
    any_job.s3.bucket["ck/kept"] = b"kept"
    outcome = any_job.run(any_job.script(program + ending, checkpoints=Checkpoints("s3://bucket/ck")))
    assert outcome.exit_code == code
    assert "of the machine" not in str(outcome)
    assert not (tmp_path / "output/success").exists()
    model = "out/job/output/model.tar.gz"
    assert set(any_job.s3.bucket) == {"code/sourcedir.tar.gz", "ck/kept"} | ({model} if code == 0 else set())
    assert code or any_job.s3.archive(model) == {}


def test_a_program_may_clean_up_behind_itself(any_job: Any) -> None:
    base = "/opt/ml" if any_job.sandbox else str(any_job.ml)
    program = f"import shutil; shutil.rmtree({base!r} + '/output'); shutil.rmtree({base!r} + '/model')"
    assert any_job.run(any_job.script(program)).status == "Completed"
    assert any_job.s3.archive("out/job/output/model.tar.gz") == {}


def test_nothing_secret_is_said_in_the_folder_but_in_the_plan(job: Any) -> None:
    job.s3.failures[:] = [None, 403]
    job.run(job.script("raise SystemExit(1)"))
    for path in job.folder.rglob("*"):
        if path.is_file() and path.name != "plan.json" and "env" not in path.parts:
            assert b"SECRETEXAMPLE" not in path.read_bytes(), path
    assert (job.folder / "plan.json").stat().st_mode & 0o077 == 0


def test_it_starts_by_module_and_by_path(job: Any) -> None:
    job.folder.mkdir()
    write_plan(job.folder, job.plan())
    path = Path(sys.modules["clary"].__file__).parent / "agent/__main__.py"  # type: ignore[arg-type]
    done = subprocess.run([sys.executable, "-S", "-E", "-s", str(path), str(job.folder)])
    assert done.returncode == 0 and (job.folder / OUTCOME).exists()
    assert subprocess.run([sys.executable, "-m", "clary.agent", str(job.folder)]).returncode == 0
    assert subprocess.run([sys.executable, "-m", "clary.agent"], capture_output=True).returncode == 2


def test_signals_meant_for_the_terminal_do_not_end_the_agent(job: Any) -> None:
    job.start(job.script("import time; print('ready', flush=True); time.sleep(0.5)"))
    job.wait_for("ready")
    for number in (signal.SIGINT, signal.SIGHUP):
        os.kill(job.process.pid, number)
    assert job.finish().status == "Completed"
