"""Texts to token ids: batched, without padding, cut at what the model takes."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

NO_LIMIT = 1_000_000  # tokenizers without a limit say 10 ** 30
USUAL_LIMIT = 512


@dataclass(frozen=True, slots=True)
class Tokens:
    """Parts of texts as a model reads them; a part is a whole text unless a long one was cut into overlapping parts.

    ids, types: an array (tokens,) a part. offsets: (tokens, 2), characters of the text. of: the text's index.
    sequence: (tokens,) 0 first text, 1 second, -1 special token. Where they were not asked for, they are None.
    """

    ids: Sequence[NDArray[np.int64]]
    types: Sequence[NDArray[np.int64]] | None
    of: NDArray[np.int64]
    offsets: Sequence[NDArray[np.int64]] | None = None
    sequence: Sequence[NDArray[np.int64]] | None = None

    @property
    def lengths(self) -> NDArray[np.int64]:
        return np.fromiter((len(ids) for ids in self.ids), np.int64, len(self.ids))


def limit(tokenizer: Any, config: Any, *, asked: int | None) -> int:
    """The most tokens of a text: what the tokenizer says, what the model has positions for, what was asked for."""
    known = [int(tokenizer.model_max_length)] if tokenizer.model_max_length < NO_LIMIT else []
    positions = getattr(config, "max_position_embeddings", None)
    if isinstance(positions, int) and positions > 0:
        known.append(positions - _taken(config))
    if asked is not None:
        known.append(asked)
    return min(known, default=USUAL_LIMIT)


def _taken(config: Any) -> int:
    """RoBERTa's kin begin to count behind the padding token: their last positions are not for tokens."""
    behind = {"roberta", "xlm-roberta", "camembert", "xlm-roberta-xl", "mpnet", "longformer"}
    padding = config.pad_token_id if config.model_type != "mpnet" else 1
    return int(padding or 0) + 1 if config.model_type in behind else 0


def tokenize(
    tokenizer: Any,
    texts: Sequence[str],
    pairs: Sequence[str] | None = None,
    *,
    most: int,
    located: bool = False,
    stride: int | None = None,
) -> Tokens:
    """`located` adds offsets and sequence. `stride`: tokens by which the parts of a long second text overlap."""
    if not texts:
        return Tokens([], None, np.empty(0, np.int64), *([], []) if located else ())
    encoded = tokenizer(
        list(texts),
        None if pairs is None else list(pairs),
        truncation="longest_first" if stride is None else "only_second",
        max_length=most,
        padding=False,
        return_attention_mask=False,
        return_offsets_mapping=located,
        return_overflowing_tokens=stride is not None,
        **({} if stride is None else {"stride": stride}),
    )
    nothing = [tokenizer.pad_token_id or 0]
    ids = _arrays([text or nothing for text in encoded["input_ids"]])
    types = encoded.get("token_type_ids")
    if types is not None and not any(any(text) for text in types):
        types = None  # models take zeros by themselves
    of = encoded.get("overflow_to_sample_mapping")
    return Tokens(
        ids=ids,
        types=None if types is None else _arrays(types),
        of=np.arange(len(ids)) if of is None else np.asarray(of, np.int64),
        offsets=[text.reshape(-1, 2) for text in _arrays(encoded["offset_mapping"])] if located else None,
        sequence=[_sequence(encoded.sequence_ids(part)) for part in range(len(ids))] if located else None,
    )


def _arrays(lists: Sequence[Any]) -> list[NDArray[np.int64]]:
    return [np.asarray(values, np.int64) for values in lists]


def _sequence(ids: Sequence[int | None]) -> NDArray[np.int64]:
    return np.asarray([-1 if number is None else number for number in ids], np.int64)
