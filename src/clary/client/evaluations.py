"""Evaluations as `clary.recipes.evaluate` leaves them: figures with intervals, and a prediction for each example.

`evaluation.json` gives the figures; any with `{"..._metrics": {name: {"value": number}}}` in it will do, which is what
SageMaker's own evaluation steps write, and so will what `Trainer.evaluate` returns. `predictions.parquet` gives what
paired tests need.
"""

from __future__ import annotations

import io
import json
import math
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol

import numpy as np

from clary.analytics.comparison import Figure, Predictions

DOCUMENT = "evaluation.json"
TABLE = "predictions.parquet"

# columns of the table that are a metric's value of each example, and the metric
MEANS = {"loss": "log_loss", "exact_match": "exact_match", "f1": "f1"}


# what else a Trainer's figures hold
UNCOMPARED = frozenset({"epoch", "version"})
TIMES = ("_runtime", "_per_second", "_time")


class Unreadable(Exception):
    """There is an evaluation, and it cannot be read; the message says why."""


class Place(Protocol):
    """Where files of an evaluation lie. `read` gives None for a file that is not there."""

    def read(self, name: str) -> bytes | None: ...


@dataclass(frozen=True, slots=True)
class Folder:
    path: Path

    def read(self, name: str) -> bytes | None:
        try:
            return (self.path / name).read_bytes()
        except FileNotFoundError:
            return None

    def __str__(self) -> str:
        return str(self.path)


@dataclass(frozen=True, slots=True)
class Prefix:
    """Below an S3 URI. `s3` is a botocore client."""

    s3: Any
    uri: str

    def read(self, name: str) -> bytes | None:
        bucket, _, key = self.uri.removeprefix("s3://").partition("/")
        full = f"{key.rstrip('/')}/{name}" if key.rstrip("/") else name
        try:
            body: bytes = self.s3.get_object(Bucket=bucket, Key=full)["Body"].read()
        except (self.s3.exceptions.NoSuchKey, self.s3.exceptions.NoSuchBucket):
            return None
        return body

    def __str__(self) -> str:
        return self.uri


@dataclass(frozen=True, slots=True)
class Evaluation:
    """`note` says why there are no predictions, where there are none."""

    place: str
    figures: Mapping[str, Figure]
    predictions: Predictions | None
    note: str | None = None


def read_evaluation(place: Place) -> Evaluation | None:
    """None where there is none. Raises Unreadable."""
    text = place.read(DOCUMENT)
    if text is None:
        return None
    try:
        document = json.loads(text)
    except (ValueError, RecursionError) as problem:
        raise Unreadable(f"{place}/{DOCUMENT} is not JSON: {problem}") from None
    table = place.read(TABLE)
    if table is None:
        note = f"{place} has no {TABLE}"
        return Evaluation(str(place), dict(_figures(document)), None, note)
    try:
        return Evaluation(str(place), dict(_figures(document)), _predictions(table))
    except ImportError:
        note = f"{place}/{TABLE} was not read: pip install 'clary[nlp]'"
        return Evaluation(str(place), dict(_figures(document)), None, note)
    except ValueError as problem:
        raise Unreadable(f"{place}/{TABLE} cannot be read: {problem}") from None


def _figures(document: Any) -> Iterator[tuple[str, Figure]]:
    """Every figure of `metrics`, `binary_classification_metrics` and the like; in a file that has none of these the
    plain numbers, which is what `json.dump(trainer.evaluate(), file)` leaves."""
    if not isinstance(document, Mapping):
        return
    groups = [each for name, each in document.items() if _is_group(name) and isinstance(each, Mapping)]
    if not groups:
        yield from _plain(document)
    for group in groups:
        for name, entry in group.items():
            if isinstance(entry, Mapping) and (value := _number(entry.get("value"))) is not None:
                yield name, Figure(value, *_bounds(entry.get("interval")))
            elif (value := _number(entry)) is not None:
                yield name, Figure(value)


def _is_group(name: str) -> bool:
    return name == "metrics" or name.endswith("_metrics")


def _plain(document: Mapping[str, Any]) -> Iterator[tuple[str, Figure]]:
    """Figures of quality; how long it took is none. A Trainer's `eval_accuracy` is others' `accuracy`."""
    for name, entry in document.items():
        value = _number(entry)
        if value is not None and name not in UNCOMPARED and not name.endswith(TIMES):
            yield name.removeprefix("eval_"), Figure(value)


def _number(value: Any) -> float | None:
    if not isinstance(value, int | float) or isinstance(value, bool):
        return None
    try:
        number = float(value)
    except OverflowError:  # a whole number of hundreds of digits
        return None
    return number if math.isfinite(number) else None


def _bounds(interval: Any) -> tuple[float | None, float | None]:
    if not isinstance(interval, list) or len(interval) != 2:
        return None, None
    low, high = map(_number, interval)
    return (None, None) if low is None or high is None else (low, high)


def _predictions(table: bytes) -> Predictions:
    """Raises ImportError without pyarrow, ValueError for what is no such table."""
    import pyarrow
    import pyarrow.parquet

    try:
        # its threads may abort a process that ends soon after they began
        read = pyarrow.parquet.read_table(io.BytesIO(table), use_threads=False, pre_buffer=False)
    except pyarrow.ArrowException as problem:
        raise ValueError(str(problem)) from None
    columns = set(read.column_names)
    if "example" not in columns:
        raise ValueError("it has no column `example`")

    def texts(name: str) -> Any:
        return np.array([str(value) for value in read.column(name).to_pylist()])

    scores = {
        metric: np.asarray(read.column(name).to_numpy(), dtype=np.float64)
        for name, metric in MEANS.items()
        if name in columns
    }
    if not {"label", "predicted"} <= columns:
        return Predictions(texts("example"), scores)
    labels, predicted = texts("label"), texts("predicted")
    scores["accuracy"] = (labels == predicted).astype(np.float64)
    return Predictions(texts("example"), scores, labels, predicted)
