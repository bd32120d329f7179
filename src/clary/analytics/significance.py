"""Is the lead real? Tests of two runs on the same examples. Pure; randomness is an argument.

The figures of two models on one test set are not independent, so what is tested is the difference on each example:

- accuracy: McNemar's exact test (a binomial test on the examples that only one of the two got right);
- any other mean over examples (exact match, F1 of answers, loss): a sign-flip permutation test;
- macro F1, which is no mean: approximate randomisation (each example's two predictions are swapped or not).

Each interval is a paired bootstrap's: examples are drawn again with both predictions together. Sources:
Dietterich 1998 (tests for comparing classifiers), Dror et al. 2018 (significance in NLP), Connor 1987 (sample size of
McNemar's test), Holm 1979.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy import stats

Floats = NDArray[np.float64]
Labels = NDArray[np.int64]

LEVEL = 0.05
POWER = 0.8
RESAMPLES = 4_000
_AT_ONCE = 4_000_000
_EPSILON = 1e-12


@dataclass(frozen=True, slots=True)
class Difference:
    """`value` is one run's figure less the other's, `low` and `high` the bounds of its 95 % interval.

    `p` is two-sided. `needed`: about how many examples would show a true difference of this size four times out of
    five; None where there is no difference to show.
    """

    value: float
    low: float
    high: float
    p: float
    examples: int
    needed: int | None


def compare_means(first: Floats, second: Floats, rng: np.random.Generator) -> Difference:
    """Two runs by a mean over examples. `first` and `second` have a value for each example, in the same order."""
    difference = np.asarray(first, float) - np.asarray(second, float)
    examples = len(difference)
    value = float(difference.mean())
    drawn = _drawn_means(difference, rng)
    low, high = np.quantile(drawn, [LEVEL / 2, 1 - LEVEL / 2])
    if set(np.unique(difference)) <= {-1.0, 0.0, 1.0}:
        won, lost = int((difference > 0).sum()), int((difference < 0).sum())
        p = float(stats.binomtest(won, won + lost).pvalue) if won + lost else 1.0
    else:
        p = _sign_flip(difference, rng)
    return Difference(
        value, float(low), float(high), p, examples, needed_examples(value, float(difference.std()), examples)
    )


def compare_macro_f1(labels: Labels, first: Labels, second: Labels, rng: np.random.Generator) -> Difference:
    """Two runs by macro F1. Labels and predictions are whole numbers from 0, in the same order of examples."""
    cells, counts = np.unique(np.stack([labels, first, second], axis=1), axis=0, return_counts=True)
    examples = len(labels)
    classes = int(cells.max()) + 1
    one, other = _MacroF1(cells[:, 0], cells[:, 1], classes), _MacroF1(cells[:, 0], cells[:, 2], classes)
    value = float((one(counts) - other(counts))[0])

    def drawn(some: int) -> Floats:
        again = rng.multinomial(examples, counts / examples, size=some)
        return one(again) - other(again)

    def exchanged(some: int) -> Floats:
        swapped = rng.binomial(counts, 0.5, size=(some, len(counts)))
        kept = counts - swapped
        return _both(one, other, kept, swapped) - _both(other, one, kept, swapped)

    spread = _in_pieces(len(counts), drawn)
    low, high = np.quantile(spread, [LEVEL / 2, 1 - LEVEL / 2])
    null = _in_pieces(len(counts), exchanged)
    p = float((1 + (np.abs(null) >= abs(value) - _EPSILON).sum()) / (1 + RESAMPLES))
    error = float(spread.std()) * math.sqrt(examples)
    return Difference(value, float(low), float(high), p, examples, needed_examples(value, error, examples))


def needed_examples(value: float, deviation: float, examples: int) -> int | None:
    """How many examples show a mean difference of `value` in POWER of all cases, where it varies by `deviation`.

    Never fewer than would let McNemar's test speak at all. None for no difference.
    """
    if abs(value) < _EPSILON or examples == 0:
        return None
    reach = float(stats.norm.ppf(1 - LEVEL / 2) + stats.norm.ppf(POWER))
    return max(10, math.ceil((reach * max(deviation, _EPSILON) / abs(value)) ** 2))


def needed_among(needed: int, comparisons: int) -> int:
    """`needed_examples` where the p-value is corrected for this many comparisons: the test asks for more."""
    power = stats.norm.ppf(POWER)
    alone, among = (stats.norm.ppf(1 - LEVEL / 2 / number) + power for number in (1, comparisons))
    return math.ceil(needed * float(among / alone) ** 2)


def corrected(values: Sequence[float], *, among: int) -> list[float]:
    """Holm's correction of p-values, in the order given, where `among` comparisons might have been looked at.

    Who is compared with the leader is compared with one who was chosen for leading: that looks at all pairs.
    """
    order = sorted(range(len(values)), key=values.__getitem__)
    result = [1.0] * len(values)
    highest = 0.0
    for rank, index in enumerate(order):
        highest = max(highest, min(1.0, values[index] * (among - rank)))
        result[index] = highest
    return result


def _drawn_means(values: Floats, rng: np.random.Generator) -> Floats:
    """Means of bootstrap samples. Where few values differ (right or wrong) counts are drawn: nearly free."""
    different, counts = np.unique(values, return_counts=True)
    examples = len(values)
    if len(different) <= 64:
        drawn = rng.multinomial(examples, counts / examples, size=RESAMPLES)
        return np.asarray(drawn @ different / examples)
    return _in_pieces(examples, lambda some: values[rng.integers(0, examples, (some, examples))].mean(axis=1))


def _sign_flip(difference: Floats, rng: np.random.Generator) -> float:
    observed = abs(difference.mean())
    moved = difference[difference != 0]
    if not len(moved):
        return 1.0

    def flipped(some: int) -> Floats:
        signs = rng.integers(0, 2, (some, len(moved)), dtype=np.int8) * 2 - 1
        return np.asarray(signs @ moved / len(difference))

    null = np.abs(_in_pieces(len(moved), flipped))
    return float((1 + (null >= observed - _EPSILON).sum()) / (1 + RESAMPLES))


def _in_pieces(width: int, draw: Callable[[int], Floats]) -> Floats:
    """RESAMPLES draws of `width` numbers each, a bounded number of them in memory."""
    some = max(1, min(RESAMPLES, _AT_ONCE // max(width, 1)))
    pieces = [draw(min(some, RESAMPLES - first)) for first in range(0, RESAMPLES, some)]
    return np.concatenate(pieces)


class _MacroF1:
    """Macro F1 from counts of (label, prediction) cells, for many samples at once.

    The same as scikit-learn's `f1_score(average="macro", zero_division=0)` over the classes that a sample has.
    """

    def __init__(self, labels: Labels, predictions: Labels, classes: int) -> None:
        every = np.arange(classes)
        self.is_label = (labels[:, None] == every).astype(float)
        self.is_prediction = (predictions[:, None] == every).astype(float)

    def parts(self, counts: NDArray[np.integer] | Floats) -> Floats:
        """(samples, 2, classes): twice the hits, and labels plus predictions of each class. They add up over cells."""
        counts = np.atleast_2d(counts)
        hits = 2 * counts @ (self.is_label * self.is_prediction)
        return np.stack([hits, counts @ self.is_label + counts @ self.is_prediction], axis=1)

    def __call__(self, counts: NDArray[np.integer]) -> Floats:
        return _f1(self.parts(counts))


def _both(first: _MacroF1, second: _MacroF1, kept: Labels, swapped: Labels) -> Floats:
    """Macro F1 of a run that has the first's predictions for `kept` examples and the second's for `swapped`."""
    return _f1(first.parts(kept) + second.parts(swapped))


def _f1(parts: Floats) -> Floats:
    hits, sizes = parts[:, 0], parts[:, 1]
    seen = sizes > 0
    scores = np.divide(hits, sizes, out=np.zeros_like(hits, dtype=float), where=seen)
    return np.asarray(scores.sum(axis=1) / np.maximum(seen.sum(axis=1), 1))
