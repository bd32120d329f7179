"""Version 3 of the SageMaker SDK, unmodified, in an environment of its own that does not have Clary."""

from __future__ import annotations

import pytest

from tests.acceptance.running import Run, model, run_v3_program
from tests.server_process import ServerProcess

pytestmark = [pytest.mark.slow, pytest.mark.timeout(480)]


@pytest.fixture(scope="module")
def v3(shared_server: ServerProcess, tmp_path_factory: pytest.TempPathFactory) -> Run:
    run = run_v3_program("v3.py", shared_server.home, tmp_path_factory.mktemp("v3") / "user")
    print("seconds from a job's end to the end of the wait:", run.report["good"]["late_s"])
    return run


def test_session_role_and_bucket(v3: Run, shared_server: ServerProcess) -> None:
    assert v3.report["session"] == {
        "role": shared_server.connection.role_arn,
        "bucket": shared_server.connection.bucket,
    }


def test_model_trainer_trains_and_shows_its_log(v3: Run) -> None:
    assert v3.report["good"]["status"] == "Completed"
    assert "training tiny-bert on 2 lines" in v3.output
    assert "a word on stderr" in v3.output


def test_hyperparameters_come_back_as_they_were_sent(v3: Run) -> None:
    assert v3.report["good"]["hyperparameters"] == {
        "epochs": "2",
        "learning_rate": "5e-05",
        "model-name": "tiny-bert",
        "fp16": "true",
    }


def test_the_model_lies_in_the_bucket(v3: Run, shared_server: ServerProcess) -> None:
    files = model(shared_server, v3.report["good"]["model"])

    assert b'"own": "mine"' in files["report.json"]
    assert b'"job": "' + v3.report["good"]["name"].encode() in files["report.json"]


def test_the_job_is_found_again(v3: Run) -> None:
    assert v3.report["found"]["status"] == "Completed"
    assert v3.report["found"]["arn"].endswith(v3.report["good"]["name"])


def test_a_failing_script_raises_the_users_own_error(v3: Run) -> None:
    assert "ValueError: the data set has 3 rows but needs 16" in v3.report["failure"]


def test_a_stopped_job_ends_as_stopped(v3: Run) -> None:
    assert v3.report["stopped"]["status"] == "Stopped"


def test_nothing_is_said_of_telemetry_being_collected(v3: Run) -> None:
    assert "will collect telemetry" not in v3.output
