from __future__ import annotations

import io
import json

import pytest

from clary.client.evaluations import Folder, Unreadable, read_evaluation


def write(folder, document, **columns):
    (folder / "evaluation.json").write_text(json.dumps(document), "utf-8")
    if columns:
        pyarrow = pytest.importorskip("pyarrow")
        parquet = pytest.importorskip("pyarrow.parquet")
        buffer = io.BytesIO()
        parquet.write_table(pyarrow.table(columns), buffer)
        (folder / "predictions.parquet").write_bytes(buffer.getvalue())
    return Folder(folder)


def test_figures_with_and_without_intervals(tmp_path):
    document = {
        "metrics": {
            "accuracy": {"value": 0.9, "standard_deviation": 0.01, "interval": [0.88, 0.92]},
            "mcc": {"value": 0.8, "standard_deviation": "NaN"},
            "broken": {"value": None},
        }
    }
    found = read_evaluation(write(tmp_path, document))
    assert {name: (each.value, each.low, each.high) for name, each in found.figures.items()} == {
        "accuracy": (0.9, 0.88, 0.92),
        "mcc": (0.8, None, None),
    }
    assert found.predictions is None
    assert "no predictions.parquet" in found.note


def test_what_sagemakers_pipelines_write_is_read_too(tmp_path):
    document = {
        "binary_classification_metrics": {"accuracy": {"value": 0.5}},
        "confusion_matrix": {"0": {"0": 3}},
    }
    found = read_evaluation(write(tmp_path, document))
    assert list(found.figures) == ["accuracy"]


def test_what_a_trainer_returns_is_read_too(tmp_path):
    document = {
        "eval_loss": 0.4,
        "eval_accuracy": 0.8,
        "eval_runtime": 12.5,
        "eval_samples_per_second": 80.0,
        "epoch": 3.0,
        "predicted": [0, 1],
        "done": True,
    }
    found = read_evaluation(write(tmp_path, document))
    assert {name: each.value for name, each in found.figures.items()} == {"loss": 0.4, "accuracy": 0.8}


@pytest.mark.parametrize("interval", [[0.1], "wide", [None, 0.2], ["a", "b"], 3, {"low": 1}])
def test_an_interval_that_is_none_is_left_out(tmp_path, interval):
    found = read_evaluation(write(tmp_path, {"metrics": {"f1": {"value": 0.5, "interval": interval}}}))
    assert (found.figures["f1"].low, found.figures["f1"].high) == (None, None)


def test_predictions_of_a_classifier(tmp_path):
    place = write(
        tmp_path,
        {"metrics": {"accuracy": {"value": 0.5}}},
        example=["a", "b"],
        label=["pos", "neg"],
        predicted=["pos", "pos"],
        loss=[0.1, 2.0],
    )
    predictions = read_evaluation(place).predictions
    assert predictions.scores["accuracy"].tolist() == [1.0, 0.0]
    assert predictions.scores["log_loss"].tolist() == [0.1, 2.0]
    assert predictions.can_tell("f1_macro") and not predictions.can_tell("exact_match")


def test_predictions_of_a_reader(tmp_path):
    place = write(tmp_path, {"metrics": {}}, example=["a", "b"], exact_match=[1.0, 0.0], f1=[1.0, 0.4])
    predictions = read_evaluation(place).predictions
    assert predictions.labels is None
    assert predictions.scores["f1"].tolist() == [1.0, 0.4]


def test_nothing_there_is_no_evaluation(tmp_path):
    assert read_evaluation(Folder(tmp_path)) is None


@pytest.mark.parametrize(
    ("name", "content", "words"),
    [
        ("evaluation.json", b"{", "not JSON"),
        ("predictions.parquet", b"PAR0", "cannot be read"),
    ],
)
def test_what_cannot_be_read_is_told_by_name(tmp_path, name, content, words):
    pytest.importorskip("pyarrow")
    write(tmp_path, {"metrics": {}})
    (tmp_path / name).write_bytes(content)
    with pytest.raises(Unreadable, match=words) as refusal:
        read_evaluation(Folder(tmp_path))
    assert name in str(refusal.value)


def test_a_table_without_examples_is_told(tmp_path):
    with pytest.raises(Unreadable, match="no column `example`"):
        read_evaluation(write(tmp_path, {"metrics": {}}, label=["a"], predicted=["a"]))


def test_numbers_beyond_a_float_are_no_figures_and_endless_nesting_is_unreadable(tmp_path):
    document = {"metrics": {"accuracy": {"value": 10**400}, "f1": {"value": 0.5}}}
    assert list(read_evaluation(write(tmp_path, document)).figures) == ["f1"]
    (tmp_path / "evaluation.json").write_text("[" * 100_000)
    with pytest.raises(Unreadable, match="is not JSON"):
        read_evaluation(Folder(tmp_path))
