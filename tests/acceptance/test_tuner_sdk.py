"""The tuners of both SDKs, unmodified, in processes of their own against a real server."""

from __future__ import annotations

import io
import tarfile
from urllib.parse import urlsplit

import pytest

from tests.acceptance.running import Run, model, run_program, run_v3_program
from tests.server_process import ServerProcess

pytestmark = [pytest.mark.slow, pytest.mark.timeout(480)]

COUNTERS = {"Completed": 6, "InProgress": 0, "RetryableError": 0, "NonRetryableError": 0, "Stopped": 0}


@pytest.fixture(scope="module")
def v2(shared_server: ServerProcess, tmp_path_factory: pytest.TempPathFactory) -> Run:
    return run_program("tuner_v2.py", shared_server.home, tmp_path_factory.mktemp("tuner2") / "user")


@pytest.fixture(scope="module")
def v3(shared_server: ServerProcess, tmp_path_factory: pytest.TempPathFactory) -> Run:
    folder = tmp_path_factory.mktemp("tuner3") / "user"
    return run_v3_program("tuner_v3.py", shared_server.home, folder)


def test_fit_runs_the_study_and_waits(v2: Run) -> None:
    assert v2.report["study"]["status"] == "Completed"
    assert v2.report["study"]["counters"] == COUNTERS


def test_analytics_give_a_table(v2: Run) -> None:
    frame = v2.report["frame"]
    assert len(frame) == 6
    assert {row["TrainingJobStatus"] for row in frame} == {"Completed"}
    assert all(5e-6 <= row["learning-rate"] <= 5e-4 and 8 <= row["batch-size"] <= 64 for row in frame)
    assert {row["optimizer"] for row in frame} <= {'"adam"', '"adamw"'}
    best = max(frame, key=lambda row: row["FinalObjectiveValue"])
    assert v2.report["best"] == best["TrainingJobName"]
    assert sorted(v2.report["ranges"]) == ["batch-size", "learning-rate", "optimizer"]


def test_the_best_estimator_has_a_model(v2: Run, shared_server: ServerProcess) -> None:
    files = model(shared_server, v2.report["best estimator"]["model_data"])
    best = max(row["FinalObjectiveValue"] for row in v2.report["frame"])
    assert float(files["f1.txt"]) == pytest.approx(best, abs=1e-5)
    assert v2.report["best estimator"]["hyperparameters"]["epochs"] == "2"


def test_deploy_packs_the_best_model_with_its_code_and_it_answers(
    v2: Run, shared_server: ServerProcess
) -> None:
    (repacked,) = v2.report["repacked"]
    assert "the-best" in repacked
    where = urlsplit(repacked)
    body = shared_server.client("s3").get_object(Bucket=where.netloc, Key=where.path.lstrip("/"))["Body"]
    with tarfile.open(fileobj=io.BytesIO(body.read())) as archive:
        names = {member.name.lstrip("/") for member in archive.getmembers() if member.isfile()}
    assert {"f1.txt", "code/best.py"} <= names
    best = model(shared_server, v2.report["best estimator"]["model_data"])
    assert v2.report["deployed"] == {"asked": "How good are you?", "f1": float(best["f1.txt"])}


def test_attach_finds_the_study_again(v2: Run) -> None:
    assert v2.report["attached"]["best"] == v2.report["best"]
    assert v2.report["attached"]["max_jobs"] == 6


def test_warm_starts(v2: Run) -> None:
    assert v2.report["more"]["status"] == v2.report["transfer"] == "Completed"
    overall = v2.report["more"]["overall"]["TrainingJobName"]
    assert overall in {v2.report["best"], v2.report["more"]["best"]}


def test_several_estimators(v2: Run) -> None:
    assert v2.report["several"]["status"] == "Completed"
    assert v2.report["several"]["names"] == ["large", "large", "small", "small"]


def test_stop_and_a_regex_that_is_wrong(v2: Run) -> None:
    assert v2.report["stopped"] == "Stopped"
    assert "matched no line" in v2.report["wrong"]
    assert "'eval_f1'" in v2.report["wrong"]


def test_version_3_tunes_too(v3: Run) -> None:
    assert v3.report["study"] == {**v3.report["study"], "status": "Completed", "completed": 6}
    assert len(v3.report["frame"]) == 6
    best = max(v3.report["frame"], key=lambda row: row["FinalObjectiveValue"])
    assert v3.report["best"] == v3.report["found"] == best["TrainingJobName"]
    assert v3.report["study"]["name"] in v3.report["listed"]
    assert v3.report["children"] == 6
