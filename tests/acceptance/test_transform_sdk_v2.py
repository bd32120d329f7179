"""The transformer of SageMaker SDK version 2, unmodified, in a program that knows nothing of this project."""

from __future__ import annotations

import re
import shutil

import pytest

from tests.acceptance.models import classifier_archive
from tests.acceptance.running import Run, run_program
from tests.server_process import ServerProcess

pytestmark = [pytest.mark.slow, pytest.mark.timeout(480)]

COUNT = 60


@pytest.fixture(scope="module")
def v2(shared_server: ServerProcess, tmp_path_factory: pytest.TempPathFactory) -> Run:
    folder = tmp_path_factory.mktemp("v2")
    archive = classifier_archive(folder)
    user = folder / "user"
    return run_program(
        "transform_v2.py",
        shared_server.home,
        user,
        prepare=lambda: shutil.copy(archive, user / "model.tar.gz"),
    )


def test_the_published_notebook_gets_a_line_for_each_record(v2: Run) -> None:
    seen = v2.report["notebook"]
    assert seen["status"] == "Completed"
    assert len(seen["lines"]) == COUNT
    for line in seen["lines"]:
        assert [set(answer) for answer in line] == [{"label", "score"}]
    assert seen["tags"] == [{"Key": "team", "Value": "nlp"}]


def test_its_log_is_shown(v2: Run) -> None:
    assert "1 of 1 object transformed; 60 records" in v2.output


def test_many_records_in_a_request_get_the_same_answers_joined_with_what_they_are_of(v2: Run) -> None:
    joined = v2.report["joined"]
    assert [line["id"] for line in joined] == list(range(COUNT))
    for line, alone in zip(joined, v2.report["notebook"]["lines"], strict=True):
        answers = line["SageMakerOutput"]
        best = answers[0] if isinstance(answers, list) else answers
        assert best["label"] == alone[0]["label"]
        assert best["score"] == pytest.approx(alone[0]["score"], abs=1e-3)


def test_a_job_is_found_again(v2: Run) -> None:
    found = v2.report["attached"]
    assert (found["strategy"], found["concurrent"], found["same"]) == ("MultiRecord", 2, True)


def test_a_bad_record_is_named_and_the_other_object_has_its_output(v2: Run) -> None:
    seen = v2.report["bad"]
    assert seen["status"] == "Failed"
    assert "mixed.jsonl, record 2: the model answered 400" in seen["text"]
    assert seen["outputs"] == ["fine.jsonl.out"]


def test_a_stopped_job_ends_as_stopped(v2: Run) -> None:
    assert v2.report["stopped"] == "Stopped"
    assert v2.report["models"] == 0


def test_a_model_of_an_estimator_predicts_a_file(v2: Run) -> None:
    told = re.findall(r"\d+", v2.report["sklearn"])
    assert [int(number) for number in told] == v2.report["expected"]


def test_an_inference_script_gets_what_the_filter_selects(v2: Run) -> None:
    assert len(v2.report["own"]) == COUNT
    assert v2.report["own"][0] == '"FILM NUMBER 0 WAS BAD"'
