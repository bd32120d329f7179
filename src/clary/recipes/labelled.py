"""Rows with the meaning they have for a model: texts, or pairs of texts, with labels it knows."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from hashlib import sha256
from typing import Any

import numpy as np
from numpy.typing import NDArray

from clary.recipes.refusal import CannotEvaluate
from clary.recipes.rows import Row

# what public data sets call them, in the order they are tried
TEXT_COLUMNS = (
    "text",
    "sentence",
    "review",
    "content",
    "review_text",
    "review_body",
    "reviewText",
    "Review Text",
)
PAIR_COLUMNS = (
    ("sentence1", "sentence2"),
    ("premise", "hypothesis"),
    ("question1", "question2"),
    ("question", "sentence"),
    ("question", "passage"),
    ("text", "text_pair"),
    ("#1 String", "#2 String"),
)
LABEL_COLUMNS = ("label", "labels", "target", "sentiment", "class", "category", "y", "Quality", "Label")


@dataclass(frozen=True, slots=True)
class Columns:
    """Which columns to read; what is not named is looked for under the names of public data sets."""

    text: str | None = None
    pair: str | None = None
    label: str | None = None


@dataclass(frozen=True, slots=True)
class Labelled:
    """n examples. `pairs` is None for single texts; `labels` (n,) are indices into `names`, the model's classes."""

    columns: Columns
    texts: Sequence[str]
    pairs: Sequence[str] | None
    labels: NDArray[np.int64]
    names: Sequence[str]
    rows: Sequence[Row]

    def __len__(self) -> int:
        return len(self.texts)


def labelled(rows: Sequence[Row], names: Sequence[str], *, columns: Columns | None = None) -> Labelled:
    """The rows as examples for a model with these classes.

    Raises CannotEvaluate with file, line and column for a missing column, an empty text, a missing or unknown label,
    or when all examples have one label.
    """
    chosen = choose_columns(rows[0], columns or Columns())
    assert chosen.text is not None and chosen.label is not None
    texts = [text_of(row, chosen.text) for row in rows]
    pairs = [text_of(row, chosen.pair) for row in rows] if chosen.pair else None
    labels = _labels(rows, chosen.label, names)
    if len(set(labels)) < 2:
        raise CannotEvaluate(
            f"column {chosen.label!r}: all {len(rows)} rows have the label {names[labels[0]]!r}; "
            "an evaluation needs examples of at least two classes"
        )
    return Labelled(chosen, texts, pairs, np.array(labels, dtype=np.int64), list(names), rows)


def choose_columns(first: Row, asked: Columns) -> Columns:
    there = list(first.values)
    for option, name in (("text", asked.text), ("pair", asked.pair), ("label", asked.label)):
        if name is not None and name not in there:
            raise CannotEvaluate(
                f"{first.place}: no column {name!r} (--{option}-column); there are {_shown(there)}"
            )
    text, pair = (asked.text, asked.pair) if asked.text else _texts(there, asked)
    label = asked.label or next((name for name in LABEL_COLUMNS if name in there), None)
    for option, found in (("text", text), ("label", label)):
        if found is None:
            raise CannotEvaluate(
                f"{first.place}: which column is the {option}? There are {_shown(there)}; "
                f"name it with --{option}-column"
            )
    return Columns(text, pair, label)


def _texts(there: Sequence[str], asked: Columns) -> tuple[str | None, str | None]:
    if asked.pair is None:
        for one, two in PAIR_COLUMNS:
            if one in there and two in there:
                return one, two
    return next((name for name in TEXT_COLUMNS if name in there and name != asked.pair), None), asked.pair


def _shown(names: Sequence[str]) -> str:
    return ", ".join(repr(name) for name in names) or "none"


def value_of(row: Row, column: str) -> Any:
    """The value, None for one that is missing. Rows of JSON Lines may lack a column that others have."""
    value = row.values.get(column)
    return None if isinstance(value, float) and math.isnan(value) else value


def text_of(row: Row, column: str) -> str:
    value = value_of(row, column)
    if column not in row.values:
        raise CannotEvaluate(f"{row.place}: no column {column!r} here; there are {_shown(list(row.values))}")
    if value is None or (isinstance(value, str) and not value.strip()):
        raise CannotEvaluate(f"{row.place}, column {column!r}: empty text; remove the row or fill it in")
    if not isinstance(value, str):
        raise CannotEvaluate(f"{row.place}, column {column!r}: {type(value).__name__} where a text belongs")
    try:
        value.encode("utf-8")
    except UnicodeEncodeError as broken:
        raise CannotEvaluate(
            f"{row.place}, column {column!r}: not valid Unicode ({broken.reason})"
        ) from broken
    return value


def _labels(rows: Sequence[Row], column: str, names: Sequence[str]) -> list[int]:
    """Labels are the classes' names, or their numbers when no row says a name; case decides only between twins."""
    said = [_label_text(row, column) for row in rows]
    for index in (_by_name(names), _by_name([name.casefold() for name in names]), _by_number(names)):
        if all(text in index or text.casefold() in index for text in set(said)):
            return [index[text] if text in index else index[text.casefold()] for text in said]
    known = {**_by_number(names), **_by_name([name.casefold() for name in names])}
    counts = Counter(text for text in said if text.casefold() not in known)
    kinds = len({text.isdigit() for text in said}) > 1
    place = next((row.place for row, text in zip(rows, said, strict=True) if text in counts), rows[0].place)
    if not counts and kinds:
        raise CannotEvaluate(
            f"column {column!r}: labels are numbers in some rows and names in others; choose one"
        )
    text, rest = next(iter(counts)), len(counts) - 1
    others = f" (and {rest} more that it does not know)" if rest else ""
    raise CannotEvaluate(
        f"{place}, column {column!r}: label {text!r}{others} is none of the model's classes: {_classes(names)}; "
        "mend the data, or give the classes' names in the model's order with --labels"
    )


def _label_text(row: Row, column: str) -> str:
    value = value_of(row, column)
    if column not in row.values:
        raise CannotEvaluate(f"{row.place}: no column {column!r} here; there are {_shown(list(row.values))}")
    if isinstance(value, (list, dict)):
        raise CannotEvaluate(
            f"{row.place}, column {column!r}: several labels; a single label is evaluated here"
        )
    if isinstance(value, bool) or (isinstance(value, float) and value.is_integer()):
        value = int(value)
    text = "" if value is None else str(value).strip()
    if not text:
        raise CannotEvaluate(f"{row.place}, column {column!r}: no label; remove the row or fill it in")
    return text


def _by_name(names: Sequence[str]) -> Mapping[str, int]:
    """Empty where two classes have the same name."""
    return {name: n for n, name in enumerate(names)} if len(set(names)) == len(names) else {}


def _by_number(names: Sequence[str]) -> Mapping[str, int]:
    numbers = {str(n): n for n in range(len(names))}
    return {
        **numbers,
        **{f"{n}.0": n for n in range(len(names))},
        **{f"label_{n}": n for n in range(len(names))},
    }


def _classes(names: Sequence[str], most: int = 12) -> str:
    shown = ", ".join(f"{n} = {name}" for n, name in enumerate(names[:most]))
    return shown if len(names) <= most else f"{shown}, ... ({len(names)} in all)"


def identities(texts: Sequence[Sequence[str]]) -> list[str]:
    """A stable name for each example: a digest of its input texts; a repeated input gets -2, -3, ... in order.

    The same examples have the same names in every evaluation, whatever the order of files and the model.
    """
    seen = Counter[str]()
    found = []
    for parts in texts:
        content = "".join(f"{len(part)}:{part}" for part in parts)
        digest = sha256(content.encode("utf-8", "surrogatepass")).hexdigest()[:20]
        seen[digest] += 1
        found.append(digest if seen[digest] == 1 else f"{digest}-{seen[digest]}")
    return found
