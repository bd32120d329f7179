"""A transformers encoder, read into the few matrices that a padding-free pass needs.

BERT's family differs in names, in how positions are counted and in what a head looks at; the arithmetic of a layer is
the same. What is not exactly that arithmetic is refused with the reason, and runs in the ordinary way.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn

from clary.inference.linear import Dense, dense

BERT_LIKE = {"bert", "roberta", "xlm_roberta", "camembert", "electra"}
FROM_PADDING = {"roberta", "xlm_roberta", "camembert"}  # count positions from the padding token's id on
FAMILIES = BERT_LIKE | {"distilbert"}


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
    instead of two wide ones a token. The keys' bias adds the same to every score, which softmax does not see.
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
    head: Callable[[Tensor], Tensor]  # float32 (rows, hidden) -> (rows, outputs)
    first_only: bool  # whether the head looks at the first token of a text only


def why_not_packed(model: Any) -> str | None:
    """Why the model cannot run padding-free, or None."""
    family = _family(model)
    config = model.config
    if family is None:
        return f"{type(model).__name__} is not one of the architectures that run padding-free"
    if getattr(config, "is_decoder", False) or getattr(config, "add_cross_attention", False):
        return "it is set up as a decoder"
    if (getattr(config, "position_embedding_type", None) or "absolute") != "absolute":
        return f"its positions are {config.position_embedding_type}"
    if not isinstance(_activation_name(config), str):
        return "its activation has no name"
    if _head(model, family) is None:
        return f"{type(model).__name__} has a head of another kind"
    odd = [name for name, module in model.named_modules() if _changed(module)]
    return f"{odd[0]} is not an ordinary layer" if odd else None


def _family(model: Any) -> str | None:
    parts = type(model).__module__.split(".")
    if parts[:2] != ["transformers", "models"] or len(parts) < 4:
        return None
    return parts[2] if parts[2] in FAMILIES else None


def _changed(module: nn.Module) -> bool:
    """Adapters, quantised layers, hooks: something else than the layer's own arithmetic."""
    kinds = (nn.Linear, nn.Embedding, nn.LayerNorm)
    ordinary = type(module) in kinds or not isinstance(module, kinds)
    dressed = module._forward_hooks or module._forward_pre_hooks or hasattr(module, "parametrizations")
    foreign = not type(module).__module__.startswith(("torch.nn.modules", "transformers."))
    return bool(dressed) or not ordinary or foreign


def _activation_name(config: Any) -> Any:
    return getattr(config, "hidden_act", None) or getattr(config, "activation", None)


def read(model: Any, dtype: torch.dtype, *, packed: bool) -> Weights:
    """The matrices of a model for which `why_not_packed` says None.

    `dtype` is that of the encoder's products; norms run in it too, the head stays float32. With `packed` the dense
    weights are copies in oneDNN's order, and the model itself can be let go.
    """
    family = _family(model)
    assert family is not None
    head, first_only = _head(model, family) or (nn.Identity(), False)
    base = model.base_model
    reader = _Reader(base.config, dtype, packed)
    read_layer = reader.distilbert_layer if family == "distilbert" else reader.bert_layer
    modules = (base.transformer if family == "distilbert" else base.encoder).layer
    layers = [read_layer(module, first=first_only and module is modules[-1]) for module in modules]
    return Weights(
        embedding=reader.embedding(base, family),
        layers=tuple(layers),
        heads=reader.heads,
        hidden=reader.hidden,
        dtype=dtype,
        head=head,
        first_only=first_only,
    )


class _Reader:
    def __init__(self, config: Any, dtype: torch.dtype, packed: bool) -> None:
        from transformers.activations import ACT2FN

        self.heads: int = config.num_attention_heads
        self.hidden: int = config.hidden_size
        self._dtype, self._packed = dtype, packed
        self._fused = _activation_name(config)
        self._activation = ACT2FN[self._fused]

    def bert_layer(self, module: Any, *, first: bool) -> Layer:
        attention = module.attention
        whole, thin = self._attention(
            attention.self.query, attention.self.key, attention.self.value, first=first
        )
        return Layer(
            qkv=whole,
            first=thin,
            out=self._dense(attention.output.dense),
            attended=self._norm(attention.output.LayerNorm),
            up=self._dense(module.intermediate.dense),
            down=self._dense(module.output.dense),
            finished=self._norm(module.output.LayerNorm),
        )

    def distilbert_layer(self, module: Any, *, first: bool) -> Layer:
        attention = module.attention
        whole, thin = self._attention(attention.q_lin, attention.k_lin, attention.v_lin, first=first)
        return Layer(
            qkv=whole,
            first=thin,
            out=self._dense(attention.out_lin),
            attended=self._norm(module.sa_layer_norm),
            up=self._dense(module.ffn.lin1),
            down=self._dense(module.ffn.lin2),
            finished=self._norm(module.output_layer_norm),
        )

    def embedding(self, base: Any, family: str) -> Embedding:
        module, project = base.embeddings, getattr(base, "embeddings_project", None)
        types = getattr(module, "token_type_embeddings", None)
        padding = module.padding_idx if family in FROM_PADDING else None
        return Embedding(
            words=self._cast(module.word_embeddings.weight),
            positions=self._cast(module.position_embeddings.weight),
            types=None if types is None else self._cast(types.weight),
            norm=self._norm(module.LayerNorm),
            project=None if project is None else self._dense(project),
            first_position=0 if padding is None else padding + 1,
            padding=padding,
        )

    def _attention(
        self, query: nn.Linear, key: nn.Linear, value: nn.Linear, *, first: bool
    ) -> tuple[Dense | None, FirstTokenAttention | None]:
        scale = (self.hidden // self.heads) ** -0.5
        q_weight, q_bias = query.weight.detach() * scale, query.bias.detach() * scale
        if first:
            by_head = (self.heads, self.hidden // self.heads, self.hidden)
            return None, FirstTokenAttention(
                query=self._raw(q_weight, q_bias),
                key=self._cast(key.weight).view(by_head),
                value=self._cast(value.weight).view(by_head).transpose(1, 2).contiguous(),
                value_bias=self._cast(value.bias),
            )
        weight = torch.cat([q_weight, key.weight.detach(), value.weight.detach()])
        return self._raw(weight, torch.cat([q_bias, key.bias.detach(), value.bias.detach()])), None

    def _dense(self, module: nn.Linear) -> Dense:
        return self._raw(module.weight.detach(), None if module.bias is None else module.bias.detach())

    def _raw(self, weight: Tensor, bias: Tensor | None) -> Dense:
        return dense(
            weight.to(self._dtype),
            None if bias is None else bias.to(self._dtype),
            packed=self._packed,
            activation=self._activation,
            fused=self._fused,
        )

    def _norm(self, module: nn.LayerNorm) -> Norm:
        return Norm(self._cast(module.weight), self._cast(module.bias), module.eps)

    def _cast(self, weight: Tensor) -> Tensor:
        return weight.detach().to(self._dtype)


def _head(model: Any, family: str) -> tuple[Callable[[Tensor], Tensor], bool] | None:
    """The head of the model and whether it looks at first tokens only. It is the model's own code wherever there is."""
    kind = type(model).__name__.partition("For")[2]
    if kind == "SequenceClassification":
        return _first_token_head(model, family), True
    if kind == "TokenClassification":
        return model.classifier, False
    if kind == "QuestionAnswering":
        return model.qa_outputs, False
    if not kind and type(model).__name__.endswith("Model"):
        return nn.Identity(), False
    return None


def _first_token_head(model: Any, family: str) -> Callable[[Tensor], Tensor]:
    """Holds the head's own modules only, so that the rest of the model can be let go."""
    classifier = model.classifier
    if family == "bert":
        pooler = model.bert.pooler
        return lambda x: classifier(pooler(x[:, None]))
    if family == "distilbert":
        before = model.pre_classifier
        return lambda x: classifier(torch.relu(before(x)))
    return lambda x: classifier(x[:, None])
