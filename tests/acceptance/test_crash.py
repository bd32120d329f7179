"""Whatever dies, nothing acknowledged is lost, nothing runs twice, and nothing is left running."""

from __future__ import annotations

import json
import os
import signal
from pathlib import Path

import pytest

from tests.acceptance.programs import describe, messages, model_files, submit, wait, wait_for_line
from tests.server_process import ServerProcess

COUNTING = """
import os, time
for number in range(60):
    print("line", number, flush=True)
    time.sleep(0.05)
open(os.path.join(os.environ["SM_MODEL_DIR"], "ran"), "a").write("once")
"""

SLEEPING = """
import subprocess, sys, time
subprocess.Popen([sys.executable, "-c", "import time; time.sleep(600)"], start_new_session=True)
print("running", flush=True)
time.sleep(600)
"""


def processes_of(home: Path) -> list[int]:
    """Processes of this home's jobs: their folders' names are marked in their environment."""
    marks = [f"CLARY_JOB={folder.name}".encode() for folder in (home / "jobs").glob("*/*")]
    found = []
    for entry in Path("/proc").iterdir():
        if not entry.name.isdigit() or int(entry.name) == os.getpid():
            continue
        try:
            environment = (entry / "environ").read_bytes()
        except (FileNotFoundError, ProcessLookupError, PermissionError):
            continue
        if any(mark in environment for mark in marks):
            found.append(int(entry.name))
    return found


def agent_pid(home: Path, name: str) -> int:
    folder = next((home / "jobs" / "training-job").glob(f"{name}-*"))
    return int(json.loads((folder / "agent.json").read_text())["pid"])


def test_a_job_goes_on_while_its_server_is_killed_and_started_again(server: ServerProcess) -> None:
    name = submit(server, COUNTING)
    wait_for_line(server, name, "line 5")
    port = server.url.rsplit(":", 1)[1]
    server.kill(signal.SIGKILL)
    server.restart()
    assert server.url.rsplit(":", 1)[1] == port  # the job knows this one
    described = wait(server, name, until="Completed")
    assert [line for line in messages(server, name) if line.startswith("line")] == [
        f"line {n}" for n in range(60)
    ]
    assert model_files(server, described) == {"ran": b"once"}
    statuses = [entry["Status"] for entry in described["SecondaryStatusTransitions"]]
    assert len(statuses) == len(set(statuses))


def test_a_job_that_ends_while_no_server_runs_is_completed_by_the_next(server: ServerProcess) -> None:
    name = submit(server, "print('short')\nimport time; time.sleep(1)")
    wait_for_line(server, name, "short")
    server.kill(signal.SIGKILL)
    pid = agent_pid(server.home, name)
    # it waits for the server, to upload the model
    assert Path(f"/proc/{pid}").exists()
    server.restart()
    assert "model.tar.gz" in wait(server, name, until="Completed")["ModelArtifacts"]["S3ModelArtifacts"]


def test_a_killed_agent_fails_the_job_and_leaves_no_process(server: ServerProcess) -> None:
    name = submit(server, SLEEPING)
    wait_for_line(server, name, "running")
    os.kill(agent_pid(server.home, name), signal.SIGKILL)
    described = wait(server, name, until="Failed")
    assert "InternalServerError" in described["FailureReason"]
    assert processes_of(server.home) == []


def test_an_acknowledged_job_survives_the_death_of_the_server(server: ServerProcess) -> None:
    names = [submit(server, "print('ran')", name=f"kept-{number}") for number in range(4)]
    server.kill(signal.SIGKILL)
    server.restart()
    for name in names:
        wait(server, name, until="Completed")
        assert messages(server, name) == ["ran"]


def test_a_stop_asked_for_before_the_server_died_is_carried_out(server: ServerProcess) -> None:
    name = submit(server, SLEEPING)
    wait_for_line(server, name, "running")
    server.client("sagemaker").stop_training_job(TrainingJobName=name)
    server.kill(signal.SIGKILL)
    server.restart()
    wait(server, name, until="Stopped")
    assert processes_of(server.home) == []


def test_a_server_stopped_in_good_order_leaves_its_jobs_running(server: ServerProcess) -> None:
    name = submit(server, COUNTING)
    wait_for_line(server, name, "line 3")
    server.kill(signal.SIGTERM)
    server.restart()
    wait(server, name, until="Completed")
    assert describe(server, name)["TrainingJobStatus"] == "Completed"
    assert len([line for line in messages(server, name) if line.startswith("line")]) == 60


@pytest.mark.slow
@pytest.mark.parametrize("delay_s", [0.0, 0.03, 0.06, 0.1, 0.2, 0.4])
def test_a_kill_at_any_moment_of_a_launch_runs_the_job_once(server: ServerProcess, delay_s: float) -> None:
    import time

    names = [submit(server, "print('ran')", name=f"job-{number}") for number in range(3)]
    time.sleep(delay_s)
    server.kill(signal.SIGKILL)
    server.restart()
    for name in names:
        wait(server, name, until="Completed")
        assert messages(server, name) == ["ran"]
