"""Where a model is good and where it is not: the same figure on parts of the examples."""

from __future__ import annotations

import math
import re
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from clary.analytics.slices import Part
from clary.recipes.intervals import Bootstrap, share
from clary.recipes.labelled import value_of
from clary.recipes.refusal import CannotEvaluate
from clary.recipes.rows import Row

PARTS = 4  # of a numeric column, equally full as far as its values allow
MOST = 12  # values of a column that get a slice of their own
LENGTH, LABEL = "text length", "label"
OTHER, MISSING = "(other)", "(missing)"
_DIGITS = re.compile("([0-9]+)")


@dataclass(frozen=True, slots=True)
class Slice(Part):
    """One part of the examples: `column` and `value` say which, `figure` with its 95 % interval says how good."""

    def document(self) -> dict[str, Any]:
        return {
            "column": self.column,
            "value": self.value,
            "examples": self.examples,
            "metric": {"value": self.figure, "interval": [self.low, self.high]},
        }


def slice_columns(
    rows: Sequence[Row], texts: Sequence[str], by: Sequence[str], *, labels: Sequence[str] | None = None
) -> dict[str, list[str]]:
    """For each way to slice the slice of each example: by label, by words of the text, by each column asked for."""
    found = {LABEL: list(labels)} if labels is not None else {}
    found[LENGTH] = _ranges([float(len(text.split())) for text in texts], unit=" words")
    for name in by:
        found[name] = _column(rows, name)
    return found


def check_columns(rows: Sequence[Row], by: Sequence[str]) -> None:
    """Raises CannotEvaluate where a column to slice by is in no row, or has a name that is taken."""
    for name in by:
        if name in {LABEL, LENGTH}:
            raise CannotEvaluate(f"--slice-by {name!r}: slices by {name} are made anyway; leave it out")
        if not any(name in row.values for row in rows):
            there = ", ".join(repr(each) for each in rows[0].values)
            raise CannotEvaluate(f"{rows[0].place}: no column {name!r} (--slice-by); there are {there}")


def measure_slices(
    columns: Mapping[str, Sequence[str]], scores: NDArray[np.float64], bootstrap: Bootstrap
) -> list[Slice]:
    """The mean score of every slice. Shares (scores of 0 and 1) get Wilson's interval, others the bootstrap's."""
    binary = bool(np.isin(scores, (0.0, 1.0)).all())
    found = []
    for column, values in columns.items():
        named = np.array(values, dtype=object)
        for value in dict.fromkeys(_ordered(values)):
            chosen = scores[named == value]
            if binary:
                low, high = share(int(chosen.sum()), len(chosen))
            else:
                mean = bootstrap.mean(chosen)
                low, high = mean.low, mean.high
            found.append(Slice(column, value, len(chosen), float(chosen.mean()), low, high))
    return found


def _column(rows: Sequence[Row], name: str) -> list[str]:
    values = [value_of(row, name) for row in rows]
    numbers = [_number(value) for value in values]
    given = [number for number, value in zip(numbers, values, strict=True) if value not in (None, "")]
    if len(set(given)) > MOST and None not in given:
        return _ranges(numbers)
    texts = [MISSING if value is None or not str(value).strip() else str(value).strip() for value in values]
    counts = Counter(texts)
    kept = {value for value, _ in counts.most_common(MOST if len(counts) <= MOST else MOST - 1)}
    return [text if text in kept else OTHER for text in texts]


def _number(value: Any) -> float | None:
    try:
        number = float(value)
    except (TypeError, ValueError):
        return None
    return number if math.isfinite(number) else None


def _ranges(numbers: Sequence[float | None], *, unit: str = "") -> list[str]:
    """Each number's range. Bounds depend on the data alone, so that two models' slices are the same."""
    given = np.array([number for number in numbers if number is not None])
    edges = np.unique(np.quantile(given, np.linspace(0, 1, PARTS + 1), method="lower"))
    whole = bool((given == np.floor(given)).all())
    names = _range_names(edges, whole, unit)
    places = np.searchsorted(edges[1:-1], [math.nan if n is None else n for n in numbers], side="right")
    return [
        MISSING if number is None else names[place] for number, place in zip(numbers, places, strict=True)
    ]


def _range_names(edges: NDArray[np.float64], whole: bool, unit: str) -> list[str]:
    if len(edges) < 3:
        return [f"{_ends(edges[0], edges[-1])}{unit}"]
    names = []
    for n, low in enumerate(edges[:-1]):
        last = n == len(edges) - 2
        high = edges[n + 1] - 1 if whole and not last else edges[n + 1]
        names.append(f"{_ends(low, high)}{unit}")
    return names


def _ends(low: float, high: float) -> str:
    return f"{low:g}" if low == high else f"{low:g} to {high:g}"


def _ordered(values: Sequence[str]) -> list[str]:
    """Ranges by their lower end, numbers by size, names as people sort them (item 2 before item 10); what is missing
    or other, last.
    """

    def key(value: str) -> tuple[bool, bool, float, list[str | int]]:
        number = _number(value.split(" ")[0])
        pieces = [int(each) if n % 2 else each for n, each in enumerate(_DIGITS.split(value))]
        return value in {OTHER, MISSING}, number is None, number or 0.0, pieces

    return sorted(set(values), key=key)
