"""Which number format to run in. Only what is asked for is ever run; this says what would pay here."""

from __future__ import annotations

from typing import Literal

import torch

Precision = Literal["fp32", "bf16", "auto"]
DTYPES = {"fp32": torch.float32, "bf16": torch.bfloat16, "auto": torch.float32}


def dtype(precision: Precision) -> torch.dtype:
    """Raises ValueError."""
    if precision not in DTYPES:
        raise ValueError(f"precision: {', '.join(DTYPES)} expected, not {precision!r}")
    return DTYPES[precision]


def recommended(device: torch.device) -> Literal["fp32", "bf16"]:
    """bf16 where the hardware multiplies it faster than float32: AVX512-BF16, AMX, or a GPU that has it."""
    if device.type == "cuda":
        return "bf16" if torch.cuda.is_bf16_supported() else "fp32"
    has = [getattr(torch.cpu, name, None) for name in ("_is_avx512_bf16_supported", "_is_amx_tile_supported")]
    return "bf16" if any(check is not None and check() for check in has) else "fp32"


def advice(precision: Precision, device: torch.device) -> str | None:
    """A sentence for the user where another precision than the one asked for would serve better, else None."""
    better = recommended(device)
    if precision == "auto" and better == "bf16":
        return "float32 is exact; precision='bf16' would be faster here and move probabilities by about 0.01"
    if precision == "bf16" and better == "fp32":
        return "this processor has no bfloat16 arithmetic: precision='bf16' is slower here than float32"
    return None
