"""Texts to token ids: batched, without padding, cut at what the model takes."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from clary.inference.tokenizer_file import FileTokenizer

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
    """The most tokens of a text: what the tokenizer says, what the model has positions for, what was asked for.

    `config`: a configuration of transformers, or what its file says.
    """
    settings: Mapping[str, Any] = config if isinstance(config, Mapping) else config.to_dict()
    known = [int(tokenizer.model_max_length)] if tokenizer.model_max_length < NO_LIMIT else []
    positions = settings.get("max_position_embeddings")
    if isinstance(positions, int) and positions > 0:
        known.append(positions - _taken(settings))
    if asked is not None:
        known.append(asked)
    return min(known, default=USUAL_LIMIT)


def _taken(settings: Mapping[str, Any]) -> int:
    """RoBERTa's kin begin to count behind the padding token: their last positions are not for tokens."""
    behind = {"roberta", "xlm-roberta", "camembert", "xlm-roberta-xl", "mpnet", "longformer"}
    family = settings.get("model_type")
    padding = settings.get("pad_token_id") if family != "mpnet" else 1
    return int(padding or 0) + 1 if family in behind else 0


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
    if isinstance(tokenizer, FileTokenizer):
        return _of_file(tokenizer, texts, pairs, most=most, located=located, stride=stride)
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


def _of_file(
    tokenizer: FileTokenizer,
    texts: Sequence[str],
    pairs: Sequence[str] | None,
    *,
    most: int,
    located: bool,
    stride: int | None,
) -> Tokens:
    """The same from the tokenizer itself."""
    backend = tokenizer.backend_tokenizer
    backend.enable_truncation(
        most,
        stride=stride or 0,
        strategy="longest_first" if stride is None else "only_second",
        direction=tokenizer.truncation_side,
    )
    inputs = list(texts) if pairs is None else list(zip(texts, pairs, strict=True))
    encode = backend.encode_batch if located else getattr(backend, "encode_batch_fast", backend.encode_batch)
    parts = [
        (number, part)
        for number, whole in enumerate(encode(inputs))
        for part in ([whole] if stride is None else [whole, *whole.overflowing])
    ]
    nothing = [tokenizer.pad_token_id or 0]
    typed = pairs is not None and "token_type_ids" in tokenizer.model_input_names
    types = _arrays([part.type_ids or [0] for _, part in parts]) if typed else None
    return Tokens(
        ids=_arrays([part.ids or nothing for _, part in parts]),
        types=types if types is not None and any(part.any() for part in types) else None,
        of=np.asarray([number for number, _ in parts], np.int64),
        offsets=[text.reshape(-1, 2) for text in _arrays([part.offsets for _, part in parts])]
        if located
        else None,
        sequence=[_sequence(part.sequence_ids) for _, part in parts] if located else None,
    )


def _arrays(lists: Sequence[Any]) -> list[NDArray[np.int64]]:
    return [np.asarray(values, np.int64) for values in lists]


def _sequence(ids: Sequence[int | None]) -> NDArray[np.int64]:
    return np.asarray([-1 if number is None else number for number in ids], np.int64)
