"""One look for all charts: light, sober, and told apart by people who see colours differently (Okabe and Ito's set)."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

SCHEMA = "https://vega.github.io/schema/vega-lite/v5.json"

BLUE, SKY, ORANGE, VERMILION, GREY, INK = "#0072B2", "#56B4E9", "#E69F00", "#D55E00", "#8C8C8C", "#333333"
SEVERAL = (BLUE, ORANGE, "#009E73", "#CC79A7", SKY, VERMILION, "#000000")

WIDTH = 860  # pixels, of the plotted part
OUTCOMES = {
    "completed": ("circle", BLUE),
    "reached MaxResource": ("diamond", "#009E73"),
    "stopped early": ("triangle-down", ORANGE),
    "stopped": ("square", GREY),
    "no value": ("triangle-up", "#CC79A7"),
    "failed": ("cross", VERMILION),
}

CONFIG: dict[str, Any] = {
    "background": "white",
    "font": "sans-serif",
    "padding": 16,
    "view": {"stroke": None},
    "title": {
        "anchor": "start",
        "frame": "group",
        "fontSize": 13,
        "color": INK,
        "subtitleColor": "#666666",
        "offset": 8,
    },
    "axis": {
        "labelColor": "#555555",
        "titleColor": INK,
        "titleFontWeight": "normal",
        "titleFontSize": 11,
        "labelFontSize": 10,
        "gridColor": "#EBEBEB",
        "domainColor": "#999999",
        "tickColor": "#999999",
        "labelOverlap": "greedy",
    },
    "legend": {"titleFontWeight": "normal", "titleFontSize": 11, "labelFontSize": 10, "titleColor": INK},
    "concat": {"spacing": 28},
}


def span(values: Sequence[float], *, air: float = 0.06) -> list[float]:
    """Both ends of an axis that shows all these values with a little air; [0, 1] for none."""
    if not values:
        return [0.0, 1.0]
    low, high = min(values), max(values)
    margin = air * (high - low) or 0.05 * abs(high) or 0.5
    return [low - margin, high + margin]


def log_ticks(low: float, high: float) -> list[float]:
    """Round values from `low` to `high` (both above 0): 1, 2, 5 of each decade, or only the decades of a long range."""
    bottom, top = math.floor(math.log10(low)), math.ceil(math.log10(high))
    steps = (1,) if top - bottom > 4 else (1, 2, 5)
    ticks = [float(f"{step}e{decade}") for decade in range(bottom, top + 1) for step in steps]
    inside = [tick for tick in ticks if low * 0.999 <= tick <= high * 1.001]
    return inside[:: max(1, math.ceil(len(inside) / 12))]


def number(value: float) -> str:
    """A value for a caption: four significant digits, an exponent (without padding) below a thousandth."""
    text = f"{value:.3e}" if 0 < abs(value) < 1e-3 else f"{value:.4g}"
    mantissa, mark, exponent = text.partition("e")
    return f"{float(mantissa):g}e{int(exponent)}" if mark else text


def figure(value: float) -> str:
    """A metric's value for a table: three decimals where it is of that size, so that a column lines up."""
    return f"{value:.3f}" if 0.001 <= abs(value) < 10 or value == 0 else number(value)
