"""The processors of SageMaker SDK version 3, unmodified, in an environment of their own that does not have Clary."""

from __future__ import annotations

import pytest

from tests.acceptance.running import Run, run_v3_program
from tests.server_process import ServerProcess

pytestmark = [pytest.mark.slow, pytest.mark.timeout(480)]


@pytest.fixture(scope="module")
def v3(shared_server: ServerProcess, tmp_path_factory: pytest.TempPathFactory) -> Run:
    folder = tmp_path_factory.mktemp("v3") / "user"
    run = run_v3_program("processing_v3.py", shared_server.home, folder)
    print("seconds from a job's end to the end of the wait:", run.report["script"]["late_s"])
    return run


def test_a_script_processor_evaluates(v3: Run) -> None:
    script = v3.report["script"]
    assert (script["status"], script["message"]) == ("Completed", "accuracy 0.5")
    assert (script["report"]["threshold"], script["report"]["own"]) == (0.5, "mine")
    assert f"evaluating 2 rows of {script['name']} on algo-1" in v3.output


def test_a_framework_processor_runs_a_folder_with_requirements(v3: Run) -> None:
    assert v3.report["framework"]["report"]["threshold"] == 0.25


def test_a_processor_runs_on_two_instances(v3: Run) -> None:
    assert v3.report["hosts"] == ["v3-hosts/algo-1", "v3-hosts/algo-2"]


def test_a_failing_script_raises_the_users_own_error(v3: Run) -> None:
    assert "ValueError: the data set has no column named label" in v3.report["failure"]
    assert v3.report["half"] == "half of it"


def test_a_stopped_job_ends_as_stopped(v3: Run) -> None:
    assert v3.report["stopped"]["status"] == "Stopped"
