"""All charts of a study on one page."""

from __future__ import annotations

from collections import Counter
from typing import Any

from clary.analytics import objective, parameters, style
from clary.analytics.reading import Study, shown

GAP = 90  # pixels between two views side by side, for the axis of the right one
BESIDE = 4  # parameters, up to which importance and parallel coordinates share a row

# else the panels, which show no legend, would take the history's away
APART = {
    "scale": {"color": "independent", "shape": "independent"},
    "legend": {"color": "independent", "shape": "independent"},
}


def specification(study: Study) -> dict[str, Any]:
    """A Vega-Lite (version 5) specification: plain dicts, lists, strings, numbers; the data are inside.

    From top to bottom: the objective over time; for each algorithm the objective against each parameter with the
    model's belief, each parameter's importance, and parallel coordinates.
    """
    rows: list[dict[str, Any]] = [objective.history(study)]
    for index, definition in enumerate(study.definitions):
        block = [_panels(study, index), *_summary(study, index)]
        if len(study.definitions) > 1:
            block[0] = {"title": {"text": f"Algorithm {definition.name}", "fontSize": 15}, **block[0]}
        rows += block
    return {
        "$schema": style.SCHEMA,
        "title": {"text": _headline(study), "subtitle": _facts(study), "fontSize": 16, "offset": 14},
        "vconcat": rows,
        "resolve": APART,
        "config": style.CONFIG,
    }


def _panels(study: Study, definition: int) -> dict[str, Any]:
    tuned = study.definitions[definition].parameters
    columns = len(tuned) if len(tuned) < 3 else 2 if len(tuned) == 4 else 3
    width = (style.WIDTH - (columns - 1) * GAP) // max(columns, 1)
    height = 240 if columns < 3 else 190
    views = [objective.against(study, definition, each, width=width, height=height) for each in tuned]
    return {"concat": views, "columns": columns, "resolve": APART}


def _summary(study: Study, definition: int) -> list[dict[str, Any]]:
    algorithm = study.definitions[definition]
    if not any(child.objective is not None for child in study.of(definition)):
        return []
    if len(algorithm.parameters) == 1:
        return [parameters.parallel(study, definition, width=style.WIDTH // 2)]
    if not algorithm.responses:
        return [parameters.parallel(study, definition, width=style.WIDTH)]
    if len(algorithm.parameters) > BESIDE:
        return [
            parameters.importance(algorithm, width=style.WIDTH - 120),
            parameters.parallel(study, definition, width=style.WIDTH),
        ]
    bars = parameters.importance(algorithm, width=200)
    lines = parameters.parallel(study, definition, width=style.WIDTH - 400)
    return [{"hconcat": [bars, lines], "spacing": 50, "resolve": APART}]


def _headline(study: Study) -> str:
    aim = "maximize" if study.maximize else "minimize"
    return f"{study.name}: {aim} {study.metric}"


def _facts(study: Study) -> list[str]:
    """Two lines: how the study stands, and the best job."""
    counts = Counter[str](child.outcome for child in study.children)
    ends = ", ".join(f"{counts[name]} {name}" for name in (*style.OUTCOMES, "running") if counts[name])
    jobs = "1 job" if len(study.children) == 1 else f"{len(study.children)} jobs"
    lines = [f"{study.strategy}, {study.status}; {jobs}{': ' if ends else ''}{ends}"]
    best = study.best
    if best is not None and best.objective is not None:
        values = ", ".join(f"{name} = {_short(text)}" for name, text in best.values.items())
        if len(values) > 130:
            values = values[:127] + "..."
        lines.append(f"best: job {best.number} with {style.number(best.objective)} at {values}")
    return lines


def _short(text: str) -> str:
    """A value for a line of text."""
    try:
        return style.number(float(text)) if not text.isdigit() else text
    except ValueError:
        return shown(text)
