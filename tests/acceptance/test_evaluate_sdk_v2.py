"""The evaluation recipe as a processing job, through the SDK's own processors."""

from __future__ import annotations

import tarfile
from pathlib import Path

import pytest

from tests.acceptance.running import Run, run_program
from tests.server_process import ServerProcess

pytestmark = [pytest.mark.slow, pytest.mark.timeout(480)]
pytest.importorskip("torchmetrics")


@pytest.fixture(scope="module")
def evaluated(shared_server: ServerProcess, tmp_path_factory: pytest.TempPathFactory) -> Run:
    from tests.unit.inference.models import model, tokenizer

    folder = tmp_path_factory.mktemp("evaluate")
    made = model("bert", "SequenceClassification", id2label={0: "bad", 1: "good"}, num_labels=2)
    made.save_pretrained(folder / "model")
    tokenizer().save_pretrained(folder / "model")
    with tarfile.open(folder / "model.tar.gz", "w:gz") as tar:
        tar.add(folder / "model", ".")
    return run_program("evaluate_v2.py", shared_server.home, Path(folder) / "user")


def test_all_files_lie_in_the_bucket(evaluated: Run) -> None:
    assert evaluated.report["files"] == [
        *("calibration.png", "confusion_matrix.png", "evaluation.json", "predictions.parquet"),
        *("report.html", "slices.png"),
    ]
    assert evaluated.report["png"] == "PNG"
    assert evaluated.report["rows"] == 24


def test_the_figures_are_of_the_data(evaluated: Run) -> None:
    document = evaluated.report["evaluation"]
    assert document["run"]["seed"] == 3 and document["data"]["examples"] == 24
    assert document["baseline"]["metrics"]["accuracy"]["value"] == pytest.approx(2 / 3)
    accuracy = document["metrics"]["accuracy"]
    right = sum(document["confusion_matrix"]["counts"][n][n] for n in range(len(document["classes"])))
    assert accuracy["value"] == pytest.approx(right / 24)
    assert evaluated.report["message"].startswith(f"Accuracy {100 * accuracy['value']:.1f} %")


def test_a_mistake_in_the_data_is_the_jobs_exit_message(evaluated: Run) -> None:
    said = "test.csv, line 26, column 'label': no label; remove the row or fill it in"
    assert "Failed" in evaluated.report["failure"]
    assert evaluated.report["failed message"] == said
