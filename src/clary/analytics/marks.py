"""What several charts share: rows, tooltips, colours and shapes, the ring around the best.

Fields of the data have names of our own: a hyperparameter's name may hold what Vega reads as syntax.
"""

from __future__ import annotations

import itertools
from collections.abc import Sequence
from typing import Any

from clary.analytics import style
from clary.analytics.axis import Axis
from clary.analytics.reading import Child, Study

View = dict[str, Any]

MANY = 150  # children, beyond which marks get smaller and lines fainter


def row_of(study: Study, child: Child, axis: Axis) -> dict[str, Any]:
    algorithm = study.definitions[child.definition]
    said = ", ".join(f"{name} = {value}" for name, value in child.values.items())
    return {
        "number": child.number,
        "job": child.name,
        "outcome": child.outcome,
        "algorithm": algorithm.name or "",
        "objective": child.objective,
        "at": axis.place(child.objective),
        "outside": axis.side(child.objective),
        "values": said,
        "why": child.why,
    }


def tooltips(study: Study) -> list[View]:
    fields = {"job": "job", "outcome": "outcome", "values": "values", "why": "why"}
    named = [{"field": name, "type": "nominal", "title": title} for name, title in fields.items()]
    return [*named, {"field": "objective", "type": "quantitative", "title": study.metric}]


def by_outcome(children: Sequence[Child]) -> View:
    """Colour and shape by how a job ended; only the ends there are."""
    there = {child.outcome for child in children}
    names = [name for name in style.OUTCOMES if name in there] or ["completed"]
    shapes, colours = zip(*(style.OUTCOMES[name] for name in names), strict=True)
    both = {"field": "outcome", "type": "nominal", "title": "job"}
    return {
        "color": {**both, "scale": {"domain": names, "range": list(colours)}},
        "shape": {**both, "scale": {"domain": names, "range": list(shapes)}},
    }


def by_algorithm(study: Study) -> View:
    names = [definition.name or "" for definition in study.definitions]
    colours = list(itertools.islice(itertools.cycle(style.SEVERAL), len(names)))
    scale = {"domain": names, "range": colours}
    return {"field": "algorithm", "type": "nominal", "title": "algorithm", "scale": scale}


def ring_around(number: int, place: View) -> list[View]:
    """A ring around the best job."""
    ring = {"type": "point", "filled": False, "size": 170, "stroke": style.ORANGE, "strokeWidth": 2.5}
    return [{"transform": [{"filter": f"datum.number == {number}"}], "mark": ring, "encoding": place}]


def label_beside(text: str, number: int, place: View, *, right: bool, over: bool) -> View:
    """Beside a job, where the line of the best so far does not run: before it, or over it."""
    side = {"align": "left", "dx": 12, "dy": -7} if right else {"align": "right", "dx": -12, "dy": -5}
    if not over:
        side["dy"] = -int(str(side["dy"]))
    return {
        "transform": [{"filter": f"datum.number == {number}"}],
        "mark": {"type": "text", "color": style.INK, "fontWeight": "bold", **side},
        "encoding": {**place, "text": {"value": text}},
    }


def outliers(axis: Axis, encoding: View) -> list[View]:
    """An arrow at the edge for each job that lies beyond it; its tooltip tells the value itself."""
    if not axis.outliers:
        return []
    plain = {channel: look for channel, look in encoding.items() if channel != "shape"}
    arrow = {"type": "point", "shape": "arrow", "filled": True, "size": 260}
    return [
        {
            "transform": [{"filter": f"datum.outside == '{side}'"}],
            "mark": {**arrow, "angle": angle, "yOffset": inwards},
            "encoding": plain,
        }
        for side, angle, inwards in (("above", 0, 8), ("below", 180, -8))
    ]


def mark_size(children: int) -> int:
    return 22 if children > MANY else 55
