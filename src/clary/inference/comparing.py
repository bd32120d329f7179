"""How far a faster number format goes from the exact one, measured on a user's own texts before it may be used."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from clary.inference.encoder import Encoder, Floats

NEAR = 0.99  # the cosine from which two embeddings count as equal
TOLERATED = 0.05  # of the spread of a regression's values, within which two count as equal


@dataclass(frozen=True, slots=True)
class Agreement:
    """texts: how many were compared. labels_equal: the share of answers that are the same, 0 to 1.

    An answer is the label of a text (all labels, where it may have several), a token's label, or a span. Values of a
    regression count as equal within 5 % of their spread, embeddings from a cosine of 0.99 on.
    largest_change: of a probability; of a value in a regression; of the cosine between embeddings.
    """

    texts: int
    labels_equal: float
    largest_change: float


def agreement(
    exact: Encoder, fast: Encoder, texts: Sequence[str], pairs: Sequence[str] | None = None
) -> Agreement:
    """Both run the texts. `pairs`: second sentences, or the contexts of questions, which answering needs.

    Raises ValueError without texts, and ModelFault.
    """
    if not texts:
        raise ValueError("agreement: at least one text expected")
    equal, change = _compared(exact, fast, texts, pairs)
    return Agreement(len(texts), round(float(np.mean(equal)), 6), round(float(change), 6))


def _compared(
    exact: Encoder, fast: Encoder, texts: Sequence[str], pairs: Sequence[str] | None
) -> tuple[NDArray[np.bool_], float]:
    """For each answer whether it is the same, and the largest change."""
    if exact.task == "classification":
        return _labels(exact.classify(texts, pairs), fast.classify(texts, pairs), exact.problem)
    if exact.task == "features":
        return _embeddings(exact.embed(texts, pairs), fast.embed(texts, pairs))
    if exact.task == "tagging":
        right, ours = (
            np.concatenate([each.outputs for each in encoder.tag(texts)]) for encoder in (exact, fast)
        )
        return _labels(right, ours, None)
    if pairs is None:
        raise ValueError(
            "agreement: a model that answers questions needs pairs, the contexts of the questions"
        )
    stride = min(128, exact.max_length // 4)
    answered = (
        [each.outputs for each in encoder.answer(texts, pairs, stride=stride)] for encoder in (exact, fast)
    )
    return _spans(*answered)


def _labels(right: Floats, ours: Floats, problem: str | None) -> tuple[NDArray[np.bool_], float]:
    """Logits (rows, labels)."""
    if problem == "regression" or right.shape[1] == 1:
        change = np.abs(right - ours)
        near: NDArray[np.bool_] = (change <= TOLERATED * max(float(np.ptp(right)), 1e-6)).all(1)
        return near, float(change.max())
    if problem == "multi_label_classification":
        same: NDArray[np.bool_] = ((right > 0) == (ours > 0)).all(1)
        return same, float(np.abs(_sigmoid(right) - _sigmoid(ours)).max())
    equal: NDArray[np.bool_] = right.argmax(1) == ours.argmax(1)
    return equal, float(np.abs(_softmax(right) - _softmax(ours)).max())


def _spans(right: Sequence[Floats], ours: Sequence[Floats]) -> tuple[NDArray[np.bool_], float]:
    """Start and end logits (tokens, 2) of each part."""
    pairs = list(zip(right, ours, strict=True))
    equal = np.asarray([bool((a.argmax(0) == b.argmax(0)).all()) for a, b in pairs])
    return equal, max(float(np.abs(_softmax(a.T) - _softmax(b.T)).max()) for a, b in pairs)


def _embeddings(right: Floats, ours: Floats) -> tuple[NDArray[np.bool_], float]:
    lengths = np.linalg.norm(right, axis=1) * np.linalg.norm(ours, axis=1)
    cosine = (right * ours).sum(1) / np.maximum(lengths, 1e-12)
    near: NDArray[np.bool_] = cosine >= NEAR
    return near, float(1 - cosine.min())


def _softmax(logits: Floats) -> Floats:
    powers: Floats = np.exp(logits - logits.max(1, keepdims=True))
    normed: Floats = powers / powers.sum(1, keepdims=True)
    return normed


def _sigmoid(logits: Floats) -> Floats:
    squeezed: Floats = 0.5 * (1 + np.tanh(0.5 * logits))  # which cannot overflow
    return squeezed
