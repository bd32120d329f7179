"""The fast ways give what the transformers model gives for each text alone."""

from __future__ import annotations

import numpy as np
import pytest

torch = pytest.importorskip("torch")
pytest.importorskip("transformers")

from clary.inference import Encoder, TaskFault  # noqa: E402
from tests.unit.inference.models import (  # noqa: E402
    FAMILIES,
    PAIRS,
    TEXTS,
    alone,
    limit,
    model,
    tokenizer_for,
)

WAYS = [True, False]


def encoder(family, kind="SequenceClassification", task="classification", *, made=None, **options):
    made = model(family, kind) if made is None else made
    return Encoder(made, tokenizer_for(family), task, device="cpu", **options)


def expected(family, made, *, pairs=None):
    reader = tokenizer_for(family)
    seconds = pairs or [None] * len(TEXTS)
    return np.concatenate(
        [alone(made, reader, family, *both).logits.numpy() for both in zip(TEXTS, seconds, strict=True)]
    )


@pytest.mark.parametrize("padding_free", WAYS)
@pytest.mark.parametrize("family", FAMILIES)
@pytest.mark.parametrize("pairs", [None, PAIRS], ids=["single", "pairs"])
def test_logits_are_those_of_the_model(family, pairs, padding_free):
    right = expected(family, model(family), pairs=pairs)
    ours = encoder(family, padding_free=padding_free)
    assert ours.way.startswith("padding-free") == padding_free
    logits = ours.classify(TEXTS, pairs)
    assert logits.dtype == np.float32
    assert logits.shape == (len(TEXTS), 3)
    np.testing.assert_allclose(logits, right, atol=1e-5, rtol=0)
    assert np.ptp(right, axis=0).min() > 0.05  # the texts differ, or this would show nothing


@pytest.mark.parametrize("family", FAMILIES)
def test_torchs_own_products_give_the_same(family, monkeypatch):
    monkeypatch.setattr("clary.inference.encoder.packing_works", lambda dtype: False)
    ours = encoder(family)
    assert "oneDNN's do not work" in ours.way
    np.testing.assert_allclose(ours.classify(TEXTS), expected(family, model(family)), atol=1e-5, rtol=0)


@pytest.mark.parametrize("name", ["gelu", "gelu_new", "relu", "silu", "gelu_pytorch_tanh"])
def test_activations(name):
    made = model("bert", hidden_act=name)
    right = expected("bert", made)
    np.testing.assert_allclose(encoder("bert", made=made).classify(TEXTS), right, atol=1e-5, rtol=0)


def test_first_token_alone_and_length_one():
    made = model("bert", num_hidden_layers=1)
    reader = tokenizer_for("bert")
    right = alone(made, reader, "bert", "good", add_special_tokens=False).logits.numpy()
    from clary.inference import packed, precision, source, weights

    read = weights.read(source.of_model(made), precision.form("fp32"), packed=False)
    ids = [np.array(reader("good", add_special_tokens=False)["input_ids"])]
    with torch.inference_mode():
        ours = packed.run(read, packed.pack(ids, None, read.embedding)).numpy()
    assert len(ids[0]) == 1
    np.testing.assert_allclose(ours, right, atol=1e-5, rtol=0)


def test_a_model_in_training_mode_is_put_to_rest():
    right = expected("bert", model("bert"))
    for padding_free in WAYS:
        ours = encoder("bert", made=model("bert").train(), padding_free=padding_free)
        np.testing.assert_allclose(ours.classify(TEXTS), right, atol=1e-5, rtol=0)


@pytest.mark.parametrize(
    ("problem", "labels"), [("multi_label_classification", 5), ("regression", 1), ("regression", 2)]
)
@pytest.mark.parametrize("family", ["bert", "distilbert", "roberta"])
def test_other_problems(family, problem, labels):
    made = model(family, num_labels=labels, problem_type=problem)
    right = expected(family, made)
    ours = encoder(family, made=made).classify(TEXTS)
    assert ours.shape == (len(TEXTS), labels)
    np.testing.assert_allclose(ours, right, atol=1e-5, rtol=0)


def test_what_is_not_bert_runs_the_ordinary_way():
    made = model("bert")
    made.bert.encoder.layer[0].register_forward_hook(lambda module, given, result: result)
    ours = encoder("bert", made=made)
    assert "bert.encoder.layer.0 is not an ordinary layer" in ours.way
    np.testing.assert_allclose(ours.classify(TEXTS), expected("bert", model("bert")), atol=1e-5, rtol=0)


def test_another_architecture_runs_the_ordinary_way():
    from transformers import AutoModelForSequenceClassification, DebertaV2Config

    torch.manual_seed(1)
    made = AutoModelForSequenceClassification.from_config(
        DebertaV2Config(
            vocab_size=64,
            hidden_size=32,
            num_hidden_layers=2,
            num_attention_heads=4,
            intermediate_size=48,
            max_position_embeddings=40,
            relative_attention=True,
            num_labels=3,
            initializer_range=0.3,
        )
    ).eval()
    ours = Encoder(made, tokenizer_for("bert"), "classification", device="cpu")
    assert ours.way == (
        "in batches of like length: DebertaV2ForSequenceClassification is not one of the architectures "
        "that run padding-free"
    )
    np.testing.assert_allclose(ours.classify(TEXTS), expected("bert", made), atol=1e-5, rtol=0)


@pytest.mark.parametrize("threads", [1, 3])
@pytest.mark.parametrize("padding_free", WAYS)
def test_windows_batches_and_threads_keep_the_order(threads, padding_free, monkeypatch):
    monkeypatch.setattr("clary.inference.encoder.BUDGET_CPU", 50)
    before = torch.get_num_threads()
    made = model("distilbert")
    right = expected("distilbert", made)
    ours = encoder("distilbert", made=made, threads=threads, padding_free=padding_free)
    seen = []
    windows = list(ours.classified((text for text in TEXTS * 3), window=7, progress=seen.append))
    assert [len(window) for window in windows] == [7, 7, 7, 7, 2]
    np.testing.assert_allclose(np.concatenate(windows), np.tile(right, (3, 1)), atol=1e-5, rtol=0)
    assert seen == sorted(seen)
    assert seen[-1] == 3 * len(TEXTS)
    assert torch.get_num_threads() == before


@pytest.mark.parametrize("padding_free", WAYS)
@pytest.mark.parametrize("family", FAMILIES)
def test_tagging_gives_logits_and_places_of_each_token(family, padding_free):
    made, reader = model(family, "TokenClassification"), tokenizer_for(family)
    right = [alone(made, reader, family, text).logits.numpy()[0] for text in TEXTS]
    ours = encoder(family, task="tagging", made=made, padding_free=padding_free).tag(TEXTS)
    assert [each.text for each in ours] == list(range(len(TEXTS)))
    for each, logits in zip(ours, right, strict=True):
        np.testing.assert_allclose(each.outputs, logits, atol=1e-5, rtol=0)
    first, last = ours[0].offsets[1]
    assert TEXTS[0][first:last] == "good"
    assert ours[0].sequence.tolist() == [-1, 0, 0, -1]


@pytest.mark.parametrize("padding_free", WAYS)
@pytest.mark.parametrize("family", FAMILIES)
def test_answering_cuts_long_contexts_into_overlapping_parts(family, padding_free):
    made, reader = model(family, "QuestionAnswering", num_labels=2), tokenizer_for(family)
    contexts = ["the film was good", "slow plot and " * 20]
    questions = ["was it good", "is it slow"]
    ours = encoder(family, task="answering", made=made, padding_free=padding_free).answer(
        questions, contexts, stride=8
    )
    assert ours[0].text == 0
    assert {each.text for each in ours[1:]} == {1}
    assert len(ours) > 2
    right = alone(made, reader, family, questions[0], contexts[0])
    np.testing.assert_allclose(ours[0].outputs[:, 0], right.start_logits.numpy()[0], atol=1e-5, rtol=0)
    np.testing.assert_allclose(ours[0].outputs[:, 1], right.end_logits.numpy()[0], atol=1e-5, rtol=0)
    covered = np.zeros(len(contexts[1]), bool)
    for each in ours[1:]:
        assert len(each.outputs) <= limit(family)
        for first, last in each.offsets[each.sequence == 1]:
            covered[first:last] = True
    assert covered.tolist() == [letter != " " for letter in contexts[1]]


@pytest.mark.parametrize("padding_free", WAYS)
@pytest.mark.parametrize("family", FAMILIES)
def test_embedding(family, padding_free):
    made, reader = model(family, ""), tokenizer_for(family)
    hidden = [alone(made, reader, family, text).last_hidden_state.numpy()[0] for text in TEXTS]
    ours = encoder(family, task="features", made=made, padding_free=padding_free)
    np.testing.assert_allclose(ours.embed(TEXTS), [each.mean(0) for each in hidden], atol=1e-5, rtol=0)
    np.testing.assert_allclose(
        ours.embed(TEXTS, pooling="first"), [each[0] for each in hidden], atol=1e-5, rtol=0
    )


@pytest.mark.parametrize("padding_free", WAYS)
def test_bfloat16_stays_near(padding_free):
    right = expected("bert", model("bert"))
    ours = encoder("bert", precision="bf16", padding_free=padding_free).classify(TEXTS)
    assert ours.dtype == np.float32
    assert 1e-5 < np.abs(ours - right).max() < 0.1 * np.ptp(right)


def test_nothing_to_do():
    assert encoder("bert").classify([]).shape == (0, 3)
    assert encoder("bert", "", "features").embed([]).shape[0] == 0
    assert encoder("bert", "TokenClassification", "tagging").tag([]) == []


def test_the_wrong_question_is_refused():
    with pytest.raises(TaskFault, match="tag needs a model for tagging; this one is for classification"):
        encoder("bert").tag(TEXTS)
    with pytest.raises(ValueError, match="shorter"):
        encoder("bert").classify(TEXTS, PAIRS[:-1])
    with pytest.raises(TypeError, match="not one string"):
        encoder("bert").classify("good film")


def test_a_failing_batch_is_told_and_the_threads_setting_restored(monkeypatch):
    monkeypatch.setattr("clary.inference.encoder.BUDGET_CPU", 20)
    ours = encoder("bert", threads=2)
    before = torch.get_num_threads()

    def fail(*_given):
        raise MemoryError("no room")

    monkeypatch.setattr("clary.inference.packed.run", fail)
    with pytest.raises(MemoryError, match="no room"):
        ours.classify(TEXTS)
    assert torch.get_num_threads() == before
