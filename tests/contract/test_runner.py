"""Every runner keeps the protocol's laws."""

import sys
from pathlib import Path

import pytest

from clary.runners.base import Runner
from clary.runners.local import LocalRunner
from clary.runners.sandbox import Sandbox
from clary.testing import FakeRunner
from clary.testing.contracts import RunnerContract

STAND_IN = Path(__file__).parents[1] / "unit" / "runners" / "stand_in.py"


class TestFakeRunner(RunnerContract):
    def make_runner(self, home: Path) -> FakeRunner:
        return FakeRunner()

    def let_end(self, runner: Runner, folder: Path) -> None:
        assert isinstance(runner, FakeRunner)
        runner.end(folder)

    def kill_agent(self, runner: Runner, folder: Path) -> None:
        assert isinstance(runner, FakeRunner)
        runner.kill(folder)

    def starts(self, runner: Runner, folder: Path) -> int:
        assert isinstance(runner, FakeRunner)
        return runner.launched.count(folder)


class TestLocalRunner(RunnerContract):
    """The runner alone, with an agent that does the least it must."""

    isolation = "none"

    def make_runner(self, home: Path) -> LocalRunner:
        return LocalRunner(Sandbox(home, isolation=self.isolation), agent=(sys.executable, str(STAND_IN)))


class TestLocalRunnerConfined(TestLocalRunner):
    isolation = "auto"

    def make_runner(self, home: Path) -> LocalRunner:
        sandbox = Sandbox(home)
        if sandbox.why_not:
            pytest.skip(sandbox.why_not)
        return LocalRunner(sandbox, agent=(sys.executable, str(STAND_IN)))
