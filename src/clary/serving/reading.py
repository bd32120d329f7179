"""Texts as a model reads them: cut at what it takes, with a count of what was cut."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np

from clary.inference import Encoder, Tokens
from clary.serving.faults import RequestFault

Strategy = Literal["longest_first", "only_first", "only_second"]
Pair = tuple[str, str | None]


@dataclass(frozen=True, slots=True)
class Part:
    """What the model runs over at once: a text, a pair, or a piece of a long one. `encoding` is the tokenizer's."""

    encoding: Any
    cut: bool  # whether tokens of the text are in no part


def too_long(tokens: int, limit: int) -> str:
    """What a client is told of text that is not to be cut."""
    return (
        f"a text has {tokens} tokens, the model takes {limit}: shorten it, send "
        '"parameters": {"truncation": true}, or set CLARY_TRUNCATE=true in the model\'s environment'
    )


def note(cut: int, texts: int, limit: int) -> str | None:
    """What a client is told of text that was cut."""
    return f"truncated {cut} of {texts} inputs to {limit} tokens" if cut else None


class Reader:
    """Makes tokens with an encoder's own tokenizer. `truncate`: whether text over the limit is cut or refused."""

    def __init__(self, encoder: Encoder, *, truncate: bool) -> None:
        self.encoder = encoder
        self.tokenizer = encoder.tokenizer
        self.limit = encoder.max_length
        self._truncate = truncate
        self._typed = "token_type_ids" in self.tokenizer.model_input_names
        self._padding = self.tokenizer.pad_token_id or 0

    def read(
        self,
        texts: Sequence[Pair],
        *,
        strategy: Strategy = "longest_first",
        asked: bool = False,
        most: int | None = None,
    ) -> list[Part]:
        """A part a text, of `most` tokens or as many as the model takes. `asked`: the client wants cutting.

        Raises RequestFault where one is too long and may not be cut, or cannot be.
        """
        limit = min(most or self.limit, self.limit)
        found = []
        for text in texts:
            encoding = self._encoding(text, limit, strategy, 0)
            if encoding.overflowing and not (self._truncate or asked):
                raise RequestFault(too_long(self.length(text), limit))
            found.append(Part(encoding, bool(encoding.overflowing)))
        return found

    def read_in_pieces(self, text: Pair, *, most: int, strategy: Strategy, stride: int) -> list[Part]:
        """All of a long text: pieces of `most` tokens that overlap by `stride`. Raises RequestFault."""
        first = self._encoding(text, most, strategy, stride)
        return [Part(encoding, cut=False) for encoding in (first, *first.overflowing)]

    def length(self, text: Pair) -> int:
        """Tokens of the whole text."""
        backend = self.tokenizer.backend_tokenizer
        backend.no_truncation()
        backend.no_padding()
        return len(backend.encode(*text).ids)

    def _encoding(self, text: Pair, most: int, strategy: Strategy, stride: int) -> Any:
        backend = self.tokenizer.backend_tokenizer
        try:
            backend.enable_truncation(
                most, stride=stride, strategy=strategy, direction=self.tokenizer.truncation_side
            )
            backend.no_padding()
            return backend.encode(*text)
        except TypeError as error:  # texts are strings here: it is what they hold
            raise RequestFault("a text holds half of a character (a lone surrogate)") from error
        except Exception as error:  # the tokenizer raises Exception itself for text that no cut makes fit
            if type(error) is not Exception and not isinstance(error, ValueError):
                raise
            raise RequestFault(
                f"a text has {self.length(text)} tokens and cannot be cut to {most}: {error}"
            ) from error

    def run(self, parts: Sequence[Part]) -> list[Any]:
        """The model's outputs of each part: (labels,) of a classifier, (tokens, outputs) of the other tasks."""
        nothing = [self._padding]
        ids = [np.asarray(part.encoding.ids or nothing, np.int64) for part in parts]
        types = None
        if self._typed:
            types = [np.asarray(part.encoding.type_ids or [0], np.int64) for part in parts]
            types = types if any(part.any() for part in types) else None
        return self.encoder.outputs(Tokens(ids, types, np.arange(len(ids))))
