"""Token classification: the entities of the pipeline, by every strategy of putting tokens together."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from functools import partial
from itertools import pairwise
from typing import Any

import numpy as np

from clary.serving import reading
from clary.serving.calls import Call, Work, shown, texts_of
from clary.serving.faults import RequestFault
from clary.serving.reading import Part, Reader
from clary.serving.text_classification import softmax

KNOWN = {"aggregation_strategy", "ignore_labels", "batch_size", "num_workers"}
STRATEGIES = ("none", "simple", "first", "average", "max")


@dataclass(frozen=True, slots=True)
class Piece:
    """A token, or a word of several: its scores (labels,), its characters, whether it goes on a word."""

    word: str
    scores: Any
    start: int
    end: int
    index: int
    continues: bool
    label: str = ""
    score: float = 0.0


class TokenClassification:
    """Makes calls ready."""

    def __init__(self, reader: Reader) -> None:
        self._reader = reader
        self._labels = reader.encoder.labels
        self._join: Callable[[list[str]], str] = reader.tokenizer.convert_tokens_to_string
        model = reader.tokenizer.backend_tokenizer.model
        self._knows_words = bool(getattr(model, "continuing_subword_prefix", None))

    def __call__(self, call: Call) -> Work | None:
        """None for what only the pipeline itself can do. Raises RequestFault."""
        given = call.parameters
        if not set(given) <= KNOWN:
            return None
        strategy = str(given.get("aggregation_strategy") or "none").lower()
        if strategy not in STRATEGIES:
            raise RequestFault(
                f"aggregation_strategy: {', '.join(STRATEGIES)} expected, not {shown(given['aggregation_strategy'])}"
            )
        ignored = given.get("ignore_labels")
        ignored = ["O"] if ignored is None else ignored
        if not isinstance(ignored, list):
            raise RequestFault(f"ignore_labels: a list of labels expected, not {shown(ignored)}")
        texts = texts_of(call.inputs)
        parts = self._reader.read([(text, None) for text in texts], asked=True)
        cut = sum(part.cut for part in parts)
        finish = partial(self._finished, texts, parts, strategy, ignored, isinstance(call.inputs, list))
        return Work(parts, finish, reading.note(cut, len(parts), self._reader.limit))

    def _finished(
        self,
        texts: Sequence[str],
        parts: Sequence[Part],
        strategy: str,
        ignored: Sequence[str],
        several: bool,
        outputs: Sequence[Any],
    ) -> Any:
        results = []
        for text, part, logits in zip(texts, parts, outputs, strict=True):
            pieces = list(self._pieces(text, part.encoding, softmax(logits)))
            found = self._entities(pieces, strategy)
            results.append(
                [
                    entity
                    for entity in found
                    if entity.get("entity") not in ignored and entity.get("entity_group") not in ignored
                ]
            )
        return results if several else results[0]

    def _pieces(self, text: str, encoding: Any, scores: Any) -> Iterator[Piece]:
        unknown = self._reader.tokenizer.unk_token_id
        rows = zip(
            encoding.ids, encoding.tokens, encoding.offsets, encoding.special_tokens_mask, scores, strict=True
        )
        for index, (number, word, (start, end), special, of_token) in enumerate(rows):
            if special:
                continue
            if number == unknown:
                yield Piece(text[start:end], of_token, start, end, index, False)
            else:
                continues = self._continues(text, word, start, end)
                yield Piece(word, of_token, start, end, index, continues)

    def _continues(self, text: str, word: str, start: int, end: int) -> bool:
        """Without a tokenizer that tells, a token continues a word where no space is before it."""
        if self._knows_words:
            return len(word) != end - start
        return start > 0 and " " not in text[start - 1 : start + 1]

    def _entities(self, pieces: Sequence[Piece], strategy: str) -> list[dict[str, Any]]:
        if strategy in ("none", "simple"):
            named = [self._named(piece, piece.scores) for piece in pieces]
        else:
            named = [self._word(group, strategy) for group in _words(pieces)]
        if strategy == "none":
            return [_entity(piece) for piece in named]
        return [self._group(group) for group in _runs(named)]

    def _named(self, piece: Piece, scores: Any) -> Piece:
        best = int(scores.argmax())
        return replace(piece, label=self._labels[best], score=float(scores[best]))

    def _word(self, group: Sequence[Piece], strategy: str) -> Piece:
        whole = replace(group[0], word=self._join([piece.word for piece in group]), end=group[-1].end)
        if strategy == "first":
            return self._named(whole, group[0].scores)
        if strategy == "max":
            return self._named(whole, max(group, key=lambda piece: float(piece.scores.max())).scores)
        return self._named(whole, np.nanmean(np.stack([piece.scores for piece in group]), axis=0))

    def _group(self, group: Sequence[Piece]) -> dict[str, Any]:
        return {
            "entity_group": group[0].label.split("-", 1)[-1],
            "score": float(np.mean([piece.score for piece in group])),
            "word": self._join([piece.word for piece in group]),
            "start": group[0].start,
            "end": group[-1].end,
        }


def _entity(piece: Piece) -> dict[str, Any]:
    return {
        "entity": piece.label,
        "score": piece.score,
        "index": piece.index,
        "word": piece.word,
        "start": piece.start,
        "end": piece.end,
    }


def _words(pieces: Sequence[Piece]) -> list[list[Piece]]:
    words: list[list[Piece]] = []
    for piece in pieces:
        if words and piece.continues:
            words[-1].append(piece)
        else:
            words.append([piece])
    return words


def _runs(pieces: Sequence[Piece]) -> list[list[Piece]]:
    """Neighbours of one kind belong together, but where B- begins anew."""
    runs = [[piece] for piece in pieces[:1]]
    for before, piece in pairwise(pieces):
        begins = piece.label.startswith("B-")
        if _kind(piece.label) == _kind(before.label) and not begins:
            runs[-1].append(piece)
        else:
            runs.append([piece])
    return runs


def _kind(label: str) -> str:
    return label[2:] if label.startswith(("B-", "I-")) else label
