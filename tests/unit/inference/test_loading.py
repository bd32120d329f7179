"""From a folder, an archive or a name, whatever the head."""

from __future__ import annotations

import io
import json
import pickle
import shutil
import tarfile

import numpy as np
import pytest

torch = pytest.importorskip("torch")
pytest.importorskip("transformers")

from clary.inference import Encoder, ModelFault  # noqa: E402
from tests.unit.inference.models import TEXTS, model, tokenizer_for  # noqa: E402


@pytest.fixture
def saved(tmp_path, monkeypatch):
    """A folder as `save_pretrained` leaves it, and nothing from a hub."""
    monkeypatch.setenv("HF_HUB_OFFLINE", "1")
    monkeypatch.setenv("TMPDIR", str(tmp_path))
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path))
    folder = tmp_path / "saved"
    model("bert", id2label={0: "bad", 1: "so so", 2: "good"}).save_pretrained(folder)
    tokenizer_for("bert").save_pretrained(folder)
    return folder


def packed(archive, folder, *, inside=".", more=()):
    with tarfile.open(archive, "w:gz") as tar:
        tar.add(folder, inside)
        for entry in more:
            tar.addfile(entry, io.BytesIO(b"x" * entry.size))
    return archive


def test_folder_archive_and_nested_archive_are_the_same_model(saved, tmp_path):
    first = Encoder.load(saved, device="cpu")
    right = first.classify(TEXTS)
    assert first.labels == ("bad", "so so", "good")
    assert first.max_length == 40
    for inside in (".", "model", "checkpoint-500"):
        archive = packed(tmp_path / "model.tar.gz", saved, inside=inside)
        np.testing.assert_array_equal(Encoder.load(archive, device="cpu").classify(TEXTS), right)
    assert not list(tmp_path.glob("clary-model-*"))  # nothing is left unpacked


def test_checkpoints_beside_the_model_do_not_confuse(saved, tmp_path):
    model("bert", seed=3).save_pretrained(saved / "checkpoint-10")
    model("bert", seed=4).save_pretrained(saved / "checkpoint-20")
    right = Encoder(model("bert"), tokenizer_for("bert"), "classification", device="cpu").classify(TEXTS)
    np.testing.assert_allclose(Encoder.load(saved, device="cpu").classify(TEXTS), right, atol=1e-6)
    (saved / "config.json").unlink()
    with pytest.raises(ModelFault, match="several folders with one \\(checkpoint-10, checkpoint-20\\)"):
        Encoder.load(saved)


@pytest.mark.parametrize(
    ("name", "link"), [("../outside", None), ("/etc/outside", None), ("inner", "/etc/passwd")]
)
def test_an_archive_that_reaches_outside_is_refused(saved, tmp_path, name, link):
    entry = tarfile.TarInfo(name)
    entry.size = 0 if link else 3
    if link:
        entry.type, entry.linkname = tarfile.SYMTYPE, link
    archive = packed(tmp_path / "model.tar.gz", saved, more=[entry])
    if name.startswith("/"):  # the filter takes the leading slash off, and the file stays inside
        Encoder.load(archive, device="cpu")
    else:
        with pytest.raises(ModelFault, match="not safe to unpack"):
            Encoder.load(archive)
    assert not (tmp_path / "outside").exists()


@pytest.mark.parametrize(
    ("kind", "task"),
    [
        ("SequenceClassification", "classification"),
        ("TokenClassification", "tagging"),
        ("QuestionAnswering", "answering"),
        ("", "features"),
    ],
)
def test_the_configuration_names_the_task(kind, task, tmp_path):
    model("distilbert", kind, num_labels=2).save_pretrained(tmp_path)
    tokenizer_for("distilbert").save_pretrained(tmp_path)
    assert Encoder.load(tmp_path, device="cpu").task == task
    assert Encoder.load(tmp_path, task="features", device="cpu").embed(["good film"]).shape == (1, 32)


def test_a_missing_tokenizer_is_said_and_can_be_named(saved, tmp_path):
    elsewhere = tmp_path / "elsewhere"
    elsewhere.mkdir()
    for path in [*saved.glob("tokenizer*"), *saved.glob("vocab*")]:
        path.rename(elsewhere / path.name)
    with pytest.raises(ModelFault, match="no tokenizer is saved beside the model"):
        Encoder.load(saved)
    assert Encoder.load(saved, tokenizer=elsewhere, device="cpu").classify(TEXTS).shape == (10, 3)


def test_a_model_without_a_head_is_refused_unless_none_is_needed(tmp_path):
    model("bert", "").save_pretrained(tmp_path)
    tokenizer_for("bert").save_pretrained(tmp_path)
    assert Encoder.load(tmp_path, device="cpu").task == "features"
    with pytest.raises(
        ModelFault, match=r"no weights for classifier.bias, classifier.weight: it was not trained"
    ):
        Encoder.load(tmp_path, task="classification")


def test_a_pooler_that_is_missing_is_not_missed(tmp_path):
    model("roberta").save_pretrained(tmp_path)  # its classes for tasks have none
    tokenizer_for("roberta").save_pretrained(tmp_path)
    assert Encoder.load(tmp_path, task="features", device="cpu").embed(TEXTS).shape == (10, 32)


def test_faults_name_what_is_wrong(tmp_path):
    with pytest.raises(ModelFault, match="no such folder or file"):
        Encoder.load(tmp_path / "nowhere")
    with pytest.raises(ModelFault, match=r"\./nowhere: there is no such folder"):
        Encoder.load("./nowhere")
    with pytest.raises(ModelFault, match=r"config.json of a transformers model expected, found none"):
        Encoder.load(tmp_path)
    (tmp_path / "model.tar.gz").write_bytes(b"no archive")
    with pytest.raises(ModelFault, match="neither a model's folder nor a readable tar archive"):
        Encoder.load(tmp_path / "model.tar.gz")
    folder = tmp_path / "odd"
    folder.mkdir()
    (folder / "config.json").write_text(json.dumps({"model_type": "no-such-thing"}))
    with pytest.raises(ModelFault, match=r"config.json cannot be loaded by transformers"):
        Encoder.load(folder)


@pytest.mark.filterwarnings("ignore:Detected pickle protocol")
@pytest.mark.parametrize(
    ("name", "content", "says"),
    [
        ("model.safetensors", b"xx", "the model cannot be loaded by transformers"),
        ("pytorch_model.bin", pickle.dumps({"a": print}), "holds more than tensors"),
    ],
)
def test_broken_weights_are_a_fault_of_the_model(saved, tmp_path, name, content, says):
    folder = tmp_path / "broken"
    shutil.copytree(saved, folder)
    (folder / "model.safetensors").unlink()
    (folder / name).write_bytes(content)
    with pytest.raises(ModelFault, match=says):
        Encoder.load(folder)


@pytest.mark.parametrize("padding_free", [True, False])
@pytest.mark.parametrize("family", ["bert", "roberta", "distilbert"])
def test_a_model_saved_in_bfloat16_runs_in_float32(family, padding_free, tmp_path):
    model(family).to(torch.bfloat16).save_pretrained(tmp_path)
    tokenizer_for(family).save_pretrained(tmp_path)
    rounded = model(family).to(torch.bfloat16).float()
    right = Encoder(rounded, tokenizer_for(family), "classification", device="cpu").classify(TEXTS)
    ours = Encoder.load(tmp_path, padding_free=padding_free, device="cpu")
    np.testing.assert_allclose(ours.classify(TEXTS), right, atol=1e-5, rtol=0)


def test_max_length_cuts(saved):
    short = Encoder.load(saved, max_length=8, device="cpu")
    assert short.max_length == 8
    np.testing.assert_allclose(
        short.classify(["good " * 100]), short.classify(["good " * 6]), atol=1e-6, rtol=0
    )
