"""The programs that are published for evaluating and comparing models, as a user would write them, unmodified SDKs."""

from __future__ import annotations

import csv
import io
import json
import tarfile
from collections import Counter
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from tests.acceptance.running import Run, model, run_program
from tests.server_process import ServerProcess

pytestmark = [pytest.mark.slow, pytest.mark.timeout(480)]

TEXTS = [
    f"{subject} was {word}" for subject in ("the film", "it", "the plot") for word in ("good", "bad", "slow")
]


# --- a sentiment model, evaluated by HuggingFaceProcessor -------------------------------------------------------------


@pytest.fixture(scope="module")
def expected(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, list[int], list[int]]:
    """A folder with model.tar.gz and test.csv; the labels, and what the model says of each text."""
    torch = pytest.importorskip("torch")
    from tests.unit.inference.models import model as tiny
    from tests.unit.inference.models import tokenizer

    folder: Path = tmp_path_factory.mktemp("sentiment")
    names = {0: "negative", 1: "positive"}
    made, reader = (
        tiny("distilbert", "SequenceClassification", id2label=names, num_labels=2),
        tokenizer(types=False),
    )
    made.save_pretrained(folder / "model")
    reader.save_pretrained(folder / "model")
    with tarfile.open(folder / "model.tar.gz", "w:gz") as archive:
        archive.add(folder / "model", ".")
    with torch.no_grad():
        said = [int(made(**reader(text, return_tensors="pt")).logits.argmax()) for text in TEXTS]
    # right two times out of three
    labels = [answer if index % 3 else 1 - answer for index, answer in enumerate(said)]
    with (folder / "test.csv").open("w", newline="") as file:
        csv.writer(file).writerows([("text", "label"), *zip(TEXTS, labels, strict=True)])
    return folder, labels, said


@pytest.fixture(scope="module")
def sentiment(shared_server: ServerProcess, expected: tuple[Path, list[int], list[int]]) -> Run:
    return run_program("published_sentiment.py", shared_server.home, expected[0] / "user")


def test_an_evaluation_is_read_back_from_its_output(
    sentiment: Run, expected: tuple[Path, list[int], list[int]]
) -> None:
    _, labels, said = expected
    report = sentiment.report
    assert report["status"] == "Completed"
    assert report["where"].endswith(f"/{report['name']}/output/evaluation")
    assert report["files"] == ["/evaluation.json"]
    found = report["evaluation"]
    hits = sum(label == answer == 1 for label, answer in zip(labels, said, strict=True))
    assert found["eval_accuracy"] == pytest.approx(2 / 3)
    assert found["eval_precision"] == pytest.approx(hits / sum(said) if sum(said) else 0)
    assert found["eval_recall"] == pytest.approx(hits / sum(labels) if sum(labels) else 0)
    assert found["predicted"] == [["negative", "positive"][answer] for answer in said]


def test_the_log_of_an_evaluation_is_shown(sentiment: Run) -> None:
    assert "a distilbert of " in sentiment.output
    assert "'eval_accuracy': " in sentiment.output


# --- two models, two trials -------------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def trials(shared_server: ServerProcess, tmp_path_factory: pytest.TempPathFactory) -> Run:
    return run_program("published_trials.py", shared_server.home, tmp_path_factory.mktemp("trials") / "user")


def printed(server: ServerProcess, run: Run, name: str, metric: str) -> list[float]:
    """What the training program of a model printed of a metric."""
    history = json.loads(model(server, run.report["models"][name])["history.json"])
    return [entry[metric] for entry in history if metric in entry]


MODELS = ("distilbert-base-uncased", "bert-base-uncased")


@pytest.mark.parametrize("metric", ["loss", "learning_rate", "eval_loss", "eval_accuracy", "epoch"])
@pytest.mark.parametrize("name", MODELS)
def test_statistics_are_of_what_was_printed(
    trials: Run, shared_server: ServerProcess, name: str, metric: str
) -> None:
    [row] = [row for row in trials.report["rows"] if row["Trial"] == f"{name}-{trials.report['stamp']}"]
    values = printed(shared_server, trials, name, metric)
    told = {each: row[f"{metric} - {each}"] for each in ("Min", "Max", "Avg", "StdDev", "Last", "Count")}
    assert told == pytest.approx(
        {
            "Min": min(values),
            "Max": max(values),
            "Avg": np.mean(values),
            "StdDev": np.std(values),
            "Last": values[-1],
            "Count": len(values),
        }
    )


def test_the_frame_has_the_columns_that_sagemaker_gives(trials: Run) -> None:
    statistics = ("Min", "Max", "Avg", "StdDev", "Last", "Count")
    columns = trials.report["columns"]
    assert columns[:3] == ["TrialComponentName", "DisplayName", "SourceArn"]
    metrics = ("epoch", "eval_accuracy", "eval_loss", "learning_rate", "loss")
    assert {f"{metric} - {each}" for metric in metrics for each in statistics} <= set(columns)
    assert {"SageMaker.InstanceType", "SageMaker.InstanceCount", "SageMaker.VolumeSizeInGB"} <= set(columns)
    assert {"epochs", "model_name", "train_batch_size", "sagemaker_program"} <= set(columns)
    assert {"SageMaker.ImageUri - Value", "train - Value", "SageMaker.ModelArtifact - Value"} <= set(columns)
    assert columns[-3:] == ["Trials", "Experiments", "Trial"]


def test_the_averages_tell_the_better_model(trials: Run, shared_server: ServerProcess) -> None:
    averages = trials.report["averages"]
    assert averages == {
        name: pytest.approx(
            {
                f"{metric} - Avg": np.mean(printed(shared_server, trials, name, metric))
                for metric in ("eval_accuracy", "eval_loss", "loss")
            }
        )
        for name in MODELS
    }
    first, second = (row["model_name"] for row in trials.report["rows"])
    assert [first, second] == ['"bert-base-uncased"', '"distilbert-base-uncased"'], "best first"
    assert trials.report["trials"] == sorted(f"{name}-{trials.report['stamp']}" for name in MODELS)
    assert {row["DisplayName"] for row in trials.report["rows"]} == {"Training"}


# --- the best candidate of a study ------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def tuning(shared_server: ServerProcess, tmp_path_factory: pytest.TempPathFactory) -> Run:
    pytest.importorskip("matplotlib")
    return run_program("published_tuning.py", shared_server.home, tmp_path_factory.mktemp("tuning") / "user")


def test_the_best_candidate_is_the_one_that_is_evaluated(tuning: Run) -> None:
    candidates = tuning.report["candidates"]
    assert len(candidates) == 4
    assert {each["TrainingJobStatus"] for each in candidates} == {"Completed"}
    highest = max(each["FinalObjectiveValue"] for each in candidates)
    [best] = [each for each in candidates if each["TrainingJobName"] == tuning.report["best"]]
    assert best["FinalObjectiveValue"] == highest > 0.4
    assert float(tuning.report["best hyperparameters"]["C"]) == pytest.approx(best["C"])


def test_the_evaluation_of_the_best_adds_up(tuning: Run) -> None:
    found, stars = tuning.report["evaluation"], Counter(tuning.report["test rows"])
    matrix = np.array(found["confusion_matrix"])
    assert tuning.report["status"] == "Completed"
    assert tuning.report["files"] == ["/confusion_matrix.png", "/evaluation.json"]
    assert matrix.sum(axis=1).tolist() == [stars[each] for each in found["classes"]]
    assert found["metrics"]["accuracy"]["value"] == pytest.approx(np.trace(matrix) / matrix.sum())
    assert "precision    recall  f1-score   support" in tuning.output


def test_the_picture_of_the_matrix_opens(tuning: Run, shared_server: ServerProcess) -> None:
    image = pytest.importorskip("PIL.Image")
    s3 = shared_server.client("s3")
    listing = s3.list_objects_v2(Bucket=shared_server.connection.bucket, Prefix="evaluate-best-")["Contents"]
    [key] = [each["Key"] for each in listing if each["Key"].endswith("/output/metrics/confusion_matrix.png")]
    body = s3.get_object(Bucket=shared_server.connection.bucket, Key=key)["Body"].read()
    with image.open(io.BytesIO(body)) as picture:
        assert picture.format == "PNG"
        assert picture.size == (640, 480)
        assert len(np.unique(np.asarray(picture.convert("L")))) > 10, "it is not blank"


# --- a notebook with runs ---------------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def notebook(shared_server: ServerProcess, tmp_path_factory: pytest.TempPathFactory) -> Run:
    return run_program("published_run.py", shared_server.home, tmp_path_factory.mktemp("run") / "user")


def component(run: Run, name: str) -> dict[str, Any]:
    found: dict[str, Any] = run.report["frame"][f"digits-in-a-notebook-{name}"]
    return found


@pytest.mark.parametrize("name", ["step-0-001", "step-0-1"])
def test_each_epochs_loss_is_in_the_statistics(notebook: Run, name: str) -> None:
    losses, row = notebook.report["losses"][name], component(notebook, name)
    told = [row[f"test:loss - {each}"] for each in ("Count", "Min", "Max", "Avg", "StdDev", "Last")]
    assert told == pytest.approx(
        [12, min(losses), max(losses), np.mean(losses), np.std(losses), losses[-1]], rel=1e-6
    )
    assert row["test:accuracy - Count"] == 1


def test_runs_are_listed_in_either_order(notebook: Run) -> None:
    assert notebook.report["Ascending"] == ["step-0-001", "step-0-1"]
    assert notebook.report["Descending"] == ["step-0-1", "step-0-001"]
    assert notebook.report["display name"] == "step-size-0-1"


def test_a_job_in_a_loaded_run_adds_to_it_and_has_a_component_of_its_own(notebook: Run) -> None:
    row = component(notebook, "step-0-1")
    assert (row["chosen"], row["job:loss - Count"]) == (1, 1)
    assert component(notebook, "step-0-001")["chosen"] is None
    own = notebook.report["frame"][f"{notebook.report['job']}-aws-training-job"]
    assert (own["train:loss - Count"], own["train:loss - Max"]) == (3, 0.1)
    assert own["Trials"] == row["Trials"] == ["Default-Run-Group-digits-in-a-notebook"]


def test_files_and_links_of_a_run_are_its_inputs(notebook: Run) -> None:
    assert set(notebook.report["inputs"]) >= {"labels", "data"}
    assert len(notebook.report["labels"]) == notebook.report["positives"][1]


def test_charts_of_a_run_are_read_back(notebook: Run) -> None:
    charts = notebook.report["charts"]
    positive, everything = notebook.report["positives"]
    matrix = np.array(charts["Confusion"]["confusionMatrix"])
    assert (charts["Confusion"]["side"], charts["Confusion"]["type"]) == ("output", "ConfusionMatrix")
    assert matrix.sum() == everything
    assert matrix[1].sum() == positive
    roc = charts["ROC"]
    assert (roc["side"], roc["type"]) == ("input", "ROCCurve")
    assert roc["falsePositiveRate"][0] == 0 and roc["truePositiveRate"][-1] == 1
    assert 0.5 < roc["areaUnderCurve"] <= 1
    assert 0 < charts["Precision-Recall"]["averagePrecisionScore"] <= 1
