"""The evaluation of a classifier of texts or pairs of texts."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from typing import Any

import numpy as np
import pyarrow
from sklearn.calibration import calibration_curve

from clary.analytics.calibration import Bin, calibration
from clary.analytics.confusion import confusion
from clary.analytics.looks import View
from clary.analytics.slices import Part, slices
from clary.recipes.evaluation import VERSION, Evaluation
from clary.recipes.intervals import Bootstrap, Measure, share
from clary.recipes.labelled import Labelled, identities
from clary.recipes.measures import BINS, Floats, Measured, measure
from clary.recipes.report import Example, Row, interval, percent
from clary.recipes.running import Classified
from clary.recipes.slicing import LABEL, MOST, Slice, measure_slices, slice_columns

TASK = "text-classification"
CUT = 500  # characters of a text that predictions and report keep
HARDEST, SHOWN = 50, 20  # wrong answers in evaluation.json, and in the report
NO_SHARES = ("mcc", "log_loss")
SPOKEN = {
    "accuracy": "Accuracy",
    "f1": "F1",
    "precision": "Precision",
    "recall": "Recall",
    "f1_macro": "F1, macro",
    "f1_weighted": "F1, weighted",
    "f1_micro": "F1, micro",
    "precision_macro": "Precision, macro",
    "recall_macro": "Recall, macro",
    "precision_weighted": "Precision, weighted",
    "recall_weighted": "Recall, weighted",
    "mcc": "Matthews correlation",
    "log_loss": "Log loss",
    "calibration_error": "Calibration error",
}


def evaluate_classification(
    examples: Labelled,
    classified: Classified,
    *,
    by: Sequence[str] = (),
    bootstrap: Bootstrap,
    facts: Mapping[str, Any],
    texts: bool = True,
) -> Evaluation:
    """`facts` has the document's `model`, `data` and `run`; `texts` False leaves the texts out of every file."""
    measured = measure(examples.labels, classified.probabilities, examples.names, bootstrap)
    predicted = classified.probabilities.argmax(axis=1)
    right = (predicted == examples.labels).astype(np.float64)
    labels = [examples.names[n] for n in examples.labels]
    columns = slice_columns(examples.rows, examples.texts, by, labels=labels)
    parts = measure_slices(columns, right, bootstrap)
    order = _hardest(examples, classified.probabilities)
    classes = [_class_document(measured, n) for n in range(len(measured.classes))]
    document = {
        "version": VERSION,
        "task": TASK,
        "metrics": {name: measured.metrics[name].document() for name in SPOKEN if name in measured.metrics},
        "baseline": {"label": measured.majority, "metrics": _values(measured.baseline)},
        "labels": list(examples.names),
        "classes": classes,
        "confusion_matrix": {
            "labels": [each.name for each in measured.classes],
            "counts": measured.confusion.tolist(),
        },
        "slices": [each.document() for each in parts],
        "hardest": [
            _example_document(examples, classified, measured, n, texts=texts) for n in order[:HARDEST]
        ],
        "notes": list(_notes(examples, classified, measured)),
        **facts,
    }
    return Evaluation(
        headline=_headline(measured, examples),
        document=document,
        predictions=_table(examples, classified, measured, columns, texts=texts),
        charts=_charts(examples, classified.probabilities, measured, parts),
        rows=list(_rows(measured)),
        hardest=[_example(examples, classified, n, texts=texts) for n in order[:SHOWN]],
        classes=classes,
    )


def _headline(measured: Measured, examples: Labelled) -> str:
    accuracy = measured.metrics["accuracy"]
    return (
        f"Accuracy {percent(accuracy.value)} (95 % interval {interval(accuracy)}) on {len(examples):,} examples; "
        f"always answering {measured.majority!r} gives {percent(measured.baseline['accuracy'])}"
    )


def _values(figures: Mapping[str, float]) -> dict[str, dict[str, float]]:
    return {name: {"value": value} for name, value in figures.items()}


def _class_document(measured: Measured, place: int) -> dict[str, Any]:
    each = measured.classes[place]
    return {
        "name": each.name,
        "precision": each.precision.document(),
        "recall": each.recall.document(),
        "f1": each.f1.document(),
        "examples": each.examples,
        "predicted": each.predicted,
    }


def _notes(examples: Labelled, classified: Classified, measured: Measured) -> Iterator[str]:
    """What a reader should know before believing the figures."""
    accuracy, constant = measured.metrics["accuracy"], measured.baseline["accuracy"]
    if accuracy.low <= constant:
        yield (
            f"Not shown to be better than always answering {measured.majority!r} ({percent(constant)}): "
            "that lies within or above the interval of the accuracy."
        )
    cut = int(classified.truncated.sum())
    if cut:
        yield f"{cut:,} of {len(examples):,} texts are longer than the model reads; their ends were cut off."
    absent = [name for n, name in enumerate(examples.names) if n not in set(examples.labels.tolist())]
    if absent:
        shown = ", ".join(absent[:8]) + (", ..." if len(absent) > 8 else "")
        yield f"No example of {len(absent)} of the model's {len(examples.names)} classes: {shown}."
    torn = _contradictions(examples)
    if torn:
        yield f"Inputs that this data labels in several ways: {torn:,}. Some answers to them must be wrong."
    if len(examples) < 100:
        yield f"Only {len(examples)} examples: the intervals are wide, and rough themselves."


def _contradictions(examples: Labelled) -> int:
    seen: dict[tuple[str, str], set[int]] = {}
    for text, pair, label in zip(
        examples.texts, examples.pairs or [""] * len(examples), examples.labels.tolist(), strict=True
    ):
        seen.setdefault((text, pair), set()).add(label)
    return sum(len(labels) > 1 for labels in seen.values())


def _hardest(examples: Labelled, probabilities: Floats) -> list[int]:
    """The wrong answers, the surest first."""
    predicted = probabilities.argmax(axis=1)
    order = np.argsort(-probabilities.max(axis=1), kind="stable")
    return [int(n) for n in order if predicted[n] != examples.labels[n]]


def _parts(examples: Labelled, place: int, *, texts: bool) -> dict[str, str]:
    if not texts:
        return {}
    found = {"text": examples.texts[place]}
    if examples.pairs is not None:
        found["text_pair"] = examples.pairs[place]
    return {name: cut(text) for name, text in found.items()}


def cut(text: str) -> str:
    return text if len(text) <= CUT else text[:CUT] + "…"


def _example_document(
    examples: Labelled, classified: Classified, measured: Measured, place: int, *, texts: bool
) -> dict[str, Any]:
    probabilities = classified.probabilities[place]
    return {
        "row": examples.rows[place].place,
        "label": examples.names[examples.labels[place]],
        "predicted": examples.names[int(probabilities.argmax())],
        "probability": float(probabilities.max()),
        "loss": float(measured.losses[place]),
        **_parts(examples, place, texts=texts),
    }


def _example(examples: Labelled, classified: Classified, place: int, *, texts: bool) -> Example:
    probabilities = classified.probabilities[place]
    return Example(
        said=examples.names[int(probabilities.argmax())],
        expected=examples.names[examples.labels[place]],
        sureness=percent(float(probabilities.max())),
        place=examples.rows[place].place,
        parts=_parts(examples, place, texts=texts),
    )


def _rows(measured: Measured) -> Iterator[Row]:
    for name, spoken in SPOKEN.items():
        if name not in measured.metrics:
            continue
        figure, is_share = measured.metrics[name], name not in NO_SHARES
        shown = percent if is_share else "{:.3f}".format
        constant = measured.baseline.get(name)
        if name in {"f1", "precision", "recall"}:
            spoken = f"{spoken} of {measured.classes[1].name!r}"
        yield Row(
            spoken,
            shown(figure.value),
            interval(figure, share=is_share),
            "–" if constant is None else shown(constant),
        )


def _charts(
    examples: Labelled, probabilities: Floats, measured: Measured, parts: Sequence[Slice]
) -> dict[str, View]:
    names = [each.name for each in measured.classes]
    error: Measure = measured.metrics["calibration_error"]
    said = f"calibration error {percent(error.value)} ({interval(error)})"
    whole = measured.metrics["accuracy"].value
    return {
        "confusion_matrix": confusion(measured.confusion.tolist(), names),
        "calibration": calibration(bins(examples, probabilities), subtitle=said),
        "slices": slices(parts_of(parts), whole=whole, metric="accuracy"),
    }


def parts_of(found: Sequence[Slice]) -> list[Part]:
    """The slices as the chart has them: of a column with more than MOST values the worst."""
    parts: list[Part] = []
    for column in dict.fromkeys(each.column for each in found):
        chosen = [each for each in found if each.column == column]
        name = column
        if len(chosen) > MOST:
            name = f"{column}: the {MOST} worst of {len(chosen)}"
            chosen = sorted(chosen, key=lambda each: each.figure)[:MOST]
        parts += [replace(each, column=name) for each in chosen]
    return parts


def bins(examples: Labelled, probabilities: Floats) -> list[Bin]:
    """The bins that the calibration error has, those without examples left out."""
    sureness = probabilities.max(axis=1)
    right = probabilities.argmax(axis=1) == examples.labels
    shares, confidences = calibration_curve(right, sureness, n_bins=BINS, pos_label=True)
    edges = np.linspace(0, 1, BINS + 1)
    # as calibration_curve finds them: a value on an edge belongs to the bin below
    counts = np.bincount(np.searchsorted(edges[1:-1], sureness), minlength=BINS)
    filled = np.flatnonzero(counts)
    return [
        Bin(
            float(edges[n]),
            float(edges[n + 1]),
            int(counts[n]),
            float(confidence),
            float(chosen),
            *share(round(chosen * counts[n]), int(counts[n])),
        )
        for n, chosen, confidence in zip(filled, shares, confidences, strict=True)
    ]


def _table(
    examples: Labelled,
    classified: Classified,
    measured: Measured,
    columns: Mapping[str, Sequence[str]],
    *,
    texts: bool,
) -> pyarrow.Table:
    probabilities = classified.probabilities
    predicted = probabilities.argmax(axis=1)
    inputs = [examples.texts] if examples.pairs is None else [examples.texts, examples.pairs]
    found: dict[str, Any] = {
        "example": identities(list(zip(*inputs, strict=True))),
        "label": [examples.names[n] for n in examples.labels],
        "predicted": [examples.names[n] for n in predicted],
        "correct": predicted == examples.labels,
        "probability": probabilities.max(axis=1),
        "loss": measured.losses,
        "truncated": classified.truncated,
    }
    if texts:
        found["text"] = [cut(text) for text in examples.texts]
        if examples.pairs is not None:
            found["text_pair"] = [cut(text) for text in examples.pairs]
    unique = len(set(examples.names)) == len(examples.names)
    for n, name in enumerate(examples.names):
        found[f"probability_{name if unique else n}"] = probabilities[:, n]
    for name, values in columns.items():
        if name != LABEL:
            found[f"slice_{name}"] = list(values)
    return pyarrow.table(found)
