"""The processors of SageMaker SDK version 2, unmodified, in a program that knows nothing of this project."""

from __future__ import annotations

import json

import pytest

from tests.acceptance.running import Run, run_program
from tests.server_process import ServerProcess

pytestmark = [pytest.mark.slow, pytest.mark.timeout(480)]


@pytest.fixture(scope="module")
def v2(shared_server: ServerProcess, tmp_path_factory: pytest.TempPathFactory) -> Run:
    run = run_program("processing_v2.py", shared_server.home, tmp_path_factory.mktemp("v2") / "user")
    late = {name: part["late_s"] for name, part in run.report.items() if "late_s" in part}
    print("seconds from a job's end to the end of the wait:", late)
    return run


def evaluation(v2: Run, name: str) -> dict[str, object]:
    report: dict[str, object] = json.loads(v2.report[name]["results"]["evaluation"]["evaluation.json"])
    return report


def test_a_script_processor_evaluates_and_its_report_lies_in_the_bucket(v2: Run) -> None:
    assert v2.report["script"]["status"] == "Completed"
    report = evaluation(v2, "script")
    assert (report["threshold"], report["own"]) == (0.5, "mine")


def test_its_log_is_shown(v2: Run) -> None:
    assert f"evaluating 2 rows of {v2.report['script']['name']} on algo-1" in v2.output
    assert "a word on stderr" in v2.output


def test_the_job_is_found_again(v2: Run) -> None:
    assert v2.report["found"] == {
        "status": "Completed",
        "message": "accuracy 0.5",
        "inputs": ["code", "input-1"],
        "outputs": ["evaluation"],
        "environment": {"OWN_VARIABLE": "mine"},
    }
    assert v2.report["tags"] == [{"Key": "team", "Value": "nlp"}]


@pytest.mark.parametrize("name", ["sklearn", "huggingface", "pytorch", "framework"])
def test_framework_processors_run(v2: Run, name: str) -> None:
    assert v2.report[name]["status"] == "Completed"


def test_arguments_reach_the_program_through_the_sdks_launch_script(v2: Run) -> None:
    assert evaluation(v2, "huggingface")["threshold"] == 0.5
    assert evaluation(v2, "sklearn")["threshold"] == 0.1


def test_the_interpreter_is_the_jobs_own_environment(v2: Run) -> None:
    for name in ("script", "huggingface"):
        assert evaluation(v2, name)["python"].startswith("/opt/env/bin/python")  # type: ignore[attr-defined]


def test_the_logs_of_all_instances_are_shown(v2: Run) -> None:
    assert v2.report["pair"]["status"] == "Completed"
    for host in ("algo-1", "algo-2"):
        assert f"evaluating 2 rows of {v2.report['pair']['name']} on {host}" in v2.output


def test_a_failing_script_raises_the_users_own_error_and_keeps_its_output(v2: Run) -> None:
    assert v2.report["failure"]["actual"] == "Failed"
    assert "ValueError: the data set has no column named label" in v2.report["failure"]["text"]
    assert v2.report["failure"]["results"] == {"out": {"half.txt": "half of it"}}


def test_a_stopped_job_keeps_its_output(v2: Run) -> None:
    assert v2.report["stopped"]["status"] == "Stopped"
    assert "stopping as told" in v2.output
    assert v2.report["stopped"]["results"] == {"out": {"partial.txt": "half of it"}}
