"""An encoder, read into the few matrices that a padding-free pass needs.

BERT's family differs in names, in how positions are counted and in what a head looks at; the arithmetic of a layer is
the same.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import torch
from torch import Tensor, nn

from clary.inference import linear
from clary.inference.heads import Head, head
from clary.inference.linear import Dense
from clary.inference.precision import Format
from clary.inference.quantised import HalfDense, QuantisedDense, smaller
from clary.inference.source import FROM_PADDING, Source, activation_name

BERT_NAMES = {
    "layers": "encoder.layer",
    "query": "attention.self.query",
    "key": "attention.self.key",
    "value": "attention.self.value",
    "out": "attention.output.dense",
    "attended": "attention.output.LayerNorm",
    "up": "intermediate.dense",
    "down": "output.dense",
    "finished": "output.LayerNorm",
}
DISTILBERT_NAMES = {
    "layers": "transformer.layer",
    "query": "attention.q_lin",
    "key": "attention.k_lin",
    "value": "attention.v_lin",
    "out": "attention.out_lin",
    "attended": "sa_layer_norm",
    "up": "ffn.lin1",
    "down": "ffn.lin2",
    "finished": "output_layer_norm",
}
DISTILBERT_EPSILON = 1e-12


@dataclass(frozen=True, slots=True)
class Norm:
    weight: Tensor
    bias: Tensor
    epsilon: float

    def __call__(self, x: Tensor) -> Tensor:
        return nn.functional.layer_norm(x, self.weight.shape, self.weight, self.bias, self.epsilon)


@dataclass(frozen=True, slots=True)
class FirstTokenAttention:
    """Attention of the first token only, without making keys and values of the others.

    A head's scores are q (W_k x_j) = (W_k^T q) x_j, and its result W_v (sum of p_j x_j): two thin products a head
    instead of two wide ones a token, in float32. The keys' bias adds the same to every score, which softmax does not
    see.
    """

    query: Dense  # scaled
    key: Tensor  # (heads, head size, hidden)
    value: Tensor  # (heads, hidden, head size)
    value_bias: Tensor  # (hidden,)


@dataclass(frozen=True, slots=True)
class Layer:
    """`qkv` gives queries (scaled by 1 / sqrt(head size)), keys and values side by side: (rows, 3 hidden)."""

    qkv: Dense | None  # None where only the first token is looked at
    first: FirstTokenAttention | None
    out: Dense
    attended: Norm
    up: Dense
    down: Dense
    finished: Norm


@dataclass(frozen=True, slots=True)
class Embedding:
    words: Tensor
    positions: Tensor
    types: Tensor | None
    norm: Norm
    project: Dense | None
    first_position: int
    padding: int | None  # the id that takes no position, where there is one


@dataclass(frozen=True, slots=True)
class Weights:
    embedding: Embedding
    layers: tuple[Layer, ...]
    heads: int
    hidden: int
    dtype: torch.dtype
    head: Head  # float32 (rows, hidden) -> (rows, outputs)
    first_only: bool  # whether the head looks at the first token of a text only


def names(family: str) -> Mapping[str, str]:
    """The parts of a layer as a family names them."""
    return DISTILBERT_NAMES if family == "distilbert" else BERT_NAMES


def heads_and_layers(settings: Mapping[str, object]) -> tuple[int, int]:
    """Raises KeyError."""
    if "n_heads" in settings:
        return int(str(settings["n_heads"])), int(str(settings["n_layers"]))
    return int(str(settings["num_attention_heads"])), int(str(settings["num_hidden_layers"]))


def read(source: Source, form: Format, *, packed: bool) -> Weights:
    """The matrices of a source.

    Norms run in the format's own type too, the head stays float32. With `packed` the dense weights are copies in
    oneDNN's order, and the model itself can be let go.
    """
    return _Reader(source, form, packed).weights()


class _Reader:
    def __init__(self, source: Source, form: Format, packed: bool) -> None:
        self._source, self._form, self._packed = source, form, packed
        self._names = names(source.family)
        self._heads, self._count = heads_and_layers(source.settings)
        self._epsilon = float(source.settings.get("layer_norm_eps") or DISTILBERT_EPSILON)
        self._fused = activation_name(source.settings)
        self._activation = linear.activation(self._fused)

    def weights(self) -> Weights:
        first_only = self._source.task == "classification"
        embedding = self._embedding()
        layers: list[Layer] = []
        for number in range(self._count):
            before = layers[-1].finished if layers else embedding.norm
            last = number == self._count - 1
            prefix = f"{self._names['layers']}.{number}."
            layers.append(self._layer(prefix, before, first=first_only and last))
        return Weights(
            embedding=embedding,
            layers=tuple(layers),
            heads=self._heads,
            hidden=layers[0].attended.weight.shape[0],
            dtype=self._form.dtype,
            head=head(self._source),
            first_only=first_only,
        )

    def _layer(self, prefix: str, before: Norm, *, first: bool) -> Layer:
        part = {name: prefix + self._names[name] for name in ("out", "attended", "up", "down", "finished")}
        attended = self._norm(part["attended"])
        return Layer(
            qkv=None if first else self._normed(*self._qkv(prefix), before),
            first=self._first_token_attention(prefix) if first else None,
            out=self._dense(part["out"]),
            attended=attended,
            up=self._normed(*self._weight_and_bias(part["up"]), attended),
            down=self._dense(part["down"]),
            finished=self._norm(part["finished"]),
        )

    def _embedding(self) -> Embedding:
        source, types = self._source, "embeddings.token_type_embeddings.weight"
        family, base = source.family, source.base
        padding = int(source.settings.get("pad_token_id") or 0) if family in FROM_PADDING else None
        return Embedding(
            words=self._cast("embeddings.word_embeddings.weight"),
            positions=self._cast("embeddings.position_embeddings.weight"),
            types=self._cast(types) if base + types in source.tensors else None,
            norm=self._norm("embeddings.LayerNorm"),
            project=self._dense("embeddings_project")
            if base + "embeddings_project.weight" in source.tensors
            else None,
            first_position=0 if padding is None else padding + 1,
            padding=padding,
        )

    def _qkv(self, prefix: str) -> tuple[Tensor, Tensor]:
        """Side by side, the queries scaled."""
        (query, q_bias), (key, k_bias), (value, v_bias) = self._parts(prefix)
        scale = (query.shape[0] // self._heads) ** -0.5
        return torch.cat([query * scale, key, value]), torch.cat([q_bias * scale, k_bias, v_bias])

    def _first_token_attention(self, prefix: str) -> FirstTokenAttention:
        (query, q_bias), (key, _), (value, v_bias) = self._parts(prefix)
        hidden = query.shape[0]
        scale = (hidden // self._heads) ** -0.5
        by_head = (self._heads, hidden // self._heads, hidden)
        return FirstTokenAttention(
            query=self._exact(query * scale, q_bias * scale, self._form.dtype),
            key=key.view(by_head),
            value=value.view(by_head).transpose(1, 2).contiguous(),
            value_bias=v_bias,
        )

    def _parts(self, prefix: str) -> list[tuple[Tensor, Tensor]]:
        return [self._weight_and_bias(prefix + self._names[name]) for name in ("query", "key", "value")]

    def _normed(self, weight: Tensor, bias: Tensor, norm: Norm) -> Dense:
        """A layer behind a norm, and before what runs in the attention's type."""
        form = self._form
        if not form.whole:
            return self._exact(weight, bias, form.dtype)
        return QuantisedDense(
            weight, bias, self._activation, self._fused, form.attention, self._smaller(norm, weight)
        )

    def _smaller(self, norm: Norm, weight: Tensor) -> Tensor | None:
        """None where the layer does not see the norm's own channels, but a projection of them."""
        return smaller(norm.weight, norm.bias, weight) if len(norm.weight) == weight.shape[1] else None

    def _dense(self, name: str) -> Dense:
        weight, bias = self._weight_and_bias(name)
        form = self._form
        if not form.whole:
            return self._exact(weight, bias, form.dtype)
        if form.attention != form.dtype:
            return HalfDense(self._exact(weight, bias, form.attention), form.attention)
        return QuantisedDense(weight, bias, self._activation, self._fused)

    def _exact(self, weight: Tensor, bias: Tensor, dtype: torch.dtype) -> Dense:
        return linear.dense(
            weight.to(dtype),
            bias.to(dtype),
            packed=self._packed,
            activation=self._activation,
            fused=self._fused,
        )

    def _weight_and_bias(self, name: str) -> tuple[Tensor, Tensor]:
        return self._float(f"{name}.weight"), self._float(f"{name}.bias")

    def _norm(self, name: str) -> Norm:
        return Norm(self._cast(f"{name}.weight"), self._cast(f"{name}.bias"), self._epsilon)

    def _cast(self, name: str) -> Tensor:
        return self._source.of_encoder(name).detach().to(self._form.dtype)

    def _float(self, name: str) -> Tensor:
        return self._source.of_encoder(name).detach().float()
