"""A study as text: the table of its children and a few lines around it."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from rich.console import RenderableType
from rich.table import Table
from rich.text import Text

from clary.analytics.reading import Child, Definition, Study, shown
from clary.analytics.style import number
from clary.cli.terminal import cell, plain

COLUMNS = 4  # tuned parameters, up to which each has a column of its own
LONGEST_REASON = 120  # characters
BAR = 24  # characters of a full bar


def table(study: Study, counters: Mapping[str, Any], *, why: str | None = None) -> Iterator[RenderableType]:
    """What `clary tune show` prints, part by part."""
    best = study.best
    aim = "maximize" if study.maximize else "minimize"
    yield Text(plain(f"{study.name}: {aim} {study.metric}; {study.strategy}, {study.status}"), style="bold")
    counts = counters.get("TrainingJobStatusCounters", {})
    yield Text("jobs: " + ", ".join(f"{name} {count}" for name, count in counts.items() if count))
    if why:
        yield Text(plain(f"ended: {why}"))
    if reason := counters.get("FailureReason"):
        yield Text(plain(f"reason: {reason}"), style="red")
    for index, definition in enumerate(study.definitions):
        children = study.of(index)
        yield ""
        if definition.name:
            yield Text(plain(f"algorithm {definition.name}"), style="bold")
        yield _children(study, definition, children, best)
        yield from _importance(definition)
    if best is not None:
        yield ""
        yield Text(
            plain(f"best: {best.name} with {study.metric} {number(best.objective or 0.0)}"), style="bold"
        )


def _children(
    study: Study, definition: Definition, children: tuple[Child, ...], best: Child | None
) -> RenderableType:
    names = [parameter.name for parameter in definition.parameters]
    apart = len(names) <= COLUMNS
    grid = Table(box=None, pad_edge=False, header_style="bold", padding=(0, 2, 0, 0))
    grid.add_column("", width=1)
    grid.add_column("job", no_wrap=True)
    grid.add_column("status", no_wrap=True)
    for name in names if apart else ["values"]:
        grid.add_column(cell(name), justify="right" if apart else "left", overflow="fold")
    grid.add_column(cell(definition.metric), justify="right", no_wrap=True)
    grid.add_column("why", overflow="fold")
    for child in children:
        values = {name: _value(child.values.get(name, "")) for name in names}
        cells = list(values.values()) if apart else [" ".join(f"{n}={v}" for n, v in values.items())]
        grid.add_row(
            "*" if child is best else "",
            cell(child.name.removeprefix(f"{study.name}-")),
            child.outcome,
            *map(cell, cells),
            "" if child.objective is None else f"{child.objective:.6g}",
            cell(brief(child.why)),
            style="bold" if child is best else None,
        )
    grid.caption = f"jobs are named {cell(study.name)}-<job>; * is the best"
    grid.caption_justify = "left"
    return grid


def brief(reason: str) -> str:
    """One line of a reason: of a program's traceback the last line, which names the error."""
    _, quoted, rest = reason.partition('ErrorMessage "')
    said = rest.partition('"\nCommand')[0] if quoted else reason
    lines = [line.strip() for line in said.strip().splitlines() if line.strip()]
    line = "" if not lines else lines[-1] if quoted else lines[0]
    return line if len(line) <= LONGEST_REASON else line[: LONGEST_REASON - 3] + "..."


def _value(text: str) -> str:
    try:
        return number(float(text)) if not text.lstrip("-").isdigit() else text
    except ValueError:
        return shown(text)


def _importance(definition: Definition) -> Iterator[RenderableType]:
    """A bar for each parameter, the weightiest first."""
    if len(definition.responses) < 2:
        return
    yield ""
    yield Text("importance: share of the predicted objective's variance that each parameter explains alone")
    width = max(map(len, definition.responses))
    for name, response in sorted(definition.responses.items(), key=lambda item: -item[1].importance):
        bar = "█" * round(BAR * response.importance)
        yield Text(plain(f"  {name:<{width}}  {100 * response.importance:3.0f} %  {bar}"))
