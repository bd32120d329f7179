"""Which number format to run in. Only what is asked for is ever run; this says what would pay here."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

import torch

Precision = Literal["fp32", "bf16", "int8", "auto"]
CPU = torch.device("cpu")


@dataclass(frozen=True, slots=True)
class Format:
    """dtype: of what flows between layers. attention: of queries, keys and values, and what else is near them.

    whole: products of what norms put out in integers, which are the wide ones.
    """

    dtype: torch.dtype
    attention: torch.dtype
    whole: bool = False


FORMATS = {
    "fp32": Format(torch.float32, torch.float32),
    "bf16": Format(torch.bfloat16, torch.bfloat16),
    "int8": Format(torch.float32, torch.float32, whole=True),
    "auto": Format(torch.float32, torch.float32),
}


def form(precision: Precision) -> Format:
    """In int8 the attention runs in bfloat16 where the processor has it. Raises ValueError."""
    if precision not in FORMATS:
        raise ValueError(f"precision: {', '.join(FORMATS)} expected, not {precision!r}")
    if precision == "int8" and recommended(CPU) == "bf16":
        return Format(torch.float32, torch.bfloat16, whole=True)
    return FORMATS[precision]


def recommended(device: torch.device) -> Literal["fp32", "bf16"]:
    """bf16 where the hardware multiplies it faster than float32: AVX512-BF16, AMX, or a GPU that has it."""
    if device.type == "cuda":
        return "bf16" if torch.cuda.is_bf16_supported() else "fp32"
    has = ("_is_avx512_bf16_supported", "_is_amx_tile_supported")
    return "bf16" if any(map(_has, has)) else "fp32"


def _has(name: str) -> bool:
    check = getattr(torch.cpu, name, None)
    return check is not None and bool(check())


def advice(precision: Precision, device: torch.device) -> str | None:
    """A sentence for the user where another precision than the one asked for would serve better, else None."""
    better = recommended(device)
    if precision == "auto" and better == "bf16":
        return "float32 is exact; precision='bf16' would be faster here and move probabilities by about 0.01"
    if precision == "bf16" and better == "fp32":
        return "this processor has no bfloat16 arithmetic: precision='bf16' is slower here than float32"
    if precision == "int8" and not any(map(_has, ("_is_vnni_supported", "_is_avx512_vnni_supported"))):
        return "this processor has no products of 8-bit integers (VNNI): precision='int8' may be slower here"
    return None
