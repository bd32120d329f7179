"""Suites that every implementation of a protocol passes: subclass one in a test module and give it the hooks.

class TestMyRunner(RunnerContract):
    def make_runner(self, home): return MyRunner(home)
"""

from __future__ import annotations

import json
import os
import signal
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from clary.agent import contract
from clary.agent.contract import Access, Outcome, Plan
from clary.runners.base import Runner

PATIENCE_S = 60.0


def sample_plan(*entrypoint: str, python: str = "python3", endpoint: str = "http://127.0.0.1:9") -> Plan:
    """A job without data whose program is `entrypoint`. Nothing listens at the endpoint unless one is given."""
    return Plan(
        job_name="sample",
        job_arn="arn:aws:sagemaker:us-east-1:123456789012:training-job/sample",
        access=Access(endpoint, "us-east-1", "AKIAEXAMPLE", "secret"),
        python=python,
        hyperparameters={},
        channels=(),
        output_s3_uri="s3://bucket/output",
        entrypoint=entrypoint,
        grace_s=5.0,
    )


def eventually(holds: Callable[[], bool], what: str) -> None:
    """Fails the test when it does not come true in PATIENCE_S."""
    deadline = time.monotonic() + PATIENCE_S
    while not holds():
        if time.monotonic() > deadline:
            pytest.fail(f"not so after {PATIENCE_S:.0f} s: {what}")
        time.sleep(0.01)


class RunnerContract:
    """The laws of `clary.runners.base.Runner`. Hooks are the methods before the first test."""

    def make_runner(self, home: Path) -> Runner:
        raise NotImplementedError

    def waiting_plan(self) -> Plan:
        """A program that prints one line and runs until it is stopped."""
        return sample_plan("sh", "-c", "echo started; exec sleep 600")

    def ending_plan(self) -> Plan:
        """A program that prints one line and ends well by itself."""
        return sample_plan("sh", "-c", "echo started")

    def let_end(self, runner: Runner, folder: Path) -> None:
        """Make the program of `ending_plan` end, where it does not by itself."""

    def kill_agent(self, runner: Runner, folder: Path) -> None:  # noqa: ARG002  for those that need it
        """End the agent as `kill -9` does."""
        os.kill(json.loads((folder / contract.AGENT).read_text())["pid"], signal.SIGKILL)

    def starts(self, runner: Runner, folder: Path) -> int:  # noqa: ARG002  for those that need it
        """How many programs were started in the folder."""
        logs = [path.read_text() for path in (folder / contract.LOGS).glob("*.log")]
        return sum(line.endswith("\tstarted") for log in logs for line in log.splitlines())

    @pytest.fixture
    def runner(self, tmp_path: Path) -> Runner:
        return self.make_runner(tmp_path / "home")

    @pytest.fixture
    def folder(self, runner: Runner, tmp_path: Path) -> Iterator[Path]:
        folder = tmp_path / "home" / "jobs" / f"job-{os.urandom(4).hex()}"
        yield folder
        runner.clear(folder)

    def test_a_launched_job_has_an_agent_and_its_plan(self, runner: Runner, folder: Path) -> None:
        launched = runner.launch(folder, self.waiting_plan())
        assert runner.is_alive(folder)
        assert contract.read_plan(folder).job_name == "sample"
        assert contract.read_plan(folder).isolation == launched.isolation
        assert launched.isolation == "bubblewrap" or launched.isolation.startswith("none: ")

    def test_a_plan_is_for_its_owner_only(self, runner: Runner, folder: Path) -> None:
        runner.launch(folder, self.waiting_plan())
        assert (folder / contract.PLAN).stat().st_mode & 0o077 == 0

    def test_launching_again_starts_nothing(self, runner: Runner, folder: Path, tmp_path: Path) -> None:
        launched = runner.launch(folder, self.waiting_plan())
        assert runner.launch(folder, self.waiting_plan()) == launched
        self._wait_for_start(runner, folder)
        assert self.make_runner(tmp_path / "home").launch(folder, self.waiting_plan()) == launched
        runner.stop(folder)
        self._wait_for_outcome(folder)
        assert self.starts(runner, folder) == 1

    def test_many_launches_at_once_start_one_agent(self, runner: Runner, folder: Path) -> None:
        plan = self.waiting_plan()
        with ThreadPoolExecutor(8) as pool:
            list(pool.map(lambda _: runner.launch(folder, plan), range(16)))
        self._wait_for_start(runner, folder)
        runner.stop(folder)
        self._wait_for_outcome(folder)
        assert self.starts(runner, folder) == 1

    def test_a_program_that_ends_leaves_an_outcome(self, runner: Runner, folder: Path) -> None:
        runner.launch(folder, self.ending_plan())
        self.let_end(runner, folder)
        assert self._wait_for_outcome(folder).status == "Completed"
        eventually(lambda: not runner.is_alive(folder), "the agent is gone")

    def test_nothing_starts_where_an_outcome_is(self, runner: Runner, folder: Path) -> None:
        folder.mkdir(parents=True)
        contract.write_outcome(folder, Outcome("Completed", "Completed", 1.0))
        runner.launch(folder, self.waiting_plan())
        assert not runner.is_alive(folder)
        assert self.starts(runner, folder) == 0

    def test_a_stop_ends_the_program(self, runner: Runner, folder: Path) -> None:
        runner.launch(folder, self.waiting_plan())
        self._wait_for_start(runner, folder)
        runner.stop(folder)
        runner.stop(folder)
        assert self._wait_for_outcome(folder).status == "Stopped"
        eventually(lambda: not runner.is_alive(folder), "the agent is gone")

    def test_a_stop_right_after_the_launch_is_heard(self, runner: Runner, folder: Path) -> None:
        runner.launch(folder, self.waiting_plan())
        runner.stop(folder)
        assert self._wait_for_outcome(folder).status == "Stopped"

    def test_a_stop_before_the_launch_is_heard(self, runner: Runner, folder: Path) -> None:
        runner.stop(folder)
        runner.launch(folder, self.waiting_plan())
        assert self._wait_for_outcome(folder).status == "Stopped"

    def test_a_stop_after_the_end_changes_nothing(self, runner: Runner, folder: Path) -> None:
        runner.launch(folder, self.ending_plan())
        self.let_end(runner, folder)
        outcome = self._wait_for_outcome(folder)
        runner.stop(folder)
        assert contract.read_outcome(folder) == outcome

    def test_an_agent_that_is_killed_is_not_alive_nor_started_again(
        self, runner: Runner, folder: Path
    ) -> None:
        runner.launch(folder, self.waiting_plan())
        self._wait_for_start(runner, folder)
        self.kill_agent(runner, folder)
        eventually(lambda: not runner.is_alive(folder), "the agent is gone")
        runner.launch(folder, self.waiting_plan())
        runner.stop(folder)
        assert not runner.is_alive(folder)
        assert self.starts(runner, folder) == 1
        assert contract.read_outcome(folder) is None

    def test_clearing_ends_everything_and_keeps_the_folder(self, runner: Runner, folder: Path) -> None:
        runner.launch(folder, self.waiting_plan())
        runner.clear(folder)
        assert not runner.is_alive(folder)
        assert contract.read_plan(folder).job_name == "sample"
        runner.clear(folder)

    def test_clearing_a_host_of_a_job_leaves_those_of_others(self, runner: Runner, folder: Path) -> None:
        mine, another = folder / "algo-1", folder.with_name(f"{folder.name}-2") / "algo-1"
        try:
            for host in (mine, another):
                runner.launch(host, self.waiting_plan())
                self._wait_for_start(runner, host)
            runner.clear(mine)
            assert not runner.is_alive(mine)
            assert runner.is_alive(another)
            assert contract.read_outcome(another) is None
            runner.stop(another)
            assert self._wait_for_outcome(another).status == "Stopped"
        finally:
            for host in (mine, another):
                runner.clear(host)

    def test_a_folder_without_a_job_is_nobodys(self, runner: Runner, folder: Path) -> None:
        for _ in range(2):
            assert not runner.is_alive(folder)
            runner.clear(folder)
            folder.mkdir(parents=True, exist_ok=True)

    def test_another_runner_finds_the_agent(self, runner: Runner, folder: Path, tmp_path: Path) -> None:
        runner.launch(folder, self.waiting_plan())
        other = self.make_runner(tmp_path / "home")
        assert other.is_alive(folder)
        other.clear(folder)
        assert not runner.is_alive(folder)

    def _wait_for_start(self, runner: Runner, folder: Path) -> None:
        eventually(lambda: self.starts(runner, folder) > 0, "the program has started")

    def _wait_for_outcome(self, folder: Path) -> Outcome:
        eventually(lambda: contract.read_outcome(folder) is not None, "there is an outcome")
        outcome = contract.read_outcome(folder)
        assert outcome is not None
        return outcome
