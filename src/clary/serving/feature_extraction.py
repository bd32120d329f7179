"""Feature extraction: the last hidden states of each token of a text."""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial
from typing import Any

from clary.serving import reading
from clary.serving.calls import Call, Work, shown
from clary.serving.faults import RequestFault
from clary.serving.reading import Reader

KNOWN = {"truncation", "batch_size", "num_workers"}


class FeatureExtraction:
    """Makes calls ready."""

    def __init__(self, reader: Reader) -> None:
        self._reader = reader

    def __call__(self, call: Call) -> Work | None:
        """None for what only the pipeline itself can do. Raises RequestFault."""
        given = call.parameters
        if not set(given) <= KNOWN or given.get("truncation", True) not in (True, "longest_first"):
            return None
        several = isinstance(call.inputs, list)
        texts = call.inputs if several else [call.inputs]
        for number, text in enumerate(texts):
            if not isinstance(text, str):
                raise RequestFault(f"inputs[{number}]: a text expected, not {shown(text)}")
        parts = self._reader.read([(text, None) for text in texts], asked="truncation" in given)
        cut = sum(part.cut for part in parts)
        return Work(parts, partial(_finished, several), reading.note(cut, len(parts), self._reader.limit))


def _finished(several: bool, outputs: Sequence[Any]) -> Any:
    """Each text's (1, tokens, hidden) as lists."""
    results = [[states.tolist()] for states in outputs]
    return results if several else results[0]
