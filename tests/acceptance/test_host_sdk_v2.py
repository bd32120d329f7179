"""Hosting with version 2 of the SageMaker SDK, unmodified, in a process of its own against a real server."""

from __future__ import annotations

import pytest

from tests.acceptance.models import classifier_archive
from tests.acceptance.running import Run, run_program
from tests.server_process import ServerProcess

pytestmark = [pytest.mark.slow, pytest.mark.timeout(480)]


@pytest.fixture(scope="module")
def v2(shared_server: ServerProcess, tmp_path_factory: pytest.TempPathFactory) -> Run:
    folder = tmp_path_factory.mktemp("host-v2")
    archive = classifier_archive(folder)
    user = folder / "user"
    return run_program(
        "host_v2.py", shared_server.home, user, prepare=lambda: archive.rename(user / "model.tar.gz")
    )


def test_a_model_answers_in_real_time(v2: Run) -> None:
    seen = v2.report["real time"]
    (one,) = seen["one"]
    assert one["label"] in {"NEGATIVE", "POSITIVE"}
    assert 0.5 <= one["score"] <= 1.0
    assert [len(answer) for answer in seen["several"]] == [2, 2]
    assert seen["headers"] == {"variant": "AllTraffic", "type": "application/json", "body": [one]}


def test_csv_in_is_understood(v2: Run) -> None:
    assert "POSITIVE" in str(v2.report["csv"]) or "NEGATIVE" in str(v2.report["csv"])


def test_a_bad_input_is_a_model_error_of_the_callers_making(v2: Run) -> None:
    assert v2.report["bad input"]["status"] == 400
    assert "Received client error (400) from primary with message" in v2.report["bad input"]["message"]


def test_an_update_changes_the_fleet_and_not_the_answer(v2: Run) -> None:
    updated = v2.report["updated"]
    assert (updated["instances"], updated["status"]) == (2, "InService")
    assert updated["answer"] == v2.report["real time"]["one"]


def test_a_deleted_endpoint_is_not_found(v2: Run) -> None:
    # what the SDK has asked to be deleted may still be on its way out
    assert "not found" in v2.report["deleted"] or "Deleting" in v2.report["deleted"]


def test_an_inference_script_of_ones_own(v2: Run) -> None:
    (own,) = v2.report["own script"]["answer"]
    (ours,) = v2.report["real time"]["one"]
    assert own["label"] == ours["label"]
    assert own["score"] == pytest.approx(ours["score"], abs=1e-3)


def test_a_model_that_cannot_be_loaded_fails_within_seconds_and_says_why(v2: Run) -> None:
    assert "no weights-42.bin" in v2.report["broken"]["message"]
    assert "FileNotFoundError" in v2.report["broken"]["message"]


def test_asynchronous_inference(v2: Run) -> None:
    assert v2.report["async"] == v2.report["real time"]["one"]
    assert v2.report["async later"][0]["label"] in {"NEGATIVE", "POSITIVE"}


def test_serverless_inference(v2: Run) -> None:
    assert v2.report["serverless"] == v2.report["real time"]["one"]


def test_variants_share_the_traffic_by_weight_or_are_chosen(v2: Run) -> None:
    variants = v2.report["variants"]
    assert variants["chosen"] == "second"
    assert variants["mixed"] == ["first", "second"]
    assert variants["after"] == ["second"]


def test_requests_and_answers_are_captured(v2: Run) -> None:
    captured = v2.report["captured"]
    assert any("/two/" in file and file.endswith(".jsonl") for file in captured["files"])
    assert {"endpointInput", "endpointOutput"} <= set(captured["first"]["captureData"])
    assert captured["first"]["eventVersion"] == "0"


def test_models_of_scikit_learn_and_pytorch(v2: Run) -> None:
    assert v2.report["scikit-learn"] == pytest.approx([3.0, 7.0])
    assert v2.report["pytorch"] == [[2.0, 4.0]]


def test_many_models_behind_one_endpoint(v2: Run) -> None:
    assert v2.report["multi-model"]["listed"] == ["en/reviews.tar.gz"]
    assert v2.report["multi-model"]["answer"] == v2.report["real time"]["one"]
