"""Text classification: the answers of transformers' pipeline, from logits of many texts at once."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from functools import partial
from typing import Any

import numpy as np

from clary.serving import reading
from clary.serving.calls import Call, Work, shown
from clary.serving.faults import RequestFault
from clary.serving.reading import Pair, Reader

WITHOUT_EFFECT = {"batch_size", "num_workers", "padding"}  # on the answer
KNOWN = {"top_k", "return_all_scores", "function_to_apply", "truncation", "max_length"} | WITHOUT_EFFECT
EXPECTED = 'a text, {"text": ..., "text_pair": ...}, or a list of those'


def sigmoid(logits: Any) -> Any:
    return 1.0 / (1.0 + np.exp(-logits))


def softmax(logits: Any) -> Any:
    """Along the last axis."""
    raised = np.exp(logits - logits.max(-1, keepdims=True))
    return raised / raised.sum(-1, keepdims=True)


FUNCTIONS: dict[str, Callable[[Any], Any]] = {
    "sigmoid": sigmoid,
    "softmax": softmax,
    "none": lambda logits: logits,
}


class TextClassification:
    """Makes calls ready. `problem`: the configuration's problem_type."""

    def __init__(self, reader: Reader, problem: str | None) -> None:
        self._reader = reader
        self._labels = reader.encoder.labels
        if problem == "regression":
            self._usual = "none"
        elif problem == "multi_label_classification" or len(self._labels) == 1:
            self._usual = "sigmoid"
        else:
            self._usual = "softmax"

    def __call__(self, call: Call) -> Work | None:
        """None for what only the pipeline itself can do. Raises RequestFault."""
        given = call.parameters
        if not set(given) <= KNOWN or not simple(given):
            return None
        apply = self._function(given.get("function_to_apply"))
        texts = texts_of(call.inputs)
        parts = self._reader.read(texts, asked="truncation" in given, most=given.get("max_length"))
        rank = self._ranking(given)
        return Work(
            parts,
            partial(self._finished, call.inputs, rank, apply, "top_k" not in given),
            reading.note(sum(part.cut for part in parts), len(parts), self._reader.limit),
        )

    def _function(self, name: Any) -> Callable[[Any], Any]:
        if name is None:
            return FUNCTIONS[self._usual]
        if not isinstance(name, str) or name.lower() not in FUNCTIONS:
            raise RequestFault(f"function_to_apply: {', '.join(FUNCTIONS)} expected, not {shown(name)}")
        return FUNCTIONS[name.lower()]

    def _ranking(self, given: Mapping[str, Any]) -> Callable[[Any], Any]:
        if "top_k" in given:
            return partial(self._ranked, given["top_k"])
        if given.get("return_all_scores"):
            return self._all
        return self._best

    def _finished(
        self,
        inputs: Any,
        rank: Callable[[Any], Any],
        apply: Callable[[Any], Any],
        wrapped: bool,
        outputs: Sequence[Any],
    ) -> Any:
        results = [rank(apply(logits)) for logits in outputs]
        if isinstance(inputs, list):
            return results
        return results if wrapped and isinstance(inputs, str) else results[0]

    def _best(self, scores: Any) -> dict[str, Any]:
        return {"label": self._labels[int(scores.argmax())], "score": float(scores.max())}

    def _all(self, scores: Any) -> list[dict[str, Any]]:
        return [{"label": self._labels[i], "score": float(score)} for i, score in enumerate(scores)]

    def _ranked(self, most: int | None, scores: Any) -> list[dict[str, Any]]:
        order = np.argsort(-scores, kind="stable")[:most]
        return [{"label": self._labels[int(i)], "score": float(scores[i])} for i in order]


def simple(given: Mapping[str, Any]) -> bool:
    """Whether the values are of the usual kinds."""
    top, most = given.get("top_k"), given.get("max_length")
    return (
        (top is None or type(top) is int)
        and (most is None or (type(most) is int and most > 2 and "truncation" in given))
        and given.get("truncation", True) in (True, "longest_first")
    )


def texts_of(inputs: Any) -> list[Pair]:
    """The texts and pairs of a call, in order. Raises RequestFault."""
    if isinstance(inputs, list):
        return [_text(item, f"inputs[{number}]") for number, item in enumerate(inputs)]
    return [_text(inputs, "inputs")]


def _text(item: Any, name: str) -> Pair:
    if isinstance(item, str):
        return item, None
    if isinstance(item, list) and len(item) == 1 and isinstance(item[0], list) and len(item[0]) == 2:
        item = {"text": item[0][0], "text_pair": item[0][1]}  # how pairs were once given
    if not isinstance(item, dict) or "text" not in item or not set(item) <= {"text", "text_pair"}:
        raise RequestFault(f"{name}: {EXPECTED} expected, not {shown(item)}")
    text, pair = item["text"], item.get("text_pair")
    if not isinstance(text, str) or not isinstance(pair, str | None):
        raise RequestFault(f"{name}: text and text_pair are texts, not {shown(item)}")
    return text, pair
