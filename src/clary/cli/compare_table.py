"""A comparison as text: the leaderboard, a sentence for each run behind the leader, and what differs."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from rich.console import RenderableType
from rich.table import Table
from rich.text import Text

from clary.analytics.comparison import Comparison, Figure, lower_is_better, shared_metrics
from clary.analytics.style import figure as shown
from clary.cli.terminal import cell, plain

OTHER_METRICS = 4  # columns beside the one that is compared by
BAR = 24  # characters
LONGEST_FACT = 60


def table(comparison: Comparison, notes: Sequence[str]) -> Iterator[RenderableType]:
    """What `clary compare` prints, part by part."""
    better = "lower is better" if lower_is_better(comparison.metric) else "higher is better"
    yield Text(plain(f"{comparison.metric} ({better})"), style="bold")
    yield _leaderboard(comparison)
    yield ""
    for finding in comparison.findings:
        yield Text(plain(finding.sentence), style="bold" if finding.is_real else "")
    if comparison.differing:
        yield ""
        yield _differences(comparison)
    for note in notes:
        yield Text(plain(f"note: {note}"), style="dim")


def _leaderboard(comparison: Comparison) -> Table:
    others = shared_metrics(comparison)[:OTHER_METRICS]
    low, high = _range(comparison)
    grid = Table(box=None, pad_edge=False, header_style="bold", padding=(0, 2, 0, 0))
    grid.add_column("", justify="right", no_wrap=True)
    grid.add_column("run", overflow="fold")
    grid.add_column(cell(comparison.metric), justify="right", no_wrap=True)
    grid.add_column("95 % interval", no_wrap=True)
    grid.add_column("", no_wrap=True)
    for name in others:
        grid.add_column(cell(name), justify="right", no_wrap=True)
    for rank, run in enumerate(comparison.runs, 1):
        figure = run.figures.get(comparison.metric)
        grid.add_row(
            str(rank),
            cell(run.name),
            shown(figure.value) if figure else "-",
            _interval(figure),
            _bar(figure, low, high),
            *(shown(run.figures[name].value) if name in run.figures else "-" for name in others),
        )
    return grid


def _range(comparison: Comparison) -> tuple[float, float]:
    figures = [run.figures[comparison.metric] for run in comparison.runs if comparison.metric in run.figures]
    lows = [figure.value if figure.low is None else figure.low for figure in figures]
    highs = [figure.value if figure.high is None else figure.high for figure in figures]
    return min(lows), max(highs)


def _interval(figure: Figure | None) -> str:
    if figure is None or figure.low is None or figure.high is None:
        return ""
    return f"{shown(figure.low)} to {shown(figure.high)}"


def _bar(figure: Figure | None, low: float, high: float) -> str:
    """The interval as a line with a dot at the value, on an axis that all runs share."""
    if figure is None or high <= low:
        return ""

    def place(value: float) -> int:
        return round((value - low) / (high - low) * (BAR - 1))

    cells = [" "] * BAR
    if figure.low is not None and figure.high is not None:
        first, last = place(figure.low), place(figure.high)
        cells[first : last + 1] = "─" * (last + 1 - first)
    cells[place(figure.value)] = "●"
    return "".join(cells)


def _differences(comparison: Comparison) -> Table:
    grid = Table(box=None, pad_edge=False, header_style="bold", padding=(0, 2, 0, 0))
    grid.add_column("what differs", overflow="fold")
    for run in comparison.runs:
        grid.add_column(cell(run.name), overflow="fold")
    for name, values in comparison.differing.items():
        grid.add_row(cell(name), *(cell(_cut(value)) for value in values))
    return grid


def _cut(value: str | None) -> str:
    if value is None:
        return "-"
    return value if len(value) <= LONGEST_FACT else f"{value[: LONGEST_FACT - 3]}..."
