"""Version 2 of the SageMaker SDK, unmodified, in a process of its own against a real server."""

from __future__ import annotations

import json

import pytest

from tests.acceptance.running import Run, model, run_program
from tests.server_process import ServerProcess

pytestmark = [pytest.mark.slow, pytest.mark.timeout(480)]


@pytest.fixture(scope="module")
def v2(shared_server: ServerProcess, tmp_path_factory: pytest.TempPathFactory) -> Run:
    run = run_program("v2.py", shared_server.home, tmp_path_factory.mktemp("v2") / "user")
    late = {name: part["late_s"] for name, part in run.report.items() if "late_s" in part}
    print(
        f"seconds from a job's end to the end of the wait: {late}, {run.report['pytorch']['quiet_late_s']=}"
    )
    return run


def test_session_role_and_bucket(v2: Run, shared_server: ServerProcess) -> None:
    connection = shared_server.connection

    assert v2.report["session"]["account"] == connection.account_id
    assert v2.report["session"]["role"] == connection.role_arn
    assert v2.report["session"]["bucket"] == connection.bucket
    assert v2.report["session"]["region"] == connection.region
    assert ":role/" in v2.report["session"]["arn"]


def test_uploads_and_downloads(v2: Run) -> None:
    bucket = v2.report["session"]["bucket"]

    assert v2.report["uploaded"] == [f"s3://{bucket}/data/deep/two.txt", f"s3://{bucket}/data/one.txt"]
    assert v2.report["read"] == "first\nsecond\n"


def test_huggingface_trains_and_shows_its_log(v2: Run) -> None:
    assert v2.report["huggingface"]["status"] == "Completed"
    assert "training tiny-bert on 3 lines" in v2.output
    assert "a word on stderr" in v2.output
    # once while it is followed, and once more by attach(), which shows no log
    assert v2.output.count("training tiny-bert on 3 lines") == 1
    assert "Training job completed" in v2.output or "Completed - " in v2.output


def test_huggingface_script_gets_what_sagemaker_gives(v2: Run, shared_server: ServerProcess) -> None:
    seen = json.loads(model(shared_server, v2.report["huggingface"]["model_data"])["report.json"])

    assert seen["arguments"] == [
        *["--epochs", "2", "--fp16", "True", "--learning_rate", "5e-05", "--model-name", "tiny-bert"]
    ]
    assert seen["unknown"] == []
    assert seen["hps"] == {"epochs": 2, "fp16": True, "learning_rate": 5e-05, "model-name": "tiny-bert"}
    assert sorted(seen["lines"]) == ["first", "second", "third"]
    assert seen["channels"] == ["train"]
    assert seen["job"] == v2.report["huggingface"]["name"]
    assert seen["own"] == "mine"


def test_hyperparameters_come_back_as_they_were_sent(v2: Run) -> None:
    hyperparameters = v2.report["huggingface"]["hyperparameters"]

    assert hyperparameters["learning_rate"] == "5e-05"
    assert hyperparameters["model-name"] == '"tiny-bert"'
    assert hyperparameters["sagemaker_program"] == '"train.py"'


def test_model_data_lies_in_the_bucket(v2: Run) -> None:
    name, bucket = v2.report["huggingface"]["name"], v2.report["session"]["bucket"]

    assert v2.report["huggingface"]["model_data"] == f"s3://{bucket}/{name}/output/model.tar.gz"
    assert v2.report["huggingface"]["files"] == ["model.tar.gz"]


def test_metrics_by_regex_become_a_data_frame(v2: Run) -> None:
    points = {(point["metric_name"], point["value"]) for point in v2.report["metrics"]}

    # two figures of one minute are one data point: their average
    assert {name for name, _ in points} == {"eval_loss", "eval_f1"}
    assert all(0.24 < value < 0.76 for _, value in points)
    assert {"eval_f1", "eval_loss"} <= set(v2.report["default metrics"])


def test_attach_finds_the_job_again(v2: Run) -> None:
    assert v2.report["attached"] == {
        "model_data": v2.report["huggingface"]["model_data"],
        "epochs": "2",
        "job": v2.report["huggingface"]["name"],
    }


def test_pytorch_with_output_path_and_a_single_object(v2: Run, shared_server: ServerProcess) -> None:
    bucket = v2.report["session"]["bucket"]
    uri = v2.report["pytorch"]["model_data"]

    assert uri.startswith(f"s3://{bucket}/results/pt-")
    assert "training  on 2 lines" in v2.output


def test_a_failing_script_raises_the_users_own_error(v2: Run) -> None:
    assert v2.report["failure"]["actual"] == "Failed"
    assert "ValueError: the data set has 3 rows but needs 16" in v2.report["failure"]["text"]
    assert "about to fail" in v2.output


def test_a_stopped_job_keeps_its_model(v2: Run, shared_server: ServerProcess) -> None:
    assert v2.report["stopped"]["status"] == "Stopped"
    assert "stopping as told" in v2.output
    assert model(shared_server, v2.report["stopped"]["model_data"]) == {"partial.txt": b"half of it"}


def test_requirements_that_are_met_need_no_network(v2: Run) -> None:
    assert v2.report["needy"]["status"] == "Completed"
    assert "packaging 2" in v2.output


def test_nothing_is_said_of_telemetry_being_collected(v2: Run) -> None:
    assert "will collect telemetry" not in v2.output
    assert (
        "Traceback" not in v2.output.replace(v2.report["failure"]["text"], "") or "about to fail" in v2.output
    )
