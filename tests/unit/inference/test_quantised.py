"""Products in 8-bit integers, and how far they go from exact ones."""

from __future__ import annotations

import numpy as np
import pytest

torch = pytest.importorskip("torch")
pytest.importorskip("transformers")

from clary.inference import Agreement, Encoder, ModelFault, agreement, quantised  # noqa: E402
from clary.inference.linear import PlainDense  # noqa: E402
from tests.unit.inference.models import FAMILIES, PAIRS, TEXTS, model, tokenizer_for  # noqa: E402

needs_integers = pytest.mark.skipif(
    not quantised.quantising_works(), reason="this torch has no products of integers"
)
KINDS = {"classification": "SequenceClassification", "tagging": "TokenClassification", "features": ""}


def encoder(family, task="classification", *, precision="fp32", **changes):
    made = model(family, "QuestionAnswering" if task == "answering" else KINDS[task], **changes)
    return Encoder(made, tokenizer_for(family), task, device="cpu", precision=precision)


@pytest.mark.parametrize("shift", [-7.0, 0.0, 7.0])
def test_bytes_cover_the_range_and_zero(shift):
    x = torch.linspace(-3, 3, 96).view(8, 12) + shift
    whole, scale, zero = quantised.quantised(x)
    assert whole.dtype == torch.uint8
    assert 0 <= zero <= 255
    back = scale * (whole.float() - zero)
    assert (back - x).abs().max() <= scale * 0.51
    assert quantised.quantised(torch.zeros(4, 4))[0].eq(0).all()


@needs_integers
@pytest.mark.parametrize("rows", [1, 16, 77])
@pytest.mark.parametrize("name", ["gelu", "silu"])
def test_a_layer_is_near_the_exact_one(rows, name):
    torch.manual_seed(1)
    x, weight, bias = torch.randn(rows, 64), torch.randn(96, 64), torch.randn(96)
    activation = getattr(torch.nn.functional, name)
    ours = quantised.QuantisedDense(weight, bias, activation, name)
    right = PlainDense(weight, bias, activation)
    other = torch.randn(rows, 96)
    for a, b in [
        (ours(x), right(x)),
        (ours.plus(x, other), right.plus(x, other)),
        (ours.activated(x), right.activated(x)),
    ]:
        assert a.dtype == torch.float32
        assert 0 < (a - b).abs().max() < 0.03 * b.abs().max()
    half = quantised.QuantisedDense(weight, None, activation, name, torch.bfloat16)
    assert half(x).dtype == torch.bfloat16


@needs_integers
@pytest.mark.parametrize("family", FAMILIES)
@pytest.mark.parametrize("task", KINDS)
def test_int8_is_near_exact(family, task):
    exact, fast = encoder(family, task), encoder(family, task, precision="int8")
    assert fast.way == "padding-free"
    if task == "tagging":
        right, ours = (np.concatenate([each.outputs for each in given.tag(TEXTS)]) for given in (exact, fast))
    else:
        right, ours = (
            given.classify(TEXTS) if task == "classification" else given.embed(TEXTS)
            for given in (exact, fast)
        )
    assert ours.dtype == np.float32
    assert 1e-5 < np.abs(ours - right).max() < 0.25 * np.ptp(right)


@needs_integers
def test_int8_does_not_run_what_is_not_padding_free():
    with pytest.raises(ModelFault, match="precision int8 cannot run here: asked for"):
        Encoder(model("bert"), tokenizer_for("bert"), "classification", padding_free=False, precision="int8")


def test_int8_where_torch_lacks_it_is_refused(monkeypatch):
    monkeypatch.setattr("clary.inference.encoder.quantising_works", lambda: False)
    with pytest.raises(ModelFault, match="this torch has no products of integers"):
        encoder("bert", precision="int8")


def test_an_encoder_agrees_with_itself():
    for task in KINDS:
        exact = encoder("bert", task)
        found = agreement(exact, exact, TEXTS)
        assert found.texts == len(TEXTS)
        assert found.labels_equal == 1
        assert found.largest_change == pytest.approx(0, abs=1e-6)
    asked = encoder("bert", "answering", num_labels=2)
    questions = ["was it good"] * len(TEXTS)
    assert agreement(asked, asked, questions, TEXTS) == Agreement(len(TEXTS), 1.0, 0.0)


@pytest.mark.parametrize(
    "problem", ["single_label_classification", "multi_label_classification", "regression"]
)
def test_another_model_does_not_agree(problem):
    exact, other = (encoder("bert", problem_type=problem, seed=seed) for seed in (7, 8))
    found = agreement(exact, other, TEXTS, PAIRS)
    assert found.labels_equal < 0.9
    assert found.largest_change > 0.05


def test_shares_are_of_answers():
    from clary.inference import comparing

    right = np.array([[1, 2], [2, 1], [0, 3], [1, 0]], np.float32)
    ours = right.copy()
    ours[0] = [3, 2]
    equal, change = comparing._labels(right, ours, None)
    assert equal.tolist() == [False, True, True, True]
    assert change == pytest.approx(1 / (1 + np.exp(-1)) - 1 / (1 + np.exp(1)), abs=1e-6)
    equal, _ = comparing._labels(
        np.array([[-1, 1]], np.float32), np.array([[-2, -1]], np.float32), "multi_label_classification"
    )
    assert equal.tolist() == [False]
    equal, change = comparing._labels(np.array([[0.0], [10.0]]), np.array([[0.4], [10.6]]), "regression")
    assert equal.tolist() == [True, False]
    assert change == pytest.approx(0.6)


def test_agreement_needs_texts_and_contexts():
    exact = encoder("bert")
    with pytest.raises(ValueError, match="at least one text"):
        agreement(exact, exact, [])
    asked = encoder("bert", "answering", num_labels=2)
    with pytest.raises(ValueError, match="needs pairs, the contexts"):
        agreement(asked, asked, TEXTS)
