"""Dense layers in 8-bit integers, through oneDNN: the weight by output channel, what comes in by its own range.

The range of what comes in is taken from the batch itself, so no calibration data is needed to load a model; how far
the results move is for `agreement` to measure. A few channels of an encoder reach 40 times as far as the others and
would leave them few of the 255 steps: where a norm is before the layer, its weights tell which they are, and they are
made smaller, and their weights larger.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor

from clary.inference.linear import FUSED, ROWS, Dense, PlainDense

LEVELS = 255  # of what comes in: unsigned, with a zero point
SIGNED = 127  # of the weight: symmetric
SIGMAS = 4.0  # how far a norm's output reaches, in units of its weight
SHARE = 0.7  # of a channel's reach that its weights take over


class QuantisedDense:
    """x W^T + b of float32 x (rows, inputs) with the products in integers. The activation runs in the same pass."""

    def __init__(
        self,
        weight: Tensor,
        bias: Tensor | None,
        activation: Callable[[Tensor], Tensor],
        fused: str | None,
        dtype: torch.dtype = torch.float32,
        smaller: Tensor | None = None,
    ) -> None:
        """`dtype`: of what comes out. `smaller`: (inputs,) what each channel of x is divided by."""
        self._factors = None if smaller is None else 1 / smaller
        weight = weight if smaller is None else weight * smaller
        scale = weight.abs().amax(1).clamp_(min=1e-12) / SIGNED
        whole = torch.round(weight / scale[:, None]).to(torch.int8)
        self._weight = torch.ops.onednn.qlinear_prepack(whole, [ROWS, weight.shape[1]])
        self._scale, self._zero = scale, torch.zeros(len(weight), dtype=torch.int64)
        self._bias = None if bias is None else bias.clone()
        self._activation, self._fused, self._dtype = activation, FUSED.get(fused or ""), dtype

    def __call__(self, x: Tensor) -> Tensor:
        return self._product(x, self._dtype, "none", "")

    def plus(self, x: Tensor, other: Tensor) -> Tensor:
        whole, scale, zero = self._quantised(x)
        y: Tensor = torch.ops.onednn.qlinear_pointwise.binary(
            *(whole, scale, zero, self._weight, self._scale, self._zero, other, self._bias),
            *(1.0, 0, torch.float32, 1.0, 0, "add", 1.0, "none", [], ""),
        )
        return y

    def activated(self, x: Tensor) -> Tensor:
        if self._fused is None:
            return self._activation(self._product(x, self._dtype, "none", ""))
        return self._product(x, self._dtype, *self._fused)

    def _product(self, x: Tensor, dtype: torch.dtype, name: str, algorithm: str) -> Tensor:
        whole, scale, zero = self._quantised(x)
        y: Tensor = torch.ops.onednn.qlinear_pointwise(
            *(whole, scale, zero, self._weight, self._scale, self._zero, self._bias),
            *(1.0, 0, dtype, name, [], algorithm),
        )
        return y

    def _quantised(self, x: Tensor) -> tuple[Tensor, float, int]:
        return quantised(x if self._factors is None else x * self._factors)


class HalfDense:
    """A layer in another type than what is around it, which stays in float32: no slower in bfloat16, and nearer."""

    def __init__(self, layer: Dense, dtype: torch.dtype) -> None:
        self._layer, self._dtype = layer, dtype

    def __call__(self, x: Tensor) -> Tensor:
        return self._layer(x.to(self._dtype)).float()

    def plus(self, x: Tensor, other: Tensor) -> Tensor:
        return other + self._layer(x.to(self._dtype))

    def activated(self, x: Tensor) -> Tensor:
        return self._layer.activated(x.to(self._dtype)).float()


def smaller(norm_weight: Tensor, norm_bias: Tensor, weight: Tensor) -> Tensor:
    """What to divide a norm's channels by before a layer of `weight` (outputs, inputs): (inputs,)."""
    reach = (SIGMAS * norm_weight.float().abs() + norm_bias.float().abs()).clamp_(min=1e-6)
    factors: Tensor = reach**SHARE / weight.abs().amax(0).clamp_(min=1e-6) ** (1 - SHARE)
    return (factors / factors.mean()).clamp_(min=1e-3)


def quantised(x: Tensor) -> tuple[Tensor, float, int]:
    """x (float32) as bytes, with x = scale * (bytes - zero) as near as 255 steps over its range come."""
    least, most = (bound.item() for bound in torch.aminmax(x))
    least, most = min(least, 0.0), max(most, 0.0)
    scale = max(most - least, 1e-12) / LEVELS
    zero = round(-least / scale)
    shifted = torch.add(
        torch.tensor(zero + 0.5), x, alpha=1 / scale
    )  # the cast cuts: half a step more rounds
    return shifted.clamp_(0, LEVELS).to(torch.uint8), scale, zero


def quantising_works() -> bool:
    """Whether this torch offers oneDNN's integer layers and they compute here what `linear` does, nearly."""
    generator = torch.Generator().manual_seed(1)
    x, weight, other = (torch.randn(48, 48, generator=generator) for _ in range(3))
    bias = weight[0].clone()
    plain = PlainDense(weight, bias, torch.nn.functional.gelu)
    try:
        layer: Any = QuantisedDense(weight, bias, torch.nn.functional.gelu, "gelu")
        pairs = [
            (layer(x), plain(x)),
            (layer.plus(x, other), plain.plus(x, other)),
            (layer.activated(x), plain.activated(x)),
        ]
    except (RuntimeError, AttributeError, NotImplementedError):
        return False
    return all(torch.allclose(ours, theirs, atol=0.5, rtol=0) for ours, theirs in pairs)
