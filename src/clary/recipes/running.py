"""The model at work, as a recipe sees it: texts in, probabilities out."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Protocol

import numpy as np
import torch
from numpy.typing import NDArray
from transformers import AutoModelForSequenceClassification, AutoTokenizer

from clary.recipes.artifact import Artifact

BATCH_TOKENS = 4096


@dataclass(frozen=True, slots=True)
class Classified:
    """`probabilities` (n, classes), rows summing to 1; `truncated` (n,): texts longer than the model reads.

    `facts` say how it was run (device, precision), for the record.
    """

    probabilities: NDArray[np.float64]
    truncated: NDArray[np.bool_]
    facts: Mapping[str, Any] = field(default_factory=dict)


class Classifier(Protocol):
    def classify(self, texts: Sequence[str], pairs: Sequence[str] | None) -> Classified: ...


class PlainClassifier:
    """transformers as it is: batches of similar length, padded to their longest text."""

    def __init__(self, artifact: Artifact, *, max_length: int | None = None) -> None:
        self._tokenizer = AutoTokenizer.from_pretrained(artifact.folder)
        self._model = AutoModelForSequenceClassification.from_pretrained(artifact.folder).eval()
        limit = int(self._model.config.max_position_embeddings)
        self._limit = max_length or min(self._tokenizer.model_max_length, limit)

    def classify(self, texts: Sequence[str], pairs: Sequence[str] | None) -> Classified:
        whole = self._tokenizer(list(texts), list(pairs) if pairs else None)["input_ids"]
        lengths = np.array([len(each) for each in whole])
        cut = self._tokenizer(
            list(texts), list(pairs) if pairs else None, truncation=True, max_length=self._limit
        )
        found = np.empty((len(texts), self._model.config.num_labels))
        order = np.argsort(lengths, kind="stable")
        step = max(1, BATCH_TOKENS // min(int(lengths.max()), self._limit))
        for start in range(0, len(order), step):
            chosen = order[start : start + step]
            batch = self._tokenizer.pad(
                {key: [values[n] for n in chosen] for key, values in cut.items()}, return_tensors="pt"
            )
            with torch.inference_mode():
                logits = self._model(**batch).logits.double()
            found[chosen] = logits.softmax(dim=-1).numpy()
        return Classified(found, lengths > self._limit, {"device": "cpu", "precision": "fp32"})
