import csv
import json
import re
import subprocess
import sys
import tarfile
from collections.abc import Mapping, Sequence
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

import numpy as np
import pytest

torch = pytest.importorskip("torch")
pytest.importorskip("torchmetrics")
pytest.importorskip("vl_convert")
parquet = pytest.importorskip("pyarrow.parquet")

from sklearn.metrics import accuracy_score, log_loss  # noqa: E402
from transformers import AutoModelForSequenceClassification, AutoTokenizer  # noqa: E402

from clary.recipes import evaluate as recipe  # noqa: E402
from clary.recipes.labelled import Columns  # noqa: E402
from clary.recipes.refusal import CannotEvaluate  # noqa: E402

NAMES = ["bad", "fair", "good"]
SCRIPT = "<script>alert('x')</script>"


def write_csv(path: Path, rows: Sequence[Mapping[str, Any]]) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    with path.open("w", newline="", encoding="utf-8") as stream:
        writer = csv.DictWriter(stream, list(rows[0]))
        writer.writeheader()
        writer.writerows(rows)
    return path


def rows_of(texts: Sequence[str]) -> list[dict[str, Any]]:
    return [{"text": text, "label": NAMES[n % 3], "shop": f"shop {n % 4}"} for n, text in enumerate(texts)]


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory, texts: list[str]) -> Path:
    return write_csv(tmp_path_factory.mktemp("data") / "test.csv", rows_of(texts))


def by_transformers(folder: Path, texts: Sequence[str], pairs: Sequence[str] | None = None) -> np.ndarray:
    """Probabilities one text at a time, as the library alone gives them."""
    model = AutoModelForSequenceClassification.from_pretrained(folder).eval()
    tokenizer = AutoTokenizer.from_pretrained(folder)
    found = []
    for n, text in enumerate(texts):
        more = {"text_pair": pairs[n]} if pairs else {}
        with torch.inference_mode():
            inputs = tokenizer(text, **more, truncation=True, max_length=40, return_tensors="pt")
            found.append(model(**inputs).logits[0].double().softmax(-1).numpy())
    return np.stack(found)


def test_files_agree_with_the_model_run_by_transformers_alone(
    classifier: Path, data: Path, texts: list[str], tmp_path: Path
) -> None:
    evaluation = recipe.evaluate(classifier, data, slice_by=["shop"], resamples=40)
    written = evaluation.write(tmp_path / "out")
    assert {path.name for path in written} == {path.name for path in (tmp_path / "out").iterdir()}
    assert {path.name for path in written} == {
        *("evaluation.json", "predictions.parquet", "report.html"),
        *("confusion_matrix.png", "calibration.png", "slices.png"),
    }
    expected = by_transformers(classifier, texts)
    labels = np.arange(len(texts)) % 3
    document = json.loads((tmp_path / "out" / "evaluation.json").read_text("utf-8"))
    figures = document["metrics"]
    assert figures["accuracy"]["value"] == pytest.approx(accuracy_score(labels, expected.argmax(1)))
    assert figures["log_loss"]["value"] == pytest.approx(log_loss(labels, expected), rel=1e-4)
    for name, entry in figures.items():
        low, high = entry["interval"]
        assert low <= high and entry["standard_deviation"] >= 0, name
    assert np.sum(document["confusion_matrix"]["counts"]) == len(texts)
    assert document["data"]["examples"] == len(texts) and document["run"]["inference"]["precision"] == "fp32"

    table = parquet.read_table(tmp_path / "out" / "predictions.parquet").to_pydict()
    given = np.stack([table[f"probability_{name}"] for name in NAMES], axis=1)
    assert np.abs(given - expected).max() < 1e-5
    assert table["label"] == [NAMES[n] for n in labels]
    assert table["predicted"] == [NAMES[n] for n in expected.argmax(1)]
    assert table["text"] == texts and table["slice_shop"][:2] == ["shop 0", "shop 1"]
    assert len(set(table["example"])) == len(texts) and not any(table["truncated"])
    slices = {(each["column"], each["value"]): each for each in document["slices"]}
    right = expected.argmax(1) == labels
    assert slices["shop", "shop 2"]["metric"]["value"] == pytest.approx(right[2::4].mean())
    assert {"label", "text length", "shop"} == {column for column, _ in slices}
    hardest = document["hardest"]
    assert hardest and all(each["label"] != each["predicted"] for each in hardest)
    assert [each["probability"] for each in hardest] == sorted(
        (e["probability"] for e in hardest), reverse=True
    )


def test_pairs_are_read_as_pairs(classifier: Path, texts: list[str], tmp_path: Path) -> None:
    pairs = [f"{text} {text}" for text in reversed(texts)]
    rows = [
        {"sentence1": a, "sentence2": b, "label": n % 3}
        for n, (a, b) in enumerate(zip(texts, pairs, strict=True))
    ]
    lines = tmp_path / "test.jsonl"
    lines.write_text("\n".join(map(json.dumps, rows)), encoding="utf-8")
    evaluation = recipe.evaluate(classifier, lines, resamples=5)
    given = np.stack(
        [evaluation.predictions.column(f"probability_{name}").to_numpy() for name in NAMES], axis=1
    )
    expected = by_transformers(classifier, texts, pairs)
    assert np.abs(given - expected).max() < 1e-5
    cut = evaluation.predictions.column("truncated").to_pylist()
    assert cut == [len(a.split()) + len(b.split()) + 3 > 40 for a, b in zip(texts, pairs, strict=True)]
    assert any(cut) and any("longer than the model reads" in note for note in evaluation.document["notes"])


def test_as_sagemaker_hands_it_over(classifier: Path, data: Path, tmp_path: Path) -> None:
    """A folder with model.tar.gz, a folder of data, run as a file: what a processing job does."""
    (tmp_path / "model").mkdir()
    with tarfile.open(tmp_path / "model" / "model.tar.gz", "w:gz") as tar:
        tar.add(classifier, ".")
    script = Path(recipe.__file__)
    places = ["--model", tmp_path / "model", "--data", data.parent, "--output", tmp_path / "out"]
    done = subprocess.run(
        [sys.executable, script, "--resamples", "5", "--no-texts", "--slice-by", "shop", *places],
        capture_output=True,
        text=True,
        check=False,
        cwd=tmp_path,
    )
    assert done.returncode == 0, done.stderr
    assert re.search(r"^accuracy: 0\.\d+$", done.stdout, re.M)
    assert "Accuracy " in done.stdout.splitlines()[-1]
    assert "text" not in parquet.read_table(tmp_path / "out" / "predictions.parquet").column_names
    assert "very slow" not in (tmp_path / "out" / "report.html").read_text("utf-8")


def test_a_mistake_in_the_data_ends_the_job_with_its_place_before_a_model_is_loaded(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    config = {"architectures": ["BertForSequenceClassification"], "id2label": {"0": "bad", "1": "good"}}
    (tmp_path / "model").mkdir()
    (tmp_path / "model" / "config.json").write_text(
        json.dumps(config), encoding="utf-8"
    )  # there are no weights
    data = write_csv(tmp_path / "test.csv", [{"text": "a", "label": 0}, {"text": "b", "label": ""}])
    arguments = ["--model", str(tmp_path / "model"), "--data", str(data), "--output", str(tmp_path / "out")]
    assert recipe.main(arguments) == 1
    assert capsys.readouterr().err == (
        "evaluate: test.csv, line 3, column 'label': no label; remove the row or fill it in\n"
    )
    assert not (tmp_path / "out").exists()


def test_labels_can_be_named(classifier: Path, data: Path) -> None:
    rows = recipe.evaluate(classifier, data, resamples=5, labels=["good", "fair", "bad"]).document["labels"]
    assert rows == ["good", "fair", "bad"]
    with pytest.raises(CannotEvaluate, match="2 names for a model of 3 classes"):
        recipe.evaluate(classifier, data, labels=["a", "b"])


@pytest.mark.parametrize(
    ("config", "says"),
    [
        ({"architectures": ["BertForTokenClassification"]}, "token-classification is not supported yet"),
        ({"architectures": ["BertModel"]}, "BertModel is none of ...ForSequenceClassification"),
        ({}, "a model without `architectures`"),
        (
            {
                "architectures": ["BertForSequenceClassification"],
                "problem_type": "multi_label_classification",
            },
            "problem_type multi_label_classification is not supported yet",
        ),
        (None, "no config.json; save the model with save_pretrained"),
    ],
)
def test_a_model_that_cannot_be_evaluated(
    config: dict[str, Any] | None, says: str, data: Path, tmp_path: Path
) -> None:
    if config is not None:
        (tmp_path / "config.json").write_text(json.dumps(config), encoding="utf-8")
    with pytest.raises(CannotEvaluate) as caught:
        recipe.evaluate(tmp_path, data)
    assert says in str(caught.value)


def test_a_model_whose_files_are_broken(tmp_path: Path, data: Path) -> None:
    (tmp_path / "model.tar.gz").write_bytes(b"no archive")
    with pytest.raises(CannotEvaluate, match=r"not a whole model\.tar\.gz"):
        recipe.evaluate(tmp_path, data)
    with pytest.raises(CannotEvaluate, match="no such file or folder"):
        recipe.evaluate(tmp_path / "none", data)


class Page(HTMLParser):
    """What a page asks a browser to do: its tags and attributes."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.tags: list[str] = []
        self.attributes: list[tuple[str, str]] = []
        self.feed(text)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append(tag)
        self.attributes += [(name, value or "") for name, value in attrs]


def test_the_report_holds_texts_as_texts_and_loads_nothing(
    classifier: Path, texts: list[str], tmp_path: Path
) -> None:
    rows = [
        {"text": f"{SCRIPT} {text}", "label": n % 3, "shop": f"{SCRIPT}{n % 2}"}
        for n, text in enumerate(texts)
    ]
    data = write_csv(tmp_path / f"{SCRIPT.replace('/', '')}.csv", rows)
    names = [f"{SCRIPT}{n}" for n in range(3)]
    text = recipe.evaluate(classifier, data, resamples=5, labels=names, slice_by=["shop"]).report()
    page = Page(text)
    assert "&lt;script&gt;" in text
    assert "script" not in page.tags and page.tags.count("svg") == 6
    assert "default-src 'none'" in dict(page.attributes)["content"] or "default-src 'none'" in text
    loads = {"src", "srcset", "data", "action", "background"}
    assert not [name for name, _ in page.attributes if name in loads or name.startswith("on")]
    assert not [
        value for name, value in page.attributes if name.endswith("href") and not value.startswith("#")
    ]
    identities = [value for name, value in page.attributes if name == "id"]
    assert len(identities) == len(set(identities))


def test_without_vl_convert_there_are_no_charts_and_the_page_says_so(
    classifier: Path, data: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    evaluation = recipe.evaluate(classifier, data, resamples=5)
    monkeypatch.setitem(sys.modules, "vl_convert", None)
    names = {path.name for path in evaluation.write(tmp_path)}
    assert names == {"evaluation.json", "predictions.parquet", "report.html"}
    assert "No charts: drawing" in (tmp_path / "report.html").read_text("utf-8")


def test_notes_say_what_a_reader_must_know(classifier: Path, texts: list[str], tmp_path: Path) -> None:
    rows = [{"text": text, "label": n % 2} for n, text in enumerate(texts[:50] + texts[:3])]
    notes = " ".join(
        recipe.evaluate(classifier, write_csv(tmp_path / "a.csv", rows), resamples=5).document["notes"]
    )
    assert "Not shown to be better than always answering" in notes
    assert "No example of 1 of the model's 3 classes: good." in notes
    assert "Only 53 examples" in notes


def test_columns_are_passed_on(classifier: Path, texts: list[str], tmp_path: Path) -> None:
    rows = [{"body": text, "stars": n % 3} for n, text in enumerate(texts[:30])]
    data = write_csv(tmp_path / "a.csv", rows)
    found = recipe.evaluate(classifier, data, columns=Columns("body", None, "stars"), resamples=5)
    assert found.document["data"]["columns"] == {"text": "body", "label": "stars"}


def test_output_that_cannot_be_written_is_said_before_the_model_works(
    data: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    taken = tmp_path / "taken"
    taken.write_text("x")
    for output in (taken, taken / "below"):
        arguments = ["--model", str(tmp_path / "none"), "--data", str(data), "--output", str(output)]
        assert recipe.main(arguments) == 1
        assert f"--output {output}: {taken} is no folder" in capsys.readouterr().err


def test_a_file_that_cannot_be_written_ends_without_a_traceback(
    classifier: Path, data: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "evaluation.json").mkdir()
    arguments = ["--model", str(classifier), "--data", str(data), "--output", str(tmp_path)]
    assert recipe.main([*arguments, "--resamples", "2"]) == 1
    assert "cannot be written: [Errno 21] Is a directory" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("option", "value"), [("--max-length", "-5"), ("--resamples", "1"), ("--seed", "-1")]
)
def test_numbers_that_cannot_be(option: str, value: str, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit):
        recipe.main([option, value])
    assert f"argument {option}: {value} is less than" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("config", "says"),
    [
        ("[]", "list where an object belongs"),
        (
            '{"architectures": ["BertForSequenceClassification"], "id2label": {"a": "b", "c": "d"}}',
            "id2label",
        ),
        ('{"architectures": ["BertForSequenceClassification"], "id2label": {"0": "x"}}', "regression"),
    ],
)
def test_a_configuration_that_is_none(config: str, says: str, data: Path, tmp_path: Path) -> None:
    (tmp_path / "config.json").write_text(config)
    with pytest.raises(CannotEvaluate, match=says):
        recipe.evaluate(tmp_path, data)
