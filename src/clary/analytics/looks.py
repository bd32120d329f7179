"""Light and dark for charts that name no colour themselves: marks have a style's name, scales a range's, and a look
says what those are.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from clary.analytics import style

View = dict[str, Any]


@dataclass(frozen=True, slots=True)
class Look:
    """Colours by their part. `weak` to `strong` are the ends of a scale of quantities, each with its ink."""

    paper: str
    ink: str
    faint: str
    grid: str
    accent: str
    warning: str
    soft: str
    weak: str
    strong: str
    on_weak: str
    on_strong: str


LIGHT = Look(
    paper="white",
    ink=style.INK,
    faint="#666666",
    grid="#EBEBEB",
    accent=style.BLUE,
    warning=style.VERMILION,
    soft="#B9D4E8",
    weak="#F3F6F9",
    strong=style.BLUE,
    on_weak=style.INK,
    on_strong="white",
)
DARK = Look(
    paper="transparent",
    ink="#E4E4E4",
    faint="#A6A6A6",
    grid="#36393D",
    accent=style.SKY,
    warning="#F08A4B",
    soft="#2F506B",
    weak="#22272C",
    strong=style.SKY,
    on_weak="#E4E4E4",
    on_strong="#101214",
)


def specification(view: View, look: Look = LIGHT) -> View:
    """A whole Vega-Lite (version 5) specification of a view, in this look."""
    return {"$schema": style.SCHEMA, **view, "config": config(look)}


def config(look: Look) -> View:
    common = style.CONFIG
    title: Mapping[str, Any] = common["title"]
    return {
        **common,
        "background": look.paper,
        "padding": 12,
        "title": {
            **title,
            "color": look.ink,
            "subtitleColor": look.faint,
            "subtitlePadding": 4,
            "frame": "bounds",
        },
        "axis": {
            **common["axis"],
            "labelColor": look.faint,
            "titleColor": look.ink,
            "titleFontSize": 12,
            "labelFontSize": 11,
            "gridColor": look.grid,
            "domainColor": look.faint,
            "tickColor": look.faint,
        },
        "legend": {**common["legend"], "titleColor": look.ink, "labelColor": look.faint},
        "range": {"heatmap": [look.weak, look.strong], "ramp": [look.weak, look.strong]},
        "style": {
            "ink": {"color": look.ink},
            "faint": {"color": look.faint},
            "accent": {"color": look.accent},
            "warning": {"color": look.warning},
            "soft": {"color": look.soft},
            "on-weak": {"color": look.on_weak, "fontSize": 12},
            "on-strong": {"color": look.on_strong, "fontSize": 12},
        },
    }
