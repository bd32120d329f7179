"""Files read directly are the model that transformers loads; what is not plain is left to transformers."""

from __future__ import annotations

import json
import os
import subprocess
import sys

import numpy as np
import pytest

torch = pytest.importorskip("torch")
transformers = pytest.importorskip("transformers")

from clary.inference import Encoder, files, tokenizer_file, tokens  # noqa: E402
from tests.unit.inference.models import FAMILIES, PAIRS, TEXTS, model, tokenizer_for  # noqa: E402

KINDS = {
    "classification": "SequenceClassification",
    "tagging": "TokenClassification",
    "answering": "QuestionAnswering",
    "features": "",
}
WORDS = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]", "good", "film", "##s", "very", "plot", "é", "中", ","]
ODD = [
    "Good films, very!",
    "ÉCLAIR  plot\t中文",
    "",
    "a\u0301 \x00b",
    "very [SEP] good [MASK]",
    "unheard 😀 " * 30,
]


@pytest.fixture(autouse=True)
def offline(monkeypatch):
    monkeypatch.setenv("HF_HUB_OFFLINE", "1")


def saved(folder, family, task, **changes):
    model(
        family, KINDS[task], **({"num_labels": 2} if task == "answering" else {}) | changes
    ).save_pretrained(folder)
    tokenizer_for(family).save_pretrained(folder)
    return folder


def results(encoder, task):
    if task == "classification":
        return [encoder.classify(TEXTS), encoder.classify(TEXTS, PAIRS)]
    if task == "features":
        return [encoder.embed(TEXTS)]
    found = (
        encoder.tag(TEXTS)
        if task == "tagging"
        else encoder.answer(["was it good"] * len(TEXTS), TEXTS, stride=4)
    )
    return [part for each in found for part in (each.outputs, each.offsets, each.sequence, each.text)]


@pytest.mark.parametrize("family", FAMILIES)
@pytest.mark.parametrize("task", KINDS)
def test_the_same_model_either_way(family, task, tmp_path, monkeypatch):
    folder = saved(tmp_path, family, task)
    assert files.read(folder, task=None) is not None
    ours = Encoder.load(folder, device="cpu")
    monkeypatch.setattr(files, "read", lambda *given, **more: None)
    theirs = Encoder.load(folder, device="cpu")
    assert isinstance(ours.tokenizer, tokenizer_file.FileTokenizer)
    assert not isinstance(theirs.tokenizer, tokenizer_file.FileTokenizer)
    for name in ("task", "labels", "problem", "max_length", "way"):
        assert getattr(ours, name) == getattr(theirs, name), name
    for a, b in zip(results(ours, task), results(theirs, task), strict=True):
        np.testing.assert_array_equal(a, b)


def test_a_classifier_read_for_its_features(tmp_path, monkeypatch):
    folder = saved(tmp_path, "bert", "classification")
    ours = Encoder.load(folder, task="features", device="cpu").embed(TEXTS)
    monkeypatch.setattr(files, "read", lambda *given, **more: None)
    np.testing.assert_array_equal(ours, Encoder.load(folder, task="features", device="cpu").embed(TEXTS))


def test_transformers_is_not_imported(tmp_path):
    folder = saved(tmp_path, "bert", "classification")
    script = (
        "import sys; from clary.inference import Encoder; e = Encoder.load(sys.argv[1], device='cpu', threads=1); "
        "assert e.classify(['good film']).shape == (1, 3); print('transformers' in sys.modules)"
    )
    done = subprocess.run(
        [sys.executable, "-c", script, str(folder)], capture_output=True, text=True, check=True
    )
    assert done.stdout == "False\n"


FORKS = """
import os, sys
from clary.inference import Encoder, quantised

forms = ["fp32", "bf16", *(["int8"] if quantised.quantising_works() else [])]
encoders = [Encoder.load(sys.argv[1], precision=form, device="cpu", threads=1) for form in forms]
texts = ["good film"] * 40
before = [encoder.classify(texts) for encoder in encoders]
print(len(os.listdir("/proc/self/task")))
if (pid := os.fork()) == 0:
    same = all((encoder.classify(texts) == right).all() for encoder, right in zip(encoders, before))
    os._exit(0 if same else 1)
print(os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]))
"""


@pytest.mark.skipif(not sys.platform.startswith("linux"), reason="/proc")
def test_loading_and_running_on_one_thread_starts_none(tmp_path):
    """Workers are forked from the process that has loaded, and compared precisions."""
    folder = saved(tmp_path, "bert", "classification")
    environment = os.environ | {"OMP_NUM_THREADS": "1", "TOKENIZERS_PARALLELISM": "false"}
    done = subprocess.run(
        [sys.executable, "-c", FORKS, str(folder)],
        capture_output=True,
        text=True,
        env=environment,
        timeout=100,
        check=False,
    )
    assert done.stdout == "1\n0\n", done.stderr


def changed(folder, name, **changes):
    document = json.loads((folder / name).read_text())
    for key, value in changes.items():
        document.pop(key, None) if value is None else document.update({key: value})
    (folder / name).write_text(json.dumps(document))


@pytest.mark.parametrize(
    "changes",
    [
        {"is_decoder": True},
        {"auto_map": {"AutoModel": "own.Model"}},
        {"quantization_config": {"quant_method": "x"}},
        {"position_embedding_type": "relative_key"},
        {"hidden_act": "mish"},
        {"architectures": ["OwnForSomething"]},
        {"model_type": "deberta-v2"},
        {"num_hidden_layers": 3},
        {"vocab_size": 65},
        {"layer_norm_eps": None},
        {"id2label": {"0": "a", "1": "b"}},
    ],
    ids=str,
)
def test_another_configuration_is_left_to_transformers(changes, tmp_path):
    folder = saved(tmp_path, "bert", "classification")
    assert files.read(folder, task=None) is not None
    changed(folder, "config.json", **changes)
    assert files.read(folder, task=None) is None


def test_other_files_are_left_to_transformers(tmp_path):
    folder = saved(tmp_path, "bert", "classification")
    assert files.read(folder, task="answering") is None  # it has another head
    (folder / "adapter_config.json").write_text("{}")
    assert files.read(folder, task=None) is None
    (folder / "adapter_config.json").unlink()
    weights = (folder / "model.safetensors").read_bytes()
    (folder / "model.safetensors").write_bytes(weights[:100])
    assert files.read(folder, task=None) is None
    (folder / "model.safetensors").unlink()
    assert files.read(folder, task=None) is None


def test_more_in_the_encoder_than_an_encoder_has_is_left_to_transformers(tmp_path):
    from safetensors.torch import load_file, save_file

    folder = saved(tmp_path, "bert", "classification")
    tensors = load_file(folder / "model.safetensors")
    save_file(tensors | {"bert.encoder.layer.0.adapter.weight": torch.zeros(1)}, folder / "model.safetensors")
    assert files.read(folder, task=None) is None
    save_file(tensors | {"bert.embeddings.position_ids": torch.zeros(1)}, folder / "model.safetensors")
    assert files.read(folder, task=None) is not None


def bert_tokenizer(folder, **settings):
    transformers.BertTokenizer(
        {word: number for number, word in enumerate(WORDS)}, **settings
    ).save_pretrained(folder)
    return folder


@pytest.mark.parametrize(
    "settings",
    [
        {},
        {"do_lower_case": False},
        {"strip_accents": False},
        {"tokenize_chinese_chars": False},
        {"model_max_length": 9},
    ],
    ids=str,
)
def test_word_pieces_are_read_as_the_class_would(settings, tmp_path):
    ours = tokenizer_file.read(bert_tokenizer(tmp_path, **settings), "bert")
    theirs = transformers.AutoTokenizer.from_pretrained(tmp_path)
    assert ours is not None
    assert type(theirs).__name__.startswith("Bert")
    same(ours, theirs)


def same(ours, theirs):
    most = min(12, theirs.model_max_length)
    for pairs, options in [
        (None, {}),
        (ODD[::-1], {}),
        (None, {"located": True}),
        (ODD[::-1], {"located": True}),
    ]:
        a, b = (tokens.tokenize(reader, ODD, pairs, most=most, **options) for reader in (ours, theirs))
        for name in ("ids", "types", "of", "offsets", "sequence"):
            first, second = getattr(a, name), getattr(b, name)
            assert (first is None) == (second is None), name
            for x, y in zip(first or [], second or [], strict=True) if name != "of" else [(first, second)]:
                np.testing.assert_array_equal(x, y)
    for name in (
        "pad_token_id",
        "cls_token_id",
        "sep_token_id",
        "unk_token_id",
        "mask_token_id",
        "truncation_side",
    ):
        assert getattr(ours, name) == getattr(theirs, name), name
    assert ours.model_max_length == theirs.model_max_length
    assert len(ours) == len(theirs)
    assert ours.convert_tokens_to_string(["good", "film", "##s"]) == theirs.convert_tokens_to_string(
        ["good", "film", "##s"]
    )


def byte_pairs(folder, **settings):
    from tokenizers import pre_tokenizers

    vocab = {word: number for number, word in enumerate(["<s>", "<pad>", "</s>", "<unk>", "<mask>"])}
    for letter in sorted(pre_tokenizers.ByteLevel.alphabet()):
        vocab[letter] = len(vocab)
    merges = [("g", "o"), ("go", "o"), ("Ġ", "f")]
    for pair in merges:
        vocab["".join(pair)] = len(vocab)
    transformers.RobertaTokenizer(vocab=vocab, merges=merges, **settings).save_pretrained(folder)
    return folder


@pytest.mark.parametrize("settings", [{}, {"add_prefix_space": True}, {"trim_offsets": False}], ids=str)
def test_byte_pairs_are_read_as_the_class_would(settings, tmp_path):
    ours = tokenizer_file.read(byte_pairs(tmp_path, **settings), "roberta")
    theirs = transformers.AutoTokenizer.from_pretrained(tmp_path)
    assert ours is not None
    same(ours, theirs)


@pytest.mark.parametrize(
    ("name", "changes"),
    [
        ("tokenizer_config.json", {"do_lower_case": False}),
        ("tokenizer_config.json", {"strip_accents": True}),
        ("tokenizer_config.json", {"tokenizer_class": "OwnTokenizer"}),
        ("tokenizer_config.json", {"auto_map": {"AutoTokenizer": ["own.Own", None]}}),
        ("tokenizer_config.json", {"cls_token": "[BEGIN]"}),
        ("tokenizer_config.json", {"extra_special_tokens": ["[MORE]"]}),
        ("tokenizer_config.json", {"added_tokens_decoder": {"77": {"content": "[MORE]"}}}),
        ("tokenizer.json", {"normalizer": {"type": "Lowercase"}}),
        ("tokenizer.json", {"pre_tokenizer": {"type": "Whitespace"}}),
        ("tokenizer.json", {"decoder": None}),
    ],
    ids=str,
)
def test_another_tokenizer_is_left_to_transformers(name, changes, tmp_path):
    folder = bert_tokenizer(tmp_path)
    assert tokenizer_file.read(folder, "bert") is not None
    changed(folder, name, **changes)
    assert tokenizer_file.read(folder, "bert") is None


def test_tokens_that_were_added_are_known(tmp_path):
    made = transformers.BertTokenizer({word: number for number, word in enumerate(WORDS)})
    made.add_tokens(["[MORE]", "verygood"])
    made.save_pretrained(tmp_path)
    ours = tokenizer_file.read(tmp_path, "bert")
    if ours is not None:
        same(ours, transformers.AutoTokenizer.from_pretrained(tmp_path))
