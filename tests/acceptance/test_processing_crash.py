"""Processing jobs whose server is killed: nothing runs twice, nothing is lost, nothing is left running."""

from __future__ import annotations

import json
import os
import signal
from pathlib import Path

import pytest

from clary.agent import contract
from clary.runners.machine import Machine
from tests.acceptance.processing import OUT, found, messages, submit, wait, wait_for_line
from tests.server_process import ServerProcess

COUNTING = f"""
import json, socket, time
for number in range(60):
    print("line", number, flush=True)
    time.sleep(0.05)
open("{OUT}/" + socket.gethostname(), "a").write("once")
"""

SLEEPING = """
import subprocess, sys, time
subprocess.Popen([sys.executable, "-c", "import time; time.sleep(600)"], start_new_session=True)
print("running", flush=True)
time.sleep(600)
"""

LINES = [f"line {number}" for number in range(60)]

needs_two = pytest.mark.skipif(Machine.look().cpus < 2, reason="two hosts need two CPUs")


def host_folders(home: Path) -> list[Path]:
    jobs = home / "jobs" / "processing-job"
    return sorted([*jobs.glob("*"), *jobs.glob("*/algo-*")])


def processes_of(home: Path) -> list[int]:
    """Processes of this home's jobs: their folders are marked in their environment."""
    marks = [f"{contract.MARK}={contract.mark(folder)}".encode() for folder in host_folders(home)]
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


@needs_two
def test_two_jobs_go_on_while_their_server_is_killed_and_started_again(server: ServerProcess) -> None:
    names = [submit(server, COUNTING), submit(server, COUNTING)]
    for name in names:
        wait_for_line(server, name, "line 5")
    server.kill(signal.SIGKILL)
    server.restart()
    for name in names:
        wait(server, name, "Completed")
        assert messages(server, name) == {"algo-1": LINES}
        assert found(server, f"{name}/") == {"algo-1": b"once"}
    assert processes_of(server.home) == []


@needs_two
def test_a_job_of_two_hosts_goes_on_while_its_server_is_killed(server: ServerProcess) -> None:
    name = submit(server, COUNTING, instances=2)
    wait_for_line(server, name, "line 5", hosts=2)
    server.kill(signal.SIGKILL)
    server.restart()
    wait(server, name, "Completed")
    assert messages(server, name) == {"algo-1": LINES, "algo-2": LINES}
    assert found(server, f"{name}/") == {"algo-1": b"once", "algo-2": b"once"}


@needs_two
def test_a_host_whose_agent_is_killed_ends_the_job_and_leaves_no_process(server: ServerProcess) -> None:
    name = submit(server, SLEEPING, instances=2)
    wait_for_line(server, name, "running", hosts=2)
    folder = next(folder for folder in host_folders(server.home) if folder.name == "algo-2")
    os.kill(json.loads((folder / contract.AGENT).read_text())["pid"], signal.SIGKILL)
    described = wait(server, name, "Failed")
    assert described["FailureReason"].startswith("InternalServerError")
    assert described["FailureReason"].endswith("(on algo-2 of 2 hosts)")
    assert processes_of(server.home) == []


@needs_two
def test_a_stop_asked_for_before_the_server_died_is_carried_out_on_every_host(server: ServerProcess) -> None:
    name = submit(server, SLEEPING, instances=2)
    wait_for_line(server, name, "running", hosts=2)
    server.client("sagemaker").stop_processing_job(ProcessingJobName=name)
    server.kill(signal.SIGKILL)
    server.restart()
    wait(server, name, "Stopped")
    assert processes_of(server.home) == []


@needs_two
@pytest.mark.slow
@pytest.mark.parametrize("delay_s", [0.0, 0.02, 0.05, 0.1, 0.2, 0.4])
def test_a_kill_at_any_moment_of_a_launch_runs_each_host_once(server: ServerProcess, delay_s: float) -> None:
    import time

    script = f"import socket; print('ran'); open('{OUT}/' + socket.gethostname(), 'a').write('once')"
    name = submit(server, script, instances=2)
    time.sleep(delay_s)
    server.kill(signal.SIGKILL)
    server.restart()
    wait(server, name, "Completed")
    assert messages(server, name) == {"algo-1": ["ran"], "algo-2": ["ran"]}
    assert found(server, f"{name}/") == {"algo-1": b"once", "algo-2": b"once"}
