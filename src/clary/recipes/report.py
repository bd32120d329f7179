"""The page for people: one file of HTML, its charts inside, in light and dark; no script, nothing to load."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from jinja2 import PackageLoader

from clary.analytics.draw import CannotDraw
from clary.analytics.looks import View
from clary.analytics.page import pictures, render
from clary.recipes.intervals import Measure

_ORDERS = {
    "text-classification": "Wrong answers, the surest first.",
    "question-answering": "Answers that are not wholly right, the worst first, the surest of equals.",
}


@dataclass(frozen=True, slots=True)
class Row:
    """A line of the table of metrics, ready to be read."""

    name: str
    value: str
    interval: str
    baseline: str = ""


@dataclass(frozen=True, slots=True)
class Example:
    """One of the hardest examples. `parts` are the input's texts by what they are ("text", "question")."""

    said: str
    expected: str
    sureness: str
    place: str
    parts: Mapping[str, str]


def page(
    headline: str,
    document: Mapping[str, Any],
    charts: Mapping[str, View],
    rows: Sequence[Row],
    classes: Sequence[Mapping[str, Any]],
    hardest: Sequence[Example],
) -> str:
    notes = list(document["notes"])
    try:
        drawn = list(pictures(charts))
    except CannotDraw as why:
        drawn = []
        notes.append(f"No charts: {why}")
    values = {
        "headline": headline,
        "notes": notes,
        "rows": rows,
        "pictures": drawn,
        "classes": classes,
        "slices": document["slices"],
        "hardest": hardest,
        "order": _ORDERS[document["task"]],
        "facts": dict(_facts(document)),
        "percent": percent,
    }
    return render("report.html", values, templates=PackageLoader("clary.recipes", "."))


def percent(value: float) -> str:
    return f"{100 * value:.1f} %"


def interval(measure: Measure, *, share: bool = True) -> str:
    """Both ends: "88.9 to 91.5 %", or with three decimals what is no share."""
    if share:
        return f"{100 * measure.low:.1f} to {100 * measure.high:.1f} %"
    return f"{measure.low:.3f} to {measure.high:.3f}"


def _facts(document: Mapping[str, Any]) -> Iterator[tuple[str, str]]:
    model, data, run = document["model"], document["data"], document["run"]
    yield "Model", f"{model['architecture']}, {model['source']}"
    yield "Data", f"{data['examples']:,} examples from " + ", ".join(each["name"] for each in data["files"])
    yield "Columns", ", ".join(f"{kind}: {name}" for kind, name in data["columns"].items() if name)
    yield "Run", ", ".join(f"{name}: {value}" for name, value in run["inference"].items())
    yield "Time", f"{run['seconds']:.1f} s in the model, {run['examples_per_second']:.1f} examples/s"
    yield "Intervals", f"95 %, {run['resamples']:,} bootstrap resamples, seed {run['seed']}"
    yield "Versions", ", ".join(f"{name} {version}" for name, version in run["versions"].items())
