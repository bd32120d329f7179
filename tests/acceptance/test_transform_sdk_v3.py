"""The transformer of SageMaker SDK version 3, unmodified, in an environment of its own that does not have Clary."""

from __future__ import annotations

import shutil

import pytest

from tests.acceptance.models import classifier_archive
from tests.acceptance.running import Run, run_v3_program
from tests.server_process import ServerProcess

pytestmark = [pytest.mark.slow, pytest.mark.timeout(480)]


@pytest.fixture(scope="module")
def v3(shared_server: ServerProcess, tmp_path_factory: pytest.TempPathFactory) -> Run:
    folder = tmp_path_factory.mktemp("v3")
    archive = classifier_archive(folder)
    user = folder / "user"
    return run_v3_program(
        "transform_v3.py",
        shared_server.home,
        user,
        prepare=lambda: shutil.copy(archive, user / "model.tar.gz"),
    )


def test_the_transformer_joins_records_and_answers(v3: Run) -> None:
    joined = v3.report["joined"]
    assert [line["id"] for line in joined] == list(range(20))
    assert {answer["label"] for line in joined for answer in line["SageMakerOutput"]} <= {
        "NEGATIVE",
        "POSITIVE",
    }
    assert v3.report["attached"] == {"model": "v3-model", "output": True}


def test_a_bad_record_is_named(v3: Run) -> None:
    assert "reviews.jsonl, record 21: the model answered 400" in v3.report["failure"]


def test_the_resource_waits_and_shows_the_log(v3: Run) -> None:
    assert v3.report["plain"] == {"status": "Completed", "lines": 20}
    assert "1 of 1 object transformed; 20 records" in v3.output


def test_a_stopped_job_ends_as_stopped(v3: Run) -> None:
    assert v3.report["stopped"] == "Stopped"
    assert {"v3-first", "v3-second", "v3-third"} <= set(v3.report["all"])
