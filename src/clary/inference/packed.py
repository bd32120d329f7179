"""The padding-free pass: all tokens of a batch in one matrix, attention over groups of equal length without a mask."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.nn import functional

from clary.inference.batches import Group, groups
from clary.inference.weights import Embedding, FirstTokenAttention, Weights

STEP = 16
COARSE = 16  # steps in a doubling of the rows


@dataclass(frozen=True, slots=True)
class Packed:
    """A batch. `ids` and `types` are (rows,), texts one behind the other; `groups` say where they are."""

    ids: Tensor
    types: Tensor | None
    positions: Tensor
    groups: Sequence[Group]
    tokens: int


def pack(
    ids: Sequence[NDArray[np.int64]], types: Sequence[NDArray[np.int64]] | None, embedding: Embedding
) -> Packed:
    """A batch of texts, those of equal length beside each other."""
    lengths = [len(text) for text in ids]
    tokens = sum(lengths)
    rows = filled_up(tokens)
    return Packed(
        ids=torch.from_numpy(_filled(ids, rows)),
        types=None if types is None else torch.from_numpy(_filled(types, rows)),
        positions=torch.from_numpy(_filled([_positions(text, embedding) for text in ids], rows)),
        groups=groups(lengths),
        tokens=tokens,
    )


def filled_up(tokens: int) -> int:
    """Rows of a batch, a few more than it has tokens, so that there are few numbers of rows.

    oneDNN makes a kernel for each that it meets, and what it keeps of each lies between the batch's matrices on the
    heap: with every multiple of 16 a process grows by some 5 MB for each number of rows.
    """
    step = max(STEP, (1 << (max(tokens, 1) - 1).bit_length()) // COARSE)
    return -(-tokens // step) * step


def _filled(arrays: Sequence[NDArray[np.int64]], rows: int) -> NDArray[np.int64]:
    filled = np.zeros(rows, np.int64)
    np.concatenate(arrays, out=filled[: sum(map(len, arrays))])
    return filled


def _positions(ids: NDArray[np.int64], embedding: Embedding) -> NDArray[np.int64]:
    if embedding.padding is None or not (padding := ids == embedding.padding).any():
        return np.arange(embedding.first_position, embedding.first_position + len(ids))
    return np.where(padding, embedding.padding, embedding.padding + np.cumsum(~padding))


def run(weights: Weights, batch: Packed) -> Tensor:
    """The head's outputs, float32: (texts, outputs) where it looks at first tokens, else (tokens, outputs)."""
    x = _embedded(weights.embedding, batch)
    for layer in weights.layers:
        if layer.first is not None:
            x, context = _first_token_context(layer.first, x, batch, weights.heads)
        else:
            assert layer.qkv is not None
            context = _context(layer.qkv(x), batch, weights.heads)
        x = layer.attended(layer.out.plus(context, x))
        x = layer.finished(layer.down.plus(layer.up.activated(x), x))
    outputs: Tensor = weights.head((x if weights.first_only else x[: batch.tokens]).float())
    return outputs.float()


def _embedded(embedding: Embedding, batch: Packed) -> Tensor:
    x = functional.embedding(batch.ids, embedding.words)
    if embedding.types is not None:
        types = (
            embedding.types[0] if batch.types is None else functional.embedding(batch.types, embedding.types)
        )
        x += types
    x += functional.embedding(batch.positions, embedding.positions)
    x = embedding.norm(x)
    return x if embedding.project is None else embedding.project(x)


def _context(qkv: Tensor, batch: Packed, heads: int) -> Tensor:
    """qkv (rows, 3 hidden) -> what each token attended to (rows, hidden)."""
    rows, hidden = qkv.shape[0], qkv.shape[1] // 3
    context = qkv.new_empty(rows, hidden)
    context[batch.tokens :].zero_()
    attend = _attend_by_text if qkv.dtype == torch.bfloat16 else _attend
    for group in batch.groups:
        result = context[group.start : group.end].view(group.texts, group.length, heads, hidden // heads)
        attend(
            qkv[group.start : group.end].view(group.texts, group.length, 3, heads, hidden // heads),
            result.transpose(1, 2),
        )
    return context


def _attend(qkv: Tensor, result: Tensor) -> None:
    """qkv (texts, length, 3, heads, head size), result (texts, heads, length, head size); q is scaled already."""
    q, k, v = qkv.permute(2, 0, 3, 1, 4).unbind(0)
    result.copy_(functional.scaled_dot_product_attention(q, k, v, scale=1.0))


def _attend_by_text(qkv: Tensor, result: Tensor) -> None:
    """The same in bfloat16: two products and a softmax in float32, text by text in the cache, beat the fused kernel.

    Texts are filled up here too: the library keeps 1.3 MB for ever for each length that it multiplies.
    """
    length, heads, size = qkv.shape[1], qkv.shape[3], qkv.shape[4]
    for qkv_i, result_i in zip(qkv, result, strict=True):
        filled = qkv.new_zeros(3, heads, filled_up(length), size)
        filled[:, :, :length].copy_(qkv_i.permute(1, 2, 0, 3))
        q, k, v = filled
        scores = torch.bmm(q, k.transpose(1, 2)).float()
        scores[:, :, length:].fill_(-torch.inf)
        looked = torch.bmm(torch.softmax(scores, -1).to(qkv.dtype), v)
        result_i.copy_(looked[:, :length])


def _first_token_context(
    attention: FirstTokenAttention, x: Tensor, batch: Packed, heads: int
) -> tuple[Tensor, Tensor]:
    """x (rows, hidden) -> the first tokens' rows and what they attended to, each (texts, hidden).

    In float32: the products are thin, and need no kernel for each length.
    """
    first = torch.cat([x[group.start : group.end : group.length] for group in batch.groups])
    texts, hidden = first.shape
    query = attention.query(first).float().view(texts, heads, hidden // heads).transpose(0, 1)
    looking = torch.bmm(query, attention.key).transpose(0, 1)  # (texts, heads, hidden)
    seen, start = [], 0
    for group in batch.groups:
        tokens = x[group.start : group.end].float().view(group.texts, group.length, hidden)
        scores = torch.bmm(looking[start : start + group.texts], tokens.transpose(1, 2))
        seen.append(torch.bmm(torch.softmax(scores, -1), tokens))
        start += group.texts
    summed = torch.bmm(torch.cat(seen).transpose(0, 1), attention.value)  # (heads, texts, head size)
    attended = summed.transpose(0, 1).reshape(texts, hidden) + attention.value_bias
    return first, attended.to(x.dtype)
