"""Which texts run together. Pure: lengths in, indexes out."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray


@dataclass(frozen=True, slots=True)
class Group:
    """`texts` texts of `length` tokens each, whose rows begin at `start` in a packed batch."""

    start: int
    texts: int
    length: int

    @property
    def end(self) -> int:
        return self.start + self.texts * self.length


def packed_batches(lengths: NDArray[np.int64], budget: int) -> Iterator[NDArray[np.int64]]:
    """Indexes of the texts of each batch, the longest first, at most `budget` tokens (or one text) a batch."""
    order = np.argsort(-lengths, kind="stable")
    first, tokens = 0, 0
    for place, index in enumerate(order):
        tokens += int(lengths[index])
        if tokens > budget and place > first:
            yield order[first:place]
            first, tokens = place, int(lengths[index])
    if first < len(order):
        yield order[first:]


def padded_batches(lengths: NDArray[np.int64], budget: int) -> Iterator[NDArray[np.int64]]:
    """The same where every text takes as many tokens as the longest of its batch."""
    order = np.argsort(-lengths, kind="stable")
    first = 0
    while first < len(order):
        texts = max(1, budget // max(1, int(lengths[order[first]])))
        yield order[first : first + texts]
        first += texts


def groups(lengths: Sequence[int]) -> list[Group]:
    """Runs of equal length, in order, of a batch whose texts lie one behind the other."""
    found: list[Group] = []
    start = 0
    for length in lengths:
        if found and found[-1].length == length:
            found[-1] = Group(found[-1].start, found[-1].texts + 1, length)
        else:
            found.append(Group(start, 1, length))
        start += length
    return found
