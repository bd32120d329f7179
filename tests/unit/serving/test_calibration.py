"""Eight-bit integers: refused without a measurement, and where it says that they go too far."""

from __future__ import annotations

import json
import random

import pytest

pytest.importorskip("torch")
pytest.importorskip("transformers")

from clary.serving.faults import LoadFault
from tests.unit.serving.folders import asked, loaded, save

WORDS = ["good", "bad", "film", "plot", "actor", "slow", "fast", "ending", "scene", "love"]


def texts(count):
    dice = random.Random(5)
    return [" ".join(dice.choices(WORDS, k=dice.randint(1, 30))) for _ in range(count)]


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    folder = save(tmp_path_factory.mktemp("bert"), "bert", "SequenceClassification")
    (folder / "texts.txt").write_text("\n".join(texts(60)) + "\n\n")
    (folder / "few.txt").write_text("\n".join(texts(3)))
    (folder / "texts.csv").write_text("label,text\n" + "".join(f"1,{text}\n" for text in texts(40)))
    records = [{"inputs": {"text": text, "text_pair": "good"}} for text in texts(30)]
    (folder / "pairs.jsonl").write_text("\n".join(map(json.dumps, records)))
    (folder / "texts.json").write_text(json.dumps({"inputs": texts(25)}))
    (folder / "broken.jsonl").write_text('{"inputs": "a"}\n{"colour": 1}\n')
    (folder.parent / "outside.txt").write_text("\n".join(texts(60)))
    return folder


def int8(folder, name, **more):
    return loaded(folder, environment={"CLARY_PRECISION": "int8", "CLARY_CALIBRATION": name, **more})


@pytest.mark.parametrize(
    ("name", "count"), [("texts.txt", 60), ("texts.csv", 40), ("pairs.jsonl", 30), ("texts.json", 25)]
)
def test_its_agreement_is_reported(folder, name, count):
    handler = int8(folder, name, CLARY_LEAST_AGREEMENT="0.5")
    found = handler.report["agreement"]
    assert found["texts"] == count
    assert 0.8 < found["labels_equal"] <= 1
    assert 0 < found["largest_change"] < 0.3
    assert handler.report["precision"] == "int8"
    (ours,), (exact,) = asked(handler, texts(1)[0]), asked(loaded(folder), texts(1)[0])
    assert ours["score"] == pytest.approx(exact["score"], abs=0.3)
    assert ours != exact  # it did run in another format


@pytest.mark.parametrize(
    ("name", "told"),
    [
        ("", "CLARY_PRECISION=int8 needs CLARY_CALIBRATION"),
        ("gone.txt", "CLARY_CALIBRATION=gone.txt: there is no such file"),
        ("../outside.txt", "there is no such file"),
        ("few.txt", "has 3 texts"),
        ("broken.jsonl", "record 2 has neither"),
    ],
)
def test_what_is_no_calibration(folder, name, told):
    with pytest.raises(LoadFault, match=told):
        int8(folder, name)


def test_too_little_agreement(folder, monkeypatch):
    from clary.inference import Agreement
    from clary.serving import calibration

    monkeypatch.setattr(calibration, "agreement", lambda *_: Agreement(60, 0.95, 0.4))
    with pytest.raises(LoadFault, match=r"for 95.0% of the 60 texts .* CLARY_LEAST_AGREEMENT asks for 98.0%"):
        int8(folder, "texts.txt")
    assert int8(folder, "texts.txt", CLARY_LEAST_AGREEMENT="0.9").report["agreement"]["labels_equal"] == 0.95


def test_int8_of_a_model_that_has_no_such_way(tmp_path):
    folder = save(tmp_path, "albert", "SequenceClassification")
    (folder / "texts.txt").write_text("\n".join(texts(30)))
    with pytest.raises(LoadFault, match="int8"):
        int8(folder, "texts.txt")
