"""A study goes on whatever dies: every child once, the same suggestions, nothing left running."""

from __future__ import annotations

import os
import random
import signal
import time

import pytest

from tests.acceptance.studies import children, describe, study, wait
from tests.acceptance.test_crash import agent_pid, processes_of
from tests.server_process import ServerProcess

SCRIPT = """
import argparse, time
parser = argparse.ArgumentParser()
parser.add_argument("--rate", type=float)
given, _ = parser.parse_known_args()
for step in range(5):
    print("f1=", given.rate, flush=True)
    time.sleep(0.1)
"""
JOBS = 12


def check(server: ServerProcess, name: str, suggested: list[str]) -> None:
    described = wait(server, name)
    assert described["HyperParameterTuningJobStatus"] == "Completed", described
    found = children(server, name)
    assert [each["TrainingJobName"][len(name) + 1 :][:3] for each in found] == [
        f"{n:03d}" for n in range(1, JOBS + 1)
    ]
    assert [each["TunedHyperParameters"]["rate"] for each in found] == suggested
    assert {each["TrainingJobStatus"] for each in found} == {"Completed"}
    rows = server.client("sagemaker").list_training_jobs(NameContains=name, MaxResults=100)
    assert len(rows["TrainingJobSummaries"]) == JOBS
    folders = list((server.home / "jobs" / "training-job").glob(f"{name}-*"))
    assert len(folders) == JOBS
    assert processes_of(server.home) == []


@pytest.mark.slow
@pytest.mark.timeout(900)
def test_a_study_survives_kills_at_random_moments(server: ServerProcess) -> None:
    """20 kills, spread over as many studies as that takes."""
    undisturbed = study(server, SCRIPT, jobs=JOBS, parallel=3)
    wait(server, undisturbed)
    suggested = [each["TunedHyperParameters"]["rate"] for each in children(server, undisturbed)]
    moments = random.Random(5)
    kills = 0
    while kills < 20:
        name = study(server, SCRIPT, jobs=JOBS, parallel=3, name=f"killed-{kills:02d}")
        for _ in range(4):
            time.sleep(moments.uniform(0.0, 1.5))
            server.kill(signal.SIGKILL)
            kills += 1
            server.restart()
        check(server, name, suggested)


def test_an_interrupted_child_runs_again(server: ServerProcess) -> None:
    """The agent of a child is killed from outside: the same values run again, and the count stays exact."""
    name = study(server, SCRIPT + "time.sleep(2)\n", jobs=2, parallel=1)
    while not any(each.get("TrainingStartTime") for each in children(server, name)):
        time.sleep(0.02)
    first = children(server, name)[0]
    os.kill(agent_pid(server.home, first["TrainingJobName"]), signal.SIGKILL)
    described = wait(server, name)
    found = children(server, name)
    assert [each["TrainingJobStatus"] for each in found] == ["Failed", "Completed", "Completed"]
    assert found[1]["TunedHyperParameters"] == found[0]["TunedHyperParameters"]
    assert found[2]["TunedHyperParameters"] != found[0]["TunedHyperParameters"]
    assert described["TrainingJobStatusCounters"]["RetryableError"] == 1
    assert described["HyperParameterTuningJobStatus"] == "Completed"


def test_a_stop_asked_for_before_the_server_died_is_carried_out(server: ServerProcess) -> None:
    name = study(server, "import time\nprint('f1= 1', flush=True)\ntime.sleep(600)\n", jobs=9, parallel=2)
    while describe(server, name)["TrainingJobStatusCounters"]["InProgress"] < 2:
        time.sleep(0.02)
    server.client("sagemaker").stop_hyper_parameter_tuning_job(HyperParameterTuningJobName=name)
    server.kill(signal.SIGKILL)
    server.restart()
    assert wait(server, name)["HyperParameterTuningJobStatus"] == "Stopped"
    assert processes_of(server.home) == []
