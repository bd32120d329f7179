"""One figure on parts of the examples: a point with its interval for each part, the whole as a line through all."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from clary.analytics import style
from clary.analytics.looks import View

WIDTH = 220  # pixels of the plotted part
ROW = 22
LONGEST = 120  # pixels of a slice's name


@dataclass(frozen=True, slots=True)
class Part:
    """`value` of `column`: how many examples, the figure there, its 95 % interval."""

    column: str
    value: str
    examples: int
    figure: float
    low: float
    high: float


def slices(parts: Sequence[Part], *, whole: float, metric: str) -> View:
    """A panel for each column, in the order of `parts`."""
    columns = list(dict.fromkeys(part.column for part in parts))
    low, high = style.span([end for part in parts for end in (part.low, part.high)] + [whole])
    domain = [max(0.0, low), min(1.0, high)]
    panels = [
        _panel([part for part in parts if part.column == column], whole, domain, last=column == columns[-1])
        for column in columns
    ]
    return {
        "title": {
            "text": "Where it is good, and where not",
            "subtitle": [
                f"{metric} of each part with its 95 % interval;",
                f"line: all examples ({whole:.1%})",
            ],
        },
        "vconcat": panels,
        "spacing": 14,
    }


def _panel(parts: Sequence[Part], whole: float, domain: list[float], *, last: bool) -> View:
    rows = [_row(n, part) for n, part in enumerate(parts)]
    x = {
        "type": "quantitative",
        "scale": {"domain": domain, "nice": False, "padding": 7},
        "axis": {"format": ".0%", "tickCount": 5, "labels": last, "ticks": last, "domain": last},
        "title": None,
    }
    y = {
        "field": "key",
        "type": "nominal",
        "sort": None,
        "title": None,
        "axis": {
            "labelExpr": "split(datum.label, '\\n')[1]",
            "labelLimit": LONGEST,
            "minExtent": LONGEST,
            "labelOverlap": False,
            "ticks": False,
            "domain": False,
        },
    }
    point = {"x": {**x, "field": "figure"}, "y": y}
    return {
        "title": {
            "text": f"by {parts[0].column}",
            "fontSize": 12,
            "fontWeight": "normal",
            "offset": 4,
            "frame": "group",
        },
        "width": WIDTH,
        "height": {"step": ROW},
        "data": {"values": rows},
        "layer": [
            {
                "data": {"values": [{"figure": whole}]},
                "mark": {"type": "rule", "style": "faint", "strokeDash": [4, 4]},
                "encoding": {"x": {**x, "field": "figure"}},
            },
            {
                "mark": {"type": "rule", "style": "accent", "strokeWidth": 2, "opacity": 0.55},
                "encoding": {"x": {**x, "field": "low"}, "x2": {"field": "high"}, "y": y},
            },
            {
                "mark": {"type": "point", "style": "accent", "filled": True, "size": 60, "opacity": 1},
                "encoding": {**point, "tooltip": [{"field": "tip"}]},
            },
            {
                "mark": {"type": "text", "style": "faint", "align": "left", "fontSize": 10, "clip": False},
                "encoding": {"x": {"value": WIDTH + 8}, "y": y, "text": {"field": "count"}},
            },
        ],
    }


def _row(place: int, part: Part) -> dict[str, Any]:
    return {
        "key": f"{place}\n{' '.join(part.value.split())}",
        "figure": part.figure,
        "low": part.low,
        "high": part.high,
        "count": f"{part.examples:,}",
        "tip": f"{part.value}: {part.figure:.1%} ({part.low:.1%} to {part.high:.1%}) of {part.examples:,} examples",
    }
