"""What the ScalingType of a range means. Pure."""

from __future__ import annotations

from typing import Literal, TypeAlias

Scaling: TypeAlias = Literal["Auto", "Linear", "Logarithmic", "ReverseLogarithmic"]

AUTO_LOG_RATIO = 100.0


def resolve(scaling: str, low: float, high: float) -> Scaling:
    """The scaling that Auto stands for between these bounds; others stand for themselves, unknown ones for Linear."""
    match scaling:
        case "Logarithmic" | "ReverseLogarithmic":
            return scaling
        case "Auto" if low > 0 and high / low >= AUTO_LOG_RATIO:
            return "Logarithmic"
        case _:
            return "Linear"
