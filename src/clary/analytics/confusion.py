"""What was called what: a confusion matrix, each row coloured by its shares."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

from clary.analytics.looks import View

SIDE = 340  # pixels of a side, as near as whole cells come
WRITTEN = 12  # classes, up to which each cell has its count and share written in
NAMED = 40  # classes, up to which each has its name on the axes
LONGEST = 110  # pixels of a class's name
LEGEND = {"title": "share", "format": ".0%", "gradientLength": 120, "values": [0, 0.5, 1]}


def confusion(matrix: Sequence[Sequence[int]], names: Sequence[str]) -> View:
    """matrix[i][j] counts examples of class names[i] that were called names[j]."""
    classes, examples = len(names), sum(map(sum, matrix))
    cell = min(120, max(4, SIDE // classes))
    axis: View = {
        "type": "nominal",
        "sort": None,
        "axis": {
            "labels": classes <= NAMED,
            "ticks": False,
            "domain": False,
            "labelLimit": LONGEST,
            "labelOverlap": False,
            "labelExpr": "split(datum.label, '\\n')[1]",
        },
        "scale": {"paddingInner": 0.04 if classes <= WRITTEN else 0},
    }
    x: View = {**axis, "field": "predicted", "title": "predicted"}
    x["axis"] = {**axis["axis"], "orient": "top", "labelAngle": _slant(names, cell)}
    place = {"x": x, "y": {**axis, "field": "label", "title": "label"}}
    percentage = " and percentage" if classes <= WRITTEN else ""
    right = sum(matrix[n][n] for n in range(classes))
    return {
        "title": {
            "text": "What was called what",
            "subtitle": [
                f"{right:,} of {examples:,} right; colour{percentage}:",
                "share of the label's examples",
            ],
        },
        "width": {"step": cell},
        "height": {"step": cell if classes > 4 else min(cell, 90)},
        "data": {"values": list(_cells(matrix, names))},
        "layer": [_colours(place, classes <= WRITTEN), *(_writing(place) if classes <= WRITTEN else ())],
    }


def _cells(matrix: Sequence[Sequence[int]], names: Sequence[str]) -> Iterator[dict[str, Any]]:
    for i, row in enumerate(matrix):
        whole = sum(row)
        for j, count in enumerate(row):
            share = count / whole if whole else 0.0
            yield {
                "label": _key(i, names[i]),
                "predicted": _key(j, names[j]),
                "count": count,
                "share": share,
                "text": f"{count:,}",
                "percent": f"{share:.1%}" if whole else "",
            }


def _key(place: int, name: str) -> str:
    """Unique though two classes may have one name; the axis shows what follows the line break."""
    return f"{place}\n{' '.join(name.split())}"


def _colours(place: View, written: bool) -> View:
    colour = {
        "field": "share",
        "type": "quantitative",
        "scale": {"domain": [0, 1]},
        "legend": None if written else LEGEND,
    }
    tooltip: list[View] = [
        {"field": "text", "title": "examples"},
        {"field": "percent", "title": "share of the row"},
    ]
    return {"mark": {"type": "rect"}, "encoding": {**place, "color": colour, "tooltip": tooltip}}


def _writing(place: View) -> list[View]:
    """Counts and shares, dark on light cells and light on dark ones."""
    found: list[View] = []
    for style, choice in (("on-weak", "datum.share < 0.55"), ("on-strong", "datum.share >= 0.55")):
        for field, shift, size in (("text", -7, 13), ("percent", 8, 10)):
            found.append(
                {
                    "transform": [{"filter": choice}],
                    "mark": {"type": "text", "style": style, "dy": shift, "fontSize": size},
                    "encoding": {**place, "text": {"field": field}},
                }
            )
    return found


def _slant(names: Sequence[str], cell: int) -> int:
    return 0 if max(map(len, names)) * 6 <= cell else -45
