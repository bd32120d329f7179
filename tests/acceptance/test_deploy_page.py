"""The page on deploying, its Python typed as it stands, against a real server and with small models.

And estimators that pack their training script with the model.
"""

from __future__ import annotations

import shutil
import tarfile
from pathlib import Path

import joblib
import numpy as np
import pytest
from sklearn.ensemble import RandomForestClassifier

from tests.acceptance.models import classifier_archive
from tests.acceptance.running import Run, run_program, run_v3_program
from tests.server_process import ServerProcess
from tests.unit.serving.folders import save_gpt2

pytestmark = [pytest.mark.slow, pytest.mark.timeout(480)]

PAGE = Path(__file__).parents[2] / "docs/howto/deploy.md"


@pytest.fixture(scope="module")
def models(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("models") / "models"
    folder.mkdir()
    classifier_archive(folder).rename(folder / "reviews.tar.gz")
    (folder / "classifier").rename(folder / "reviews")
    save_gpt2(folder / "gpt2")
    rows = np.array([[0.0, 1.0], [1.0, 0.0]])
    joblib.dump(RandomForestClassifier(3, random_state=1).fit(rows, [0, 1]), folder / "model.joblib")
    with tarfile.open(folder / "forest.tar.gz", "w:gz") as archive:
        archive.add(folder / "model.joblib", "model.joblib")
    return folder


def lay_out(models: Path, folder: Path) -> None:
    shutil.copytree(models, folder / "models")
    shutil.copyfile(PAGE, folder / "page.md")


@pytest.fixture(scope="module")
def v2(shared_server: ServerProcess, models: Path, tmp_path_factory: pytest.TempPathFactory) -> Run:
    folder = tmp_path_factory.mktemp("page") / "user"
    return run_program("deploy_page.py", shared_server.home, folder, prepare=lambda: lay_out(models, folder))


def test_what_the_page_shows_is_what_it_says(v2: Run) -> None:
    printed = v2.report["printed"]
    one = eval(printed[0])
    assert [set(answer) for answer in one] == [{"label", "score"}]
    (note,) = [line for line in printed if "truncated" in line]
    assert note == "'truncated 1 of 1 inputs to 64 tokens'"
    assert "'new'" in printed or "'old'" in printed
    assert any("text-classification" in line and "fp32" in line for line in printed)
    (error,) = [line for line in printed if line.startswith("(400")]
    assert "texts" in error


def test_the_models_that_it_names_answer(v2: Run) -> None:
    (by_script,) = v2.report["with_script"]
    (by_folder,) = v2.report["from_folder"]
    assert by_script == {**by_script, "label": by_folder["label"], "sure": by_folder["score"] > 0.9}
    assert {"reviews", "two", "shelf"} <= set(v2.report["endpoints"])


def test_version_3(
    shared_server: ServerProcess, models: Path, tmp_path_factory: pytest.TempPathFactory
) -> None:
    folder = tmp_path_factory.mktemp("page-v3") / "user"
    v3 = run_v3_program("deploy_page.py", shared_server.home, folder, prepare=lambda: lay_out(models, folder))
    assert v3.report["version 3"][0]["label"] in {"NEGATIVE", "POSITIVE"}


def test_training_scripts_that_the_sdk_packs_with_the_model(
    shared_server: ServerProcess, models: Path, tmp_path_factory: pytest.TempPathFactory
) -> None:
    folder = tmp_path_factory.mktemp("estimators") / "user"
    run = run_program(
        "estimators_v2.py",
        shared_server.home,
        folder,
        prepare=lambda: shutil.copytree(models / "reviews", folder / "base"),
    )
    assert run.report["scikit-learn"] == pytest.approx([3.0])
    assert run.report["pytorch"][0]["label"] in {"NEGATIVE", "POSITIVE"}
