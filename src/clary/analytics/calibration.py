"""Whether a model is as often right as it says: a reliability diagram above the histogram of its probabilities."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import Any

from clary.analytics.looks import View

SIDE = 300  # pixels of the diagram's width
HEIGHT, FOOT = 270, 70


@dataclass(frozen=True, slots=True)
class Bin:
    """Examples whose answer had a probability from `start` to `end`: their mean probability `confidence`, the share
    `right` of them that was right, with its 95 % interval.
    """

    start: float
    end: float
    examples: int
    confidence: float
    right: float
    low: float
    high: float


def calibration(bins: Sequence[Bin], *, subtitle: str = "") -> View:
    """Bins without examples are left out by the caller."""
    least = min((each.start for each in bins), default=0.0)
    x = {
        "type": "quantitative",
        "scale": {"domain": [least, 1.0], "nice": False},
        "axis": {"format": ".0%", "tickCount": 6, "grid": False},
    }
    return {
        "title": {"text": "Is it as often right as it says?", "subtitle": subtitle},
        "data": {"values": [asdict(each) for each in bins]},
        "vconcat": [_diagram(x, least), _histogram(x)],
        "spacing": 6,
        "bounds": "flush",
    }


def _diagram(x: dict[str, Any], least: float) -> View:
    across = {**x, "field": "confidence", "title": None, "axis": {**x["axis"], "labels": False}}
    y = {"type": "quantitative", "scale": {"domain": [0, 1]}, "axis": {"format": ".0%", "tickCount": 6}}
    value = {**y, "field": "right", "title": "share that is right"}
    tooltip = [
        {"field": "confidence", "format": ".1%", "title": "mean probability"},
        {"field": "right", "format": ".1%", "title": "right"},
        {"field": "examples", "title": "examples"},
    ]
    ends = [{"confidence": least, "right": least}, {"confidence": 1.0, "right": 1.0}]
    return {
        "width": SIDE,
        "height": HEIGHT,
        "layer": [
            {
                "data": {"values": ends},
                "mark": {"type": "line", "style": "faint", "strokeDash": [4, 4], "strokeWidth": 1},
                "encoding": {"x": across, "y": value},
            },
            {
                "mark": {"type": "rule", "style": "accent", "strokeWidth": 1.5, "opacity": 0.55},
                "encoding": {"x": across, "y": {**y, "field": "low", "title": None}, "y2": {"field": "high"}},
            },
            {
                "mark": {"type": "line", "style": "accent", "strokeWidth": 1.5},
                "encoding": {"x": across, "y": value},
            },
            {
                "mark": {"type": "point", "style": "accent", "filled": True, "size": 45, "opacity": 1},
                "encoding": {"x": across, "y": value, "tooltip": tooltip},
            },
        ],
    }


def _histogram(x: dict[str, Any]) -> View:
    return {
        "width": SIDE,
        "height": FOOT,
        "mark": {"type": "bar", "style": "soft"},
        "encoding": {
            "x": {**x, "field": "start", "title": "probability the model gave its answer"},
            "x2": {"field": "end"},
            "y": {"field": "examples", "type": "quantitative", "title": "examples", "axis": {"tickCount": 3}},
            "y2": {"datum": 0},
        },
    }
