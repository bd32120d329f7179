"""A comparison as a page: the sentences, the leaderboard with its intervals, and what differs."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from clary.analytics import style
from clary.analytics.comparison import Comparison, Figure, Run, lower_is_better, shared_metrics
from clary.analytics.draw import CannotDraw
from clary.analytics.looks import View
from clary.analytics.page import pictures, render

OTHER_METRICS = 4
WIDTH = 420  # pixels of the plotted part
ROW = 26
LONGEST_NAME = 260  # pixels


def page(comparison: Comparison, notes: Sequence[str] = ()) -> str:
    """The whole page. Without the library that draws there is no chart, and a note says so."""
    said = list(notes)
    try:
        drawn = list(pictures({"intervals": intervals(comparison)}))
    except CannotDraw as why:
        drawn = []
        said.append(f"No chart: {why}")
    others = shared_metrics(comparison)[:OTHER_METRICS]
    return render(
        "comparison.html",
        {
            "headline": _headline(comparison),
            "notes": said,
            "metric": comparison.metric,
            "findings": comparison.findings,
            "others": others,
            "rows": [_row(run, comparison.metric, others) for run in comparison.runs],
            "pictures": drawn,
            "differing": comparison.differing,
        },
    )


def intervals(comparison: Comparison) -> View:
    """A point with its interval for each run, best on top."""
    metric = comparison.metric
    rows = [
        {"run": run.name, "value": figure.value, "low": figure.low, "high": figure.high}
        for run in comparison.runs
        if (figure := run.figures.get(metric))
    ]
    ends = [end for row in rows for end in (row["low"], row["value"], row["high"]) if isinstance(end, float)]
    y = {
        "field": "run",
        "type": "nominal",
        "sort": None,
        "title": None,
        "axis": {"labelLimit": LONGEST_NAME, "domain": False, "ticks": False},
    }
    x = {
        "type": "quantitative",
        "title": metric,
        "scale": {"domain": style.span(ends), "nice": False, "zero": False},
    }
    better = "lower" if lower_is_better(metric) else "higher"
    return {
        "title": {
            "text": f"{metric} of each run",
            "subtitle": f"line: 95 % interval of each run by itself; {better} is better",
        },
        "width": WIDTH,
        "height": {"step": ROW},
        "data": {"values": rows},
        "layer": [
            {
                "transform": [{"filter": "datum.low != null"}],
                "mark": {"type": "rule", "style": "soft", "strokeWidth": 6, "strokeCap": "round"},
                "encoding": {"y": y, "x": {**x, "field": "low"}, "x2": {"field": "high"}},
            },
            {
                "mark": {"type": "point", "filled": True, "size": 70, "opacity": 1, "style": "accent"},
                "encoding": {"y": y, "x": {**x, "field": "value"}},
            },
        ],
    }


def _headline(comparison: Comparison) -> str:
    leader = comparison.runs[0]
    figure = style.figure(leader.figures[comparison.metric].value)
    behind = [finding for finding in comparison.findings if finding.is_real and not finding.is_reversed]
    if comparison.findings and len(behind) == len(comparison.findings):
        return f"{leader.name} is best by {comparison.metric}, {figure}, and its lead is real"
    return f"{leader.name} leads by {comparison.metric}, {figure}"


def _row(run: Run, metric: str, others: Sequence[str]) -> Mapping[str, Any]:
    figure = run.figures.get(metric)
    return {
        "name": run.name,
        "value": style.figure(figure.value) if figure else "-",
        "interval": _interval(figure),
        "others": [style.figure(run.figures[name].value) if name in run.figures else "-" for name in others],
    }


def _interval(figure: Figure | None) -> str:
    if figure is None or figure.low is None or figure.high is None:
        return ""
    return f"{style.figure(figure.low)} to {style.figure(figure.high)}"
