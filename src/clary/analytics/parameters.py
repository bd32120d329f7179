"""What matters, and how values go together: a Vega-Lite view each, its data inside."""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from typing import Any

from clary.analytics import style
from clary.analytics.axis import bounds
from clary.analytics.marks import MANY, View
from clary.analytics.reading import Child, Definition, Study


def importance(definition: Definition, *, width: int) -> View:
    """How much of the predicted objective's variance each parameter explains on its own."""
    ranked = sorted(definition.responses.items(), key=lambda item: -item[1].importance)
    rows = [
        {"name": name, "share": response.importance, "label": f"{100 * response.importance:.0f} %"}
        for name, response in ranked
    ]
    bars = {
        "y": {"field": "name", "type": "nominal", "sort": None, "title": None, "axis": {"labelLimit": 160}},
        "x": {
            "field": "share",
            "type": "quantitative",
            "title": "share of variance explained, %",
            "scale": {"domain": [0, 1]},
            "axis": {"format": "%", "tickCount": 5},
        },
    }
    return {
        "title": {"text": "Importance", "subtitle": "of each parameter on its own, by the model"},
        "width": width,
        "height": {"step": 26},
        "data": {"values": rows},
        "layer": [
            {"mark": {"type": "bar", "color": style.BLUE}, "encoding": bars},
            {
                "mark": {"type": "text", "align": "left", "dx": 4, "fontSize": 10, "color": style.INK},
                "encoding": {**bars, "text": {"field": "label"}},
            },
        ],
    }


def parallel(study: Study, definition: int, *, width: int) -> View:
    """A line for each child through its values and its objective; the best are dark and lie on top."""
    algorithm = study.definitions[definition]
    children = [c for c in study.of(definition) if c.objective is not None]
    sign = 1.0 if algorithm.maximize else -1.0
    children.sort(key=lambda child: sign * (child.objective or 0.0))
    values = [child.objective for child in children if child.objective is not None]
    bottom, top = bounds(values, maximize=algorithm.maximize)
    inside = [value for value in values if bottom <= value <= top]
    low, high = (min(inside), max(inside)) if inside else (0.0, 1.0)
    subtitle = "a line is a job; orange: the best"
    if outside := len(values) - len(inside):
        subtitle += f"; {outside} outside, drawn at the end of the objective's axis"
    names = [parameter.name for parameter in algorithm.parameters]
    best = study.best
    lines = [
        {"order": order, "axis": axis, "at": at, "objective": child.objective, "best": child is best}
        for order, child in enumerate(children)
        for axis, at in enumerate(_places(algorithm, child, low, high))
    ]
    x = {
        "field": "axis",
        "type": "ordinal",
        "title": None,
        "scale": {"type": "point", "padding": 0.35},
        "axis": {
            "labelExpr": f"{json.dumps([*names, algorithm.metric])}[datum.value]",
            "domain": False,
            "ticks": False,
            "labelFontSize": 11,
            "labelAngle": 0 if len(names) < 6 else -25,
            "labelLimit": 130,
            "labelPadding": 12,
        },
    }
    y = {"field": "at", "type": "quantitative", "axis": None, "scale": {"domain": [0, 1]}}
    shade = {
        "field": "objective",
        "type": "quantitative",
        "title": algorithm.metric,
        "scale": {
            "scheme": {"name": "viridis", "extent": [0, 0.92]},
            "domain": _worth_seeing(inside, sign),
            "reverse": algorithm.maximize,
            "clamp": True,
        },
        "legend": {"gradientLength": 140, "gradientOpacity": 1, "format": ".3~g"},
    }
    way = {"x": x, "y": y, "detail": {"field": "order", "type": "nominal"}}
    faint = 0.25 if len(children) > MANY else 0.7
    return {
        "title": {"text": "Parallel coordinates", "subtitle": subtitle},
        "width": width,
        "height": 260,
        "data": {"values": lines},
        "layer": [
            {"mark": {"type": "rule", "color": "#BBBBBB"}, "encoding": {"x": x}},
            {
                "mark": {"type": "line", "strokeWidth": 1.3, "strokeOpacity": faint},
                "encoding": {**way, "color": shade},
            },
            {
                "transform": [{"filter": "datum.best"}],
                "mark": {"type": "line", "strokeWidth": 3, "color": style.ORANGE},
                "encoding": way,
            },
            *(
                {
                    "data": {"values": list(_ends(algorithm, low, high))},
                    "mark": {"type": "text", "fontSize": 10, "align": "left", "dx": 5, **look},
                    "encoding": {"x": x, "y": y, "text": {"field": "label"}},
                }
                for look in (
                    {"stroke": "white", "strokeWidth": 4, "strokeJoin": "round"},
                    {"color": style.INK},
                )
            ),
        ],
    }


def _places(definition: Definition, child: Child, low: float, high: float) -> Iterator[float]:
    for parameter in definition.parameters:
        yield parameter.place(child.values[parameter.name])
    yield _share(child.objective or 0.0, low, high)


def _share(value: float, low: float, high: float) -> float:
    """Between the ends, or at one of them: outliers share the place of the worst of the others."""
    return 0.5 if high == low else min(max((value - low) / (high - low), 0.0), 1.0)


def _ends(definition: Definition, low: float, high: float) -> Iterator[dict[str, Any]]:
    """What the axes of the parallel coordinates say: both ends, or every category."""
    for axis, parameter in enumerate(definition.parameters):
        if parameter.scale == "category":
            last = max(len(parameter.categories) - 1, 1)
            for index, category in enumerate(parameter.categories):
                yield {"axis": axis, "at": index / last, "label": category}
        else:
            for at, value in ((0, parameter.low), (1, parameter.high)):
                yield {"axis": axis, "at": at, "label": style.number(value)}
    for at, value in ((0, low), (1, high)):
        yield {"axis": len(definition.parameters), "at": at, "label": style.number(value)}


def _worth_seeing(values: Sequence[float], sign: float) -> list[float]:
    """The colours' ends: a tenth of the jobs, the worst, shares the last colour, so that the good ones differ."""
    if not values:
        return [0.0, 1.0]
    ranked = sorted(values, key=lambda value: sign * value)
    ends = sorted((ranked[len(ranked) // 10], ranked[-1]))
    return ends if ends[1] > ends[0] else style.span(ends)
