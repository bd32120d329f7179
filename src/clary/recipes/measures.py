"""How good a classifier is: scikit-learn's and torchmetrics' figures, each with its interval."""

from __future__ import annotations

import warnings
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from sklearn import config_context, metrics
from sklearn.dummy import DummyClassifier
from torchmetrics.functional.classification import multiclass_calibration_error

from clary.recipes.intervals import Bootstrap, Measure, percentile, share

BINS = 15  # of the calibration error, the usual number
_AVERAGES = ("precision", "recall", "f1")

Ints = NDArray[np.int64]
Floats = NDArray[np.float64]


@dataclass(frozen=True, slots=True)
class PerClass:
    """One class's row of the table; `examples` have this label, `predicted` got it."""

    name: str
    precision: Measure
    recall: Measure
    f1: Measure
    examples: int
    predicted: int


@dataclass(frozen=True, slots=True)
class Measured:
    """`metrics` by name. `classes` and `confusion` are of the classes that occur as label or prediction:
    `confusion[i, j]` counts examples of the i-th of them that were called the j-th. `baseline` is what always answering
    `majority`, the most frequent label, gives; `losses` is -log(probability of the label) of each example.
    """

    metrics: Mapping[str, Measure]
    classes: Sequence[PerClass]
    confusion: Ints
    baseline: Mapping[str, float]
    majority: str
    losses: Floats


def measure(labels: Ints, probabilities: Floats, names: Sequence[str], bootstrap: Bootstrap) -> Measured:
    """labels (n,) index names; probabilities (n, classes), rows summing to 1."""
    predicted = probabilities.argmax(axis=1)
    occurring = np.union1d(labels, predicted)
    confusion = metrics.confusion_matrix(labels, predicted, labels=occurring)
    point = _figures(labels, predicted, None, occurring)
    drawn = _resampled(confusion, occurring, bootstrap)
    found = {name: percentile(float(value), drawn[name]) for name, value in point.items() if value.ndim == 0}
    if found["accuracy"].deviation == 0:  # all right, or all wrong: a resample is no wiser
        ends = share(int(np.trace(confusion)), len(labels))
        found["accuracy"] = Measure(found["accuracy"].value, 0.0, *ends)
    losses = log_losses(labels, probabilities)
    spread = bootstrap.mean(losses)
    value = float(metrics.log_loss(labels, probabilities, labels=np.arange(len(names))))
    found["log_loss"] = Measure(value, spread.deviation, spread.low, spread.high)
    found["calibration_error"] = _calibration_error(labels, probabilities, bootstrap)
    constant, majority = _baseline(labels, occurring)
    return Measured(
        found,
        _per_class([names[each] for each in occurring], point, drawn, confusion),
        confusion,
        constant,
        names[majority],
        losses,
    )


def log_losses(labels: Ints, probabilities: Floats) -> Floats:
    """-log(probability of the label) for each example, cut as scikit-learn's log_loss cuts it."""
    least = np.finfo(probabilities.dtype).eps
    chosen = np.clip(probabilities[np.arange(len(labels)), labels], least, 1 - least)
    return np.asarray(-np.log(chosen), dtype=np.float64)


def _figures(labels: Ints, predicted: Ints, weights: Ints | None, classes: Ints) -> dict[str, Floats]:
    """Every figure that follows from counts; those that end in _per_class have an axis.

    One call of scikit-learn gives the table per class; macro, weighted and micro are its averages by definition
    (a test holds them against scikit-learn's own), which spares three calls on each of a thousand resamples.
    """
    *table, support = metrics.precision_recall_fscore_support(
        labels, predicted, labels=classes, sample_weight=weights, average=None, zero_division=0
    )
    accuracy = np.average(labels == predicted, weights=weights)
    found = {
        "accuracy": accuracy,
        "f1_micro": accuracy,
        "mcc": metrics.matthews_corrcoef(labels, predicted, sample_weight=weights),
    }
    for name, row in zip(_AVERAGES, table, strict=True):
        found[f"{name}_macro"] = row.mean()
        found[f"{name}_weighted"] = np.average(row, weights=support)
        found[f"{name}_per_class"] = row
        if np.array_equal(classes, [0, 1]):
            found[name] = row[1]
    return {name: np.asarray(value, dtype=np.float64) for name, value in found.items()}


def _resampled(confusion: Ints, classes: Ints, bootstrap: Bootstrap) -> dict[str, Floats]:
    """Each figure on each resample, (resamples,) or (resamples, classes). The cells of the matrix are the examples."""
    cells = np.flatnonzero(confusion)
    rows, columns = (classes[axis] for axis in np.unravel_index(cells, confusion.shape))
    with config_context(skip_parameter_validation=True, assume_finite=True), warnings.catch_warnings():
        warnings.simplefilter("ignore", UserWarning)  # a resample may hold one class only
        drawn = [
            _figures(rows, columns, counts, classes) for counts in bootstrap.counts(confusion.ravel()[cells])
        ]
    return {name: np.stack([each[name] for each in drawn]) for name in drawn[0]}


def _calibration_error(labels: Ints, probabilities: Floats, bootstrap: Bootstrap) -> Measure:
    """How far the probability of the answer is from the share of right answers, weighted by bin (15 of equal width)."""
    given, truth = torch.from_numpy(probabilities), torch.from_numpy(labels)

    def error(chosen: Any) -> float:
        return float(
            multiclass_calibration_error(
                given[chosen], truth[chosen], num_classes=given.shape[1], n_bins=BINS, validate_args=False
            )
        )

    return bootstrap.biased(error(slice(None)), len(labels), error)


def _baseline(labels: Ints, classes: Ints) -> tuple[dict[str, float], int]:
    """What a model gives that always answers the most frequent label, and that label."""
    nothing = np.zeros((len(labels), 1))
    constant = DummyClassifier(strategy="most_frequent").fit(nothing, labels)
    predicted = constant.predict(nothing)
    figures = _figures(labels, predicted, None, classes)
    return {name: float(value) for name, value in figures.items() if value.ndim == 0}, int(predicted[0])


def _per_class(
    names: Sequence[str], point: Mapping[str, Floats], drawn: Mapping[str, Floats], confusion: Ints
) -> list[PerClass]:
    rows = []
    for n, name in enumerate(names):
        precision, recall, f1 = (
            percentile(float(point[f"{each}_per_class"][n]), drawn[f"{each}_per_class"][:, n])
            for each in _AVERAGES
        )
        rows.append(
            PerClass(name, precision, recall, f1, int(confusion[n].sum()), int(confusion[:, n].sum()))
        )
    return rows
