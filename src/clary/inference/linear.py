"""Dense layers y = x W^T + b, with what follows them done in the same pass where the CPU's library can.

oneDNN keeps the weight in the order in which its kernels read it. That alone is worth a factor of two in float32 on
some CPUs, on which the default library (MKL) does not use the widest vectors; the arithmetic stays float32.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from functools import partial
from typing import Any, Protocol

import torch
from torch import Tensor, nn
from torch.nn import functional

FUSED = {
    "gelu": ("gelu", "none"),
    "gelu_new": ("gelu", "tanh"),
    "gelu_pytorch_tanh": ("gelu", "tanh"),
    "relu": ("relu", ""),
}
ACTIVATIONS: Mapping[str, Callable[[Tensor], Tensor]] = {
    "gelu": functional.gelu,
    "gelu_new": partial(functional.gelu, approximate="tanh"),
    "gelu_pytorch_tanh": partial(functional.gelu, approximate="tanh"),
    "relu": functional.relu,
    "silu": functional.silu,
    "swish": functional.silu,
    "tanh": torch.tanh,
}
ROWS = 512  # the number of rows that the order of the weight is chosen for


def activation(name: str) -> Callable[[Tensor], Tensor]:
    """By its name in transformers, which is asked for those that are rare."""
    if name in ACTIVATIONS:
        return ACTIVATIONS[name]
    from transformers.activations import ACT2FN

    found: Callable[[Tensor], Tensor] = ACT2FN[name]
    return found


class Dense(Protocol):
    """A dense layer. Shapes: x (rows, inputs), answers and `other` (rows, outputs)."""

    def __call__(self, x: Tensor) -> Tensor: ...

    def plus(self, x: Tensor, other: Tensor) -> Tensor:
        """x W^T + b + other."""
        ...

    def activated(self, x: Tensor) -> Tensor:
        """The layer's activation of x W^T + b."""
        ...


class PlainDense:
    """Whatever torch does for `linear`, on any device."""

    def __init__(self, weight: Tensor, bias: Tensor | None, activation: Callable[[Tensor], Tensor]) -> None:
        self._weight, self._bias, self._activation = weight, bias, activation

    def __call__(self, x: Tensor) -> Tensor:
        return functional.linear(x, self._weight, self._bias)

    def plus(self, x: Tensor, other: Tensor) -> Tensor:
        return self(x).add_(other)

    def activated(self, x: Tensor) -> Tensor:
        return self._activation(self(x))


class PackedDense:
    """The same through oneDNN, with a weight in its own order (a copy: the plain one can go)."""

    def __init__(
        self, weight: Tensor, bias: Tensor | None, activation: Callable[[Tensor], Tensor], fused: str | None
    ) -> None:
        self._weight = torch.ops.mkldnn._reorder_linear_weight(weight.contiguous(), ROWS)
        self._bias, self._activation = bias, activation
        self._fused = FUSED.get(fused or "")

    def __call__(self, x: Tensor) -> Tensor:
        return _pointwise(x, self._weight, self._bias, "none", [], "")

    def plus(self, x: Tensor, other: Tensor) -> Tensor:
        y: Tensor = torch.ops.mkldnn._linear_pointwise.binary(x, other, self._weight, self._bias, "add")
        return y

    def activated(self, x: Tensor) -> Tensor:
        if self._fused is None:
            return self._activation(self(x))
        name, algorithm = self._fused
        return _pointwise(x, self._weight, self._bias, name, [], algorithm)


def _pointwise(*arguments: Any) -> Tensor:
    y: Tensor = torch.ops.mkldnn._linear_pointwise(*arguments)
    return y


def dense(
    weight: Tensor,
    bias: Tensor | None,
    *,
    packed: bool,
    activation: Callable[[Tensor], Tensor] = nn.Identity(),  # noqa: B008 - stateless
    fused: str | None = None,
) -> Dense:
    """A layer of weight (outputs, inputs) and bias (outputs,). `fused`: the activation's name in transformers."""
    if packed:
        return PackedDense(weight, bias, activation, fused)
    return PlainDense(weight, bias, activation)


def packing_works(dtype: torch.dtype) -> bool:
    """Whether this torch offers oneDNN's layers and they compute here what `linear` does."""
    if not torch.backends.mkldnn.is_available():  # type: ignore[no-untyped-call]
        return False
    generator = torch.Generator().manual_seed(1)
    x, weight, other = (torch.randn(48, 48, generator=generator).to(dtype) for _ in range(3))
    bias = weight[0].clone()
    plain = PlainDense(weight, bias, functional.gelu)
    try:
        layer = PackedDense(weight, bias, functional.gelu, "gelu")
        pairs = [
            (layer(x), plain(x)),
            (layer.plus(x, other), plain.plus(x, other)),
            (layer.activated(x), plain.activated(x)),
        ]
    except (RuntimeError, AttributeError, NotImplementedError):
        return False
    allowed = 1e-4 if dtype == torch.float32 else 0.3
    return all(torch.allclose(ours, theirs, atol=allowed, rtol=0) for ours, theirs in pairs)
