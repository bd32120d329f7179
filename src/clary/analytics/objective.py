"""The objective over time and against each parameter: a Vega-Lite view each, its data inside."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any

from clary.analytics import style
from clary.analytics.axis import Axis, axis_of
from clary.analytics.marks import (
    View,
    by_algorithm,
    by_outcome,
    label_beside,
    mark_size,
    outliers,
    ring_around,
    row_of,
    tooltips,
)
from clary.analytics.reading import Child, Parameter, Response, Study, shown

UNITS = ((2 * 86400.0, 86400.0, "days"), (2 * 3600.0, 3600.0, "hours"), (120.0, 60.0, "minutes"))
SUBTITLE = "line: the best so far; jobs that gave no value stand on the lower edge"
GOLDEN = 0.618033988749895
BAND = {"color": style.SKY, "opacity": 0.3, "clip": True}
MEAN = {"color": style.INK, "strokeWidth": 1.5, "clip": True}


def history(study: Study) -> View:
    """The objective of each child when it ended, and the best until then."""
    axis = axis_of(study)
    rows, unit = timeline(study, axis)
    several = len(study.definitions) > 1
    colour = by_algorithm(study) if several else by_outcome(study.children)["color"]
    height, size = 240, mark_size(len(study.children))
    when = {
        "field": "when",
        "type": "quantitative",
        "title": f"time since the study's first job began, {unit}",
        "scale": {"zero": True},
    }
    marks = {
        "x": when,
        "color": colour,
        "shape": by_outcome(study.children)["shape"],
        "tooltip": tooltips(study),
    }
    value = {
        "field": "at",
        "type": "quantitative",
        "title": study.metric,
        "scale": {"domain": axis.domain, "nice": False, "zero": False},
    }
    best = study.best
    layers: list[View] = [
        {
            "transform": [{"filter": "isValid(datum.best)"}],
            "mark": {"type": "line", "interpolate": "step-after", "color": style.INK, "strokeWidth": 1.5},
            "encoding": {"x": when, "y": {**value, "field": "line"}, "order": {"field": "when"}},
        },
        {
            "transform": [{"filter": "datum.outside == ''"}],
            "mark": {"type": "point", "filled": True, "size": size, "fillOpacity": 0.85},
            "encoding": {**marks, "y": value},
        },
        *outliers(axis, {**marks, "y": value}),
    ]
    if best is not None:
        early = any(row["number"] == best.number and row["when"] < 0.12 * rows[-1]["when"] for row in rows)
        label = f"best {style.number(best.objective or 0.0)}"
        layers += ring_around(best.number, {"x": when, "y": value})
        layers.append(
            label_beside(label, best.number, {"x": when, "y": value}, right=early, over=study.maximize)
        )
    return {
        "title": {
            "text": f"{study.metric} over time",
            "subtitle": "; ".join(filter(None, (SUBTITLE, axis.told()))),
        },
        "width": style.WIDTH,
        "height": height,
        "data": {"values": rows},
        "layer": layers,
    }


def timeline(study: Study, axis: Axis) -> tuple[list[dict[str, Any]], str]:
    """A row for each child that has ended, in the order of ends, with the best so far; and the unit of `when`.

    `line` is where the best so far is drawn: on the axis.
    """
    ended = sorted((c for c in study.children if c.ended is not None), key=lambda c: c.ended or 0.0)
    if not ended:
        return [], "seconds"
    start = min(child.started or child.ended or 0.0 for child in ended)
    length = (ended[-1].ended or 0.0) - start
    seconds, unit = next(((s, unit) for least, s, unit in UNITS if length >= least), (1.0, "seconds"))
    sign = 1.0 if study.maximize else -1.0
    best: float | None = None
    rows = []
    for child in ended:
        if child.counts and (best is None or sign * (child.objective or 0.0) > sign * best):
            best = child.objective
        rows.append(
            {
                **row_of(study, child, axis),
                "when": ((child.ended or 0.0) - start) / seconds,
                "best": best,
                "line": axis.place(best),
            }
        )
    return rows, unit


def against(study: Study, definition: int, parameter: Parameter, *, width: int, height: int) -> View:
    """The objective of each child by its value of one parameter, and what the model believes along it."""
    algorithm, axis = study.definitions[definition], axis_of(study)
    children = [c for c in study.of(definition) if c.outcome != "running" and parameter.name in c.values]
    draw = _strip if parameter.scale == "category" else _cloud
    value = {
        "type": "quantitative",
        "title": algorithm.metric,
        "scale": {"domain": axis.domain, "nice": False, "zero": False, "clamp": True},
    }
    rows = [
        {
            **row_of(study, child, axis),
            "x": _along(parameter, child.values[parameter.name]) + _aside(parameter, child),
        }
        for child in children
    ]
    best = study.best
    layers = draw(parameter, algorithm.responses.get(parameter.name), value)
    points: View = {
        "transform": [{"filter": "datum.outside == ''"}],
        "mark": {"type": "point", "filled": True, "size": mark_size(len(children)), "fillOpacity": 0.8},
        "encoding": {
            **layers.pop()["encoding"],
            **({"color": by_algorithm(study)} if len(study.definitions) > 1 else by_outcome(study.children)),
            "y": {**value, "field": "at"},
            "tooltip": tooltips(study),
        },
    }
    for channel in ("color", "shape"):
        if channel in points["encoding"]:
            points["encoding"][channel] = {**points["encoding"][channel], "legend": None}
    layers += [points, *outliers(axis, points["encoding"])]
    if best is not None and best in children:
        layers += ring_around(best.number, {k: v for k, v in points["encoding"].items() if k in {"x", "y"}})
    return {
        "title": {"text": parameter.name, "subtitle": axis.told()} if axis.outliers else parameter.name,
        "width": width,
        "height": height,
        "data": {"values": rows},
        "layer": layers,
    }


def _cloud(parameter: Parameter, response: Response | None, value: View) -> list[View]:
    """Band and mean along a number; the last layer's encoding is the points'."""
    axis = {"field": "x", "type": "quantitative", **_scale(parameter)}
    layers: list[View] = []
    if response is not None:
        data = {"values": list(_band(parameter, response))}
        area = {"x": axis, "y": {**value, "field": "low"}, "y2": {"field": "high"}}
        layers = [
            {
                "data": data,
                "mark": {"type": "area", **BAND},
                "encoding": area,
            },
            {
                "data": data,
                "mark": {"type": "line", **MEAN},
                "encoding": {"x": axis, "y": {**value, "field": "mean"}},
            },
        ]
    return [*layers, {"encoding": {"x": axis}}]


def _strip(parameter: Parameter, response: Response | None, value: View) -> list[View]:
    """A box and a dash for what is believed of each category; the points stand beside each other."""
    names = list(parameter.categories)
    axis = {
        "field": "x",
        "type": "quantitative",
        "title": parameter.name,
        "scale": {"domain": [-0.5, len(names) - 0.5], "nice": False, "zero": False},
        "axis": {
            "values": list(range(len(names))),
            "labelExpr": f"{json.dumps(names)}[datum.value]",
            "labelAngle": -30 if max(map(len, names), default=0) * len(names) > 40 else 0,
            "labelLimit": 140,
            "grid": False,
        },
    }
    layers: list[View] = []
    if response is not None:
        data = {"values": [{**row, **_sides(row["x"])} for row in _band(parameter, response)]}
        left = {**axis, "field": "left"}
        box = {"x": left, "x2": {"field": "right"}, "y": {**value, "field": "low"}, "y2": {"field": "high"}}
        mean = {"x": left, "x2": {"field": "right"}, "y": {**value, "field": "mean"}}
        layers = [
            {"data": data, "mark": {"type": "rect", **BAND}, "encoding": box},
            {"data": data, "mark": {"type": "rule", **MEAN}, "encoding": mean},
        ]
    return [*layers, {"encoding": {"x": axis}}]


def _sides(x: float) -> dict[str, float]:
    return {"left": x - 0.42, "right": x + 0.42}


def _band(parameter: Parameter, response: Response) -> Iterator[dict[str, Any]]:
    for text, mean, low, high in zip(
        response.values, response.mean, response.low, response.high, strict=True
    ):
        yield {"x": _along(parameter, text), "mean": mean, "low": low, "high": high}


def _along(parameter: Parameter, text: str) -> float:
    """A value on a chart's axis: a category's index; on one that is logarithmic towards 1, what is missing to 1."""
    if parameter.scale == "category":
        return float(parameter.categories.index(shown(text)))
    return 1.0 - float(text) if parameter.scale == "reverse-log" else float(text)


def _aside(parameter: Parameter, child: Child) -> float:
    """Moves points of one category apart: spread evenly over the numbers, and the same each time."""
    return 0.7 * ((child.number * GOLDEN) % 1.0 - 0.5) if parameter.scale == "category" else 0.0


def _scale(parameter: Parameter) -> View:
    """Axis and scale of a numeric parameter."""
    low, high = parameter.low, parameter.high
    axis: View = {"tickCount": 6}
    if parameter.scale == "linear":
        domain = style.span([low, high], air=0.02)
        return {
            "title": parameter.name,
            "axis": axis,
            "scale": {"domain": domain, "nice": False, "zero": False},
        }
    turned = parameter.scale == "reverse-log"
    low, high = (1.0 - high, 1.0 - low) if turned else (low, high)
    title = f"{parameter.name} (logarithmic{' towards 1' if turned else ''})"
    air = (high / low) ** 0.02 if high > low else 2.0
    wide: View = {"domain": [low / air, high * air], "type": "log", "nice": False}
    axis = {"values": style.log_ticks(low, high)}
    if turned:
        axis["labelExpr"] = "format(1 - datum.value, '.6~g')"
        wide["reverse"] = True
    else:
        axis["format"] = ".0e" if low < 1e-4 else "~g"
    return {"title": title, "axis": axis, "scale": wide}
