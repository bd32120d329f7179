"""Rows with the meaning they have for a model that answers questions, and how good its answers are."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray
from torchmetrics.functional.text import squad

from clary.recipes.labelled import text_of, value_of
from clary.recipes.refusal import CannotEvaluate
from clary.recipes.rows import Row

NEEDED = ("question", "context", "answers")


@dataclass(frozen=True, slots=True)
class Questions:
    """n questions. `answers` holds what is right for each, nothing for one that its context does not answer."""

    questions: Sequence[str]
    contexts: Sequence[str]
    answers: Sequence[Sequence[str]]
    rows: Sequence[Row]

    @property
    def may_be_none(self) -> bool:
        """Whether the data are as SQuAD 2: some questions have no answer."""
        return not all(self.answers)

    def __len__(self) -> int:
        return len(self.questions)


def questions_of(rows: Sequence[Row]) -> Questions:
    """Raises CannotEvaluate with place and column where the rows are not questions with contexts and answers."""
    missing = [name for name in NEEDED if name not in rows[0].values]
    if missing:
        there = ", ".join(map(repr, rows[0].values))
        raise CannotEvaluate(
            f"{rows[0].place}: no column {missing[0]!r}; this model answers questions, which needs SQuAD's JSON or "
            f"columns {', '.join(NEEDED)}; there are {there}"
        )
    return Questions(
        [text_of(row, "question") for row in rows],
        [text_of(row, "context") for row in rows],
        [_answers(row) for row in rows],
        rows,
    )


def _answers(row: Row) -> list[str]:
    """Texts as SQuAD has them ({"text": [...]}), a list of texts, or one text (in CSV); empty ones are no answer."""
    given: Any = value_of(row, "answers")
    if isinstance(given, dict):
        given = given.get("text")
    if isinstance(given, str):
        given = [given]
    if not isinstance(given, list) or not all(isinstance(each, str) for each in given):
        raise CannotEvaluate(
            f"{row.place}, column 'answers': texts belong here, as {{\"text\": [...]}}, a list, or one text"
        )
    return [each for each in given if each.strip()]


def scores(
    said: Sequence[str], right: Sequence[Sequence[str]]
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Exact match and F1 of each answer, 0 to 1, with torchmetrics: SQuAD's own rules, the best of the right answers.

    Where there is no right answer, only saying none is right (as SQuAD 2 counts).
    """
    pairs = [_score(text, list(texts) or [""]) for text, texts in zip(said, right, strict=True)]
    both = np.array(pairs, dtype=np.float64) / 100
    return both[:, 0], both[:, 1]


def _score(said: str, right: list[str]) -> tuple[float, float]:
    target: dict[str, Any] = {"answers": {"answer_start": [0] * len(right), "text": right}, "id": "0"}
    found = squad([{"prediction_text": said, "id": "0"}], [target])
    return float(found["exact_match"]), float(found["f1"])
