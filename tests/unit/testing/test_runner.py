"""The fake runner's own hand: its files are those a real agent writes."""

import json
from pathlib import Path

import pytest

from clary.agent import contract
from clary.testing import FakeRunner, SteppedClock
from clary.testing.contracts import sample_plan


@pytest.fixture
def clock() -> SteppedClock:
    return SteppedClock(100.0)


@pytest.fixture
def runner(clock: SteppedClock) -> FakeRunner:
    return FakeRunner(clock)


@pytest.fixture
def folder(runner: FakeRunner, tmp_path: Path) -> Path:
    runner.launch(tmp_path / "job", sample_plan())
    return tmp_path / "job"


def test_the_story_is_told_in_the_agents_words(runner: FakeRunner, folder: Path, clock: SteppedClock) -> None:
    runner.tell(folder, "Downloading", "Downloading input data")
    clock.advance(1)
    runner.tell(folder, "Training")
    runner.metric(folder, "loss", 0.5)
    runner.usage(folder, {"CPUUtilization": 80.0})
    runner.log(folder, "one\ntwo")
    events = [json.loads(line) for line in (folder / contract.STORY).read_text().splitlines()]
    assert [(event["at"], event["status"]) for event in events] == [
        (100.0, "Downloading"),
        (101.0, "Training"),
    ]
    assert json.loads((folder / contract.METRICS).read_text()) == {"at": 101.0, "name": "loss", "value": 0.5}
    assert json.loads((folder / contract.USAGE).read_text())["host"] == "algo-1"
    assert (folder / contract.LOGS / "algo-1.log").read_text() == "101000\tone\n101000\ttwo\n"


def test_the_first_outcome_stays(runner: FakeRunner, folder: Path) -> None:
    first = runner.end(folder, "Failed", reason="AlgorithmError: no", exit_code=1)
    assert runner.end(folder, "Completed") == first == contract.read_outcome(folder)


def test_a_killed_agent_leaves_no_outcome(runner: FakeRunner, folder: Path) -> None:
    runner.kill(folder)
    with pytest.raises(ValueError, match="no agent is alive"):
        runner.end(folder)


def test_a_program_may_take_its_time_to_stop(tmp_path: Path) -> None:
    runner = FakeRunner(obeys_stop=False)
    runner.launch(tmp_path / "job", sample_plan())
    runner.stop(tmp_path / "job")
    assert runner.is_alive(tmp_path / "job")
    assert runner.end(tmp_path / "job", "Stopped").status == "Stopped"
