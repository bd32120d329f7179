"""A study goes on whatever dies: every child once, the same suggestions, nothing left running."""

from __future__ import annotations

import os
import random
import signal
import time
from typing import Any

import pytest

from tests.acceptance.studies import children, describe, study, wait
from tests.acceptance.test_crash import agent_pid, processes_of
from tests.server_process import ServerProcess

SCRIPT = """
import argparse, time
parser = argparse.ArgumentParser()
parser.add_argument("--rate", type=float)
given, _ = parser.parse_known_args()
for step in range(10):
    print("f1=", 1 - (given.rate - 0.3) ** 2, flush=True)
    time.sleep(0.1)
"""


def values(server: ServerProcess, name: str) -> list[str]:
    return [each["TunedHyperParameters"]["rate"] for each in children(server, name)]


def check(server: ServerProcess, name: str, suggested: list[str]) -> None:
    described = wait(server, name)
    assert described["HyperParameterTuningJobStatus"] == "Completed", described
    found = children(server, name)
    assert [each["TrainingJobName"][len(name) + 1 :][:3] for each in found] == [
        f"{n:03d}" for n in range(1, len(suggested) + 1)
    ]
    assert values(server, name) == suggested
    assert {each["TrainingJobStatus"] for each in found} == {"Completed"}
    rows = server.client("sagemaker").list_training_jobs(NameContains=name, MaxResults=100)
    assert len(rows["TrainingJobSummaries"]) == len(suggested)
    folders = list((server.home / "jobs" / "training-job").glob(f"{name}-*"))
    assert len(folders) == len(suggested)
    assert processes_of(server.home) == []


def survive(server: ServerProcess, strategy: str, *, jobs: int, parallel: int, kills: int) -> None:
    """A study that is killed ends like one of the same seed that is not."""
    same: dict[str, Any] = {"jobs": jobs, "parallel": parallel, "config": {"Strategy": strategy}}
    undisturbed = study(server, SCRIPT, **same)
    wait(server, undisturbed)
    suggested = values(server, undisturbed)
    assert len(set(suggested)) > jobs / 2
    name = study(server, SCRIPT, **same)
    moments = random.Random(5)
    for _ in range(kills):
        assert describe(server, name)["HyperParameterTuningJobStatus"] == "InProgress"
        time.sleep(moments.uniform(0.0, 0.6))
        server.kill(signal.SIGKILL)
        server.restart()
    check(server, name, suggested)


def test_a_study_survives_a_few_kills(server: ServerProcess) -> None:
    survive(server, "Random", jobs=9, parallel=3, kills=3)


@pytest.mark.slow
@pytest.mark.timeout(900)
@pytest.mark.parametrize(
    ("strategy", "parallel"),
    [
        ("Bayesian", 1),
        ("Random", 2),
    ],  # what Bayesian suggests depends on the order of the ends of parallel children
)
def test_a_study_survives_kills_at_random_moments(
    server: ServerProcess, strategy: str, parallel: int
) -> None:
    survive(server, strategy, jobs=30, parallel=parallel, kills=20)


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
