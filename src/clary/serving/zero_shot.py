"""Zero-shot classification: each candidate label as a hypothesis about the text, all of them in one pass."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from functools import partial
from typing import Any

import numpy as np

from clary.serving import reading
from clary.serving.calls import Call, Work, shown, texts_of
from clary.serving.faults import RequestFault
from clary.serving.reading import Reader
from clary.serving.text_classification import softmax

WITHOUT_EFFECT = {"batch_size", "num_workers"}
KNOWN = {"candidate_labels", "hypothesis_template", "multi_label"} | WITHOUT_EFFECT
TEMPLATE = "This example is {}."


class ZeroShot:
    """Makes calls ready. `entailment`: the number of the label that says so; the last where none does."""

    def __init__(self, reader: Reader, numbers: Mapping[str, int]) -> None:
        self._reader = reader
        found = [number for label, number in numbers.items() if label.lower().startswith("entail")]
        self._entailment = found[0] if found else -1
        self._contradiction = -1 if self._entailment == 0 else 0

    def __call__(self, call: Call) -> Work | None:
        """None for what only the pipeline itself can do. Raises RequestFault."""
        given = call.parameters
        if not set(given) <= KNOWN:
            return None
        labels = _labels(given.get("candidate_labels"))
        hypotheses = _hypotheses(given.get("hypothesis_template", TEMPLATE), labels)
        texts = texts_of(call.inputs)
        pairs = [(text, hypothesis) for text in texts for hypothesis in hypotheses]
        parts = self._reader.read(pairs, strategy="only_first")
        step = len(labels)
        cut = sum(any(part.cut for part in parts[i : i + step]) for i in range(0, len(parts), step))
        alone = bool(given.get("multi_label")) or step == 1
        return Work(
            parts,
            partial(self._finished, texts, labels, alone, isinstance(call.inputs, list)),
            reading.note(cut, len(texts), self._reader.limit),
        )

    def _finished(
        self, texts: Sequence[str], labels: Sequence[str], alone: bool, several: bool, outputs: Sequence[Any]
    ) -> Any:
        step = len(labels)
        results = [
            self._result(text, labels, self._scores(np.stack(outputs[i * step : (i + 1) * step]), alone))
            for i, text in enumerate(texts)
        ]
        return results if several else results[0]

    def _scores(self, logits: Any, alone: bool) -> Any:
        """(labels, classes) -> (labels,). `alone`: each label against its own contradiction."""
        if alone:
            return softmax(logits[:, [self._contradiction, self._entailment]])[:, 1]
        return softmax(logits[:, self._entailment])

    @staticmethod
    def _result(text: str, labels: Sequence[str], scores: Any) -> dict[str, Any]:
        order = scores.argsort()[::-1]
        return {
            "sequence": text,
            "labels": [labels[i] for i in order],
            "scores": [float(scores[i]) for i in order],
        }


def _labels(given: Any) -> list[str]:
    if isinstance(given, str):
        given = [label.strip() for label in given.split(",") if label.strip()]
    if not isinstance(given, list) or not given or not all(isinstance(label, str) for label in given):
        raise RequestFault(
            f'parameters.candidate_labels: a list of labels, or "a, b, c", expected, not {shown(given)}'
        )
    return given


def _hypotheses(template: Any, labels: Sequence[str]) -> list[str]:
    try:
        made = [template.format(label) for label in labels]
    except (AttributeError, LookupError, ValueError) as error:
        raise RequestFault(
            f"parameters.hypothesis_template: a text with {{}} for the label expected, not {shown(template)}"
        ) from error
    if made[0] == template:
        raise RequestFault(
            f"parameters.hypothesis_template: {shown(template)} has no {{}} for the label to stand in"
        )
    return made
