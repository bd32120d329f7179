"""The evaluation of a model that answers questions from a context."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import numpy as np
import pyarrow
from numpy.typing import NDArray

from clary.analytics.slices import slices
from clary.recipes.answering import Answer
from clary.recipes.classification import HARDEST, SHOWN, cut, parts_of
from clary.recipes.evaluation import VERSION, Evaluation
from clary.recipes.intervals import Bootstrap, Measure
from clary.recipes.labelled import identities
from clary.recipes.questions import Questions, scores
from clary.recipes.report import Example, Row, interval, percent
from clary.recipes.slicing import measure_slices, slice_columns

TASK = "question-answering"
NONE = "(no answer)"
ANSWERED = "has an answer"
SPOKEN = {
    "exact_match": "Exact match",
    "f1": "F1",
    "exact_match_has_answer": "Exact match, questions with an answer",
    "f1_has_answer": "F1, questions with an answer",
    "exact_match_no_answer": "Exact match, questions without an answer",
}

Floats = NDArray[np.float64]


def evaluate_answers(
    questions: Questions,
    answers: Sequence[Answer],
    *,
    by: Sequence[str] = (),
    bootstrap: Bootstrap,
    facts: Mapping[str, Any],
    texts: bool = True,
) -> Evaluation:
    """`facts` has the document's `model`, `data` and `run`; `texts` False leaves the texts out of every file."""
    exact, f1 = scores([answer.text for answer in answers], questions.answers)
    metrics = _metrics(questions, exact, f1, bootstrap)
    columns = slice_columns(questions.rows, questions.contexts, by)
    if questions.may_be_none:
        columns = {ANSWERED: ["yes" if right else "no" for right in questions.answers], **columns}
    parts = measure_slices(columns, f1, bootstrap)
    order = _hardest(answers, f1)
    document = {
        "version": VERSION,
        "task": TASK,
        "metrics": {name: measure.document() for name, measure in metrics.items()},
        "baseline": _baseline(questions),
        "slices": [each.document() for each in parts],
        "hardest": [_document(questions, answers, f1, n, texts=texts) for n in order[:HARDEST]],
        "notes": list(_notes(questions, metrics)),
        **facts,
    }
    view = slices(parts_of(parts), whole=metrics["f1"].value, metric="F1")
    return Evaluation(
        headline=_headline(metrics, questions),
        document=document,
        predictions=_table(questions, answers, exact, f1, columns, texts=texts),
        charts={"slices": view},
        rows=[
            Row(spoken, percent(metrics[name].value), interval(metrics[name]))
            for name, spoken in SPOKEN.items()
            if name in metrics
        ],
        hardest=[_example(questions, answers, f1, n, texts=texts) for n in order[:SHOWN]],
    )


def _metrics(questions: Questions, exact: Floats, f1: Floats, bootstrap: Bootstrap) -> dict[str, Measure]:
    found = {"exact_match": bootstrap.mean(exact), "f1": bootstrap.mean(f1)}
    answered = np.array([bool(right) for right in questions.answers])
    if questions.may_be_none:
        if answered.any():
            found["exact_match_has_answer"] = bootstrap.mean(exact[answered])
            found["f1_has_answer"] = bootstrap.mean(f1[answered])
        found["exact_match_no_answer"] = bootstrap.mean(exact[~answered])
    return found


def _baseline(questions: Questions) -> dict[str, Any]:
    """Always saying that there is no answer."""
    share = sum(not right for right in questions.answers) / len(questions)
    return {"label": NONE, "metrics": {"exact_match": {"value": share}, "f1": {"value": share}}}


def _headline(metrics: Mapping[str, Measure], questions: Questions) -> str:
    exact, f1 = metrics["exact_match"], metrics["f1"]
    return (
        f"Exact match {percent(exact.value)} (95 % interval {interval(exact)}), "
        f"F1 {percent(f1.value)} ({interval(f1)}) on {len(questions):,} questions"
    )


def _notes(questions: Questions, metrics: Mapping[str, Measure]) -> Iterator[str]:
    share = _baseline(questions)["metrics"]["f1"]["value"]
    if questions.may_be_none:
        said = f"Always saying that there is no answer gives {percent(share)}"
        yield f"{said}: not shown to be better than that." if metrics["f1"].low <= share else f"{said}."
    if len(questions) < 100:
        yield f"Only {len(questions)} questions: the intervals are wide, and rough themselves."


def _hardest(answers: Sequence[Answer], f1: Floats) -> list[int]:
    """Answers that are not wholly right: the wrongest first, and the surest of equals."""
    order = sorted(range(len(f1)), key=lambda n: (f1[n], -abs(answers[n].score)))
    return [n for n in order if f1[n] < 1]


def _document(
    questions: Questions, answers: Sequence[Answer], f1: Floats, place: int, *, texts: bool
) -> dict[str, Any]:
    found: dict[str, Any] = {
        "row": questions.rows[place].place,
        "f1": float(f1[place]),
        "score": answers[place].score,
    }
    if texts:
        found |= {
            "answers": list(dict.fromkeys(questions.answers[place])),
            "predicted": answers[place].text,
            "question": questions.questions[place],
            "context": cut(questions.contexts[place]),
        }
    return found


def _example(
    questions: Questions, answers: Sequence[Answer], f1: Floats, place: int, *, texts: bool
) -> Example:
    right = " | ".join(dict.fromkeys(questions.answers[place])) or NONE
    said = answers[place].text or NONE
    parts = {"question": questions.questions[place], "context": cut(questions.contexts[place])}
    return Example(
        said=said if texts else "an answer",
        expected=right if texts else "another",
        sureness=f"F1 {percent(float(f1[place]))}",
        place=questions.rows[place].place,
        parts=parts if texts else {},
    )


def _table(
    questions: Questions,
    answers: Sequence[Answer],
    exact: Floats,
    f1: Floats,
    columns: Mapping[str, Sequence[str]],
    *,
    texts: bool,
) -> pyarrow.Table:
    found: dict[str, Any] = {
        "example": identities(list(zip(questions.questions, questions.contexts, strict=True))),
        "exact_match": exact,
        "f1": f1,
        "score": [answer.score for answer in answers],
    }
    if texts:
        found["predicted"] = [answer.text for answer in answers]
        found["answers"] = [list(right) for right in questions.answers]
        found["question"] = list(questions.questions)
        found["context"] = [cut(context) for context in questions.contexts]
    for name, values in columns.items():
        found[f"slice_{name}"] = list(values)
    return pyarrow.table(found)
