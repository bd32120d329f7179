"""The model at work, as the recipes see it: texts in, probabilities or answers out."""

from __future__ import annotations

import sys
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy.special import softmax
from transformers import AutoTokenizer

from clary.inference.encoder import Encoder
from clary.inference.faults import ModelFault
from clary.inference.precision import Precision
from clary.recipes.answering import Answer, best_answers
from clary.recipes.artifact import Artifact
from clary.recipes.questions import Questions
from clary.recipes.refusal import CannotEvaluate

WINDOW = 384  # tokens of question and context that a model reads at once, the usual number
STRIDE = 128  # tokens by which windows of a long context overlap
SPECIAL = 4  # tokens that a tokenizer may put around a pair


@dataclass(frozen=True, slots=True)
class Classified:
    """`probabilities` (n, classes), rows summing to 1; `truncated` (n,): texts longer than the model reads.

    `facts` say how it was run (device, precision, way), for the record.
    """

    probabilities: NDArray[np.float64]
    truncated: NDArray[np.bool_]
    facts: Mapping[str, Any] = field(default_factory=dict)


def load(artifact: Artifact, *, precision: Precision, max_length: int | None) -> Encoder:
    """Raises CannotEvaluate where transformers cannot load it."""
    if artifact.task == "question-answering":
        max_length = max_length or WINDOW
    try:
        encoder = Encoder.load(artifact.folder, precision=precision, max_length=max_length)
    except ModelFault as fault:
        raise CannotEvaluate(f"--model {fault}") from fault
    if encoder.advice:
        print(encoder.advice, file=sys.stderr)
    return encoder


def classify(
    encoder: Encoder, artifact: Artifact, texts: Sequence[str], pairs: Sequence[str] | None
) -> Classified:
    logits = encoder.classify(texts, pairs, progress=progress(len(texts)))
    probabilities = softmax(logits.astype(np.float64), axis=1)
    broken = np.flatnonzero(~np.isfinite(probabilities).all(axis=1))
    if len(broken):
        raise CannotEvaluate(
            f"the model's outputs are not numbers for {len(broken)} texts: its training diverged"
        )
    return Classified(probabilities, _truncated(encoder, artifact, texts, pairs), facts_of(encoder))


def answer(encoder: Encoder, artifact: Artifact, questions: Questions) -> list[Answer]:
    """An answer for each question, in order."""
    stride = _stride(encoder, artifact, questions)
    try:
        located = encoder.answer(questions.questions, questions.contexts, stride=stride)
    except ModelFault as fault:
        raise CannotEvaluate(f"--model {fault}") from fault
    return best_answers(located, questions.contexts, may_be_none=questions.may_be_none)


def facts_of(encoder: Encoder) -> dict[str, Any]:
    return {
        "device": encoder.device.type,
        "precision": "fp32" if encoder.precision == "auto" else encoder.precision,
        "way": encoder.way,
        "max_length": encoder.max_length,
    }


def progress(texts: int) -> Callable[[int], None]:
    """Says on standard error how far it is, at each tenth."""
    told = 0

    def tell(done: int) -> None:
        nonlocal told
        if texts >= 1000 and done * 10 // texts > told:
            told = done * 10 // texts
            print(f"{done:,} of {texts:,} texts", file=sys.stderr, flush=True)

    return tell


def _truncated(
    encoder: Encoder, artifact: Artifact, texts: Sequence[str], pairs: Sequence[str] | None
) -> NDArray[np.bool_]:
    """Which texts have more tokens than the model reads. A text of fewer characters than that need not be counted."""
    found = np.zeros(len(texts), dtype=np.bool_)
    most = encoder.max_length
    characters = [len(text) + len(pair) for text, pair in zip(texts, pairs or [""] * len(texts), strict=True)]
    long = [n for n, count in enumerate(characters) if count + SPECIAL > most]
    if long:
        tokenizer = AutoTokenizer.from_pretrained(artifact.folder, local_files_only=True)
        others = [pairs[n] for n in long] if pairs else None
        read = tokenizer([texts[n] for n in long], others, truncation=False, verbose=False)["input_ids"]
        found[long] = [len(ids) > most for ids in read]
    return found


def _stride(encoder: Encoder, artifact: Artifact, questions: Questions) -> int:
    """A stride that leaves each question room in the window. Raises CannotEvaluate naming one that has none."""
    tokenizer = AutoTokenizer.from_pretrained(artifact.folder, local_files_only=True)
    read = tokenizer(list(questions.questions), add_special_tokens=False, verbose=False)["input_ids"]
    lengths = [len(ids) for ids in read]
    room = encoder.max_length - SPECIAL - max(lengths)
    if room < 2:
        row = questions.rows[int(np.argmax(lengths))]
        raise CannotEvaluate(
            f"{row.place}, column 'question': {max(lengths)} tokens leave no room for a context in the "
            f"{encoder.max_length} the model reads; shorten it"
        )
    return min(STRIDE, room // 2)
