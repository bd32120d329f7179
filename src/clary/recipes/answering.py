"""Extractive question answering: from logits to the span of a context that answers, or to none. Pure."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from clary.inference.encoder import Located

LONGEST = 30  # tokens of an answer
CANDIDATES = 20  # starts and ends that are tried together

Floats = NDArray[np.float32]


@dataclass(frozen=True, slots=True)
class Answer:
    """`text` is "" for no answer. `score` is the best span's sum of logits less that of no answer."""

    text: str
    score: float


def best_answers(windows: Iterable[Located], contexts: Sequence[str], *, may_be_none: bool) -> list[Answer]:
    """The best span over all windows of each context. With `may_be_none` (SQuAD 2) there may be no answer: where the
    first token, which stands for that, scores at least as high in every window as the best span.
    """
    best = [(-np.inf, "")] * len(contexts)
    nothing = [np.inf] * len(contexts)
    for window in windows:
        owner = window.text
        starts, ends = window.outputs[:, 0], window.outputs[:, 1]
        nothing[owner] = min(nothing[owner], float(starts[0] + ends[0]))
        for score, first, last in _spans(starts, ends, window.sequence == 1):
            if score > best[owner][0]:
                begin, end = window.offsets[first][0], window.offsets[last][1]
                best[owner] = score, contexts[owner][begin:end]
    return [
        Answer("" if may_be_none and absent >= score else text, float(score - absent))
        for (score, text), absent in zip(best, nothing, strict=True)
    ]


def _spans(starts: Floats, ends: Floats, in_context: NDArray[np.bool_]) -> Iterator[tuple[float, int, int]]:
    """(score, first token, last token) of the likeliest spans that lie in the context."""
    for first in _likeliest(starts, in_context):
        for last in _likeliest(ends, in_context):
            if first <= last < first + LONGEST:
                yield float(starts[first] + ends[last]), first, last


def _likeliest(logits: Floats, allowed: NDArray[np.bool_]) -> list[int]:
    places = np.flatnonzero(allowed)
    order = np.argsort(-logits[places], kind="stable")[:CANDIDATES]
    return [int(place) for place in places[order]]
