"""What makes a task's outputs of the encoder's last hidden states, in float32."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from functools import partial

import torch
from torch import Tensor
from torch.nn import functional

from clary.inference.source import Source

Head = Callable[[Tensor], Tensor]  # float32 (rows, hidden) -> (rows, outputs)


def head(source: Source) -> Head:
    """The source's own, holding its own tensors only. A classifier's looks at the first token of each text."""
    if source.task == "features":
        return _nothing
    if source.task == "classification":
        first, between, last = _layers(source)
        return partial(_two_layers, _layer(source, first), between, _layer(source, last))
    return partial(_one_layer, _layer(source, "classifier" if source.task == "tagging" else "qa_outputs"))


def names(source_family: str, task: str, base: str) -> tuple[str, ...]:
    """The layers of a head, as the model names them."""
    if task == "classification":
        return CLASSIFIERS[source_family][0].format(base=base), CLASSIFIERS[source_family][2]
    return {"tagging": ("classifier",), "answering": ("qa_outputs",)}.get(task, ())


CLASSIFIERS: Mapping[str, tuple[str, Head, str]] = {
    "bert": ("{base}pooler.dense", torch.tanh, "classifier"),
    "distilbert": ("pre_classifier", torch.relu, "classifier"),
    "electra": ("classifier.dense", functional.gelu, "classifier.out_proj"),
    "roberta": ("classifier.dense", torch.tanh, "classifier.out_proj"),
    "xlm_roberta": ("classifier.dense", torch.tanh, "classifier.out_proj"),
    "camembert": ("classifier.dense", torch.tanh, "classifier.out_proj"),
}


def _layers(source: Source) -> tuple[str, Head, str]:
    first, between, last = CLASSIFIERS[source.family]
    return first.format(base=source.base), between, last


def _layer(source: Source, name: str) -> tuple[Tensor, Tensor | None]:
    bias = source.tensors.get(f"{name}.bias")
    return source.tensors[f"{name}.weight"].detach().float(), None if bias is None else bias.detach().float()


def _nothing(x: Tensor) -> Tensor:
    return x


def _one_layer(layer: tuple[Tensor, Tensor | None], x: Tensor) -> Tensor:
    return functional.linear(x, *layer)


def _two_layers(
    first: tuple[Tensor, Tensor | None], between: Head, last: tuple[Tensor, Tensor | None], x: Tensor
) -> Tensor:
    return functional.linear(between(functional.linear(x, *first)), *last)
