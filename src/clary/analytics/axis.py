"""The axis of the objective: all jobs lie on it, but for the few that would leave no room to tell the others apart.

A job that diverged may have a loss of 1e9 where the others have 0.3. Outliers are judged against the middle of the
jobs, twice: farther out than ROOM times the width of the middle 80 percent, or than FAR times that of the middle half,
which also finds them where many jobs diverged. Towards better values only the second counts: what is found there is
what was sought.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal, TypeAlias

from clary.analytics import style
from clary.analytics.reading import Study

ROOM, FAR = 10.0, 100.0
ENOUGH = 10  # jobs, below which the middle says too little
FEWEST = 3

Side: TypeAlias = Literal["", "above", "below"]


@dataclass(frozen=True, slots=True)
class Axis:
    """`low` and `high` are its ends; `outliers` how many jobs lie beyond them."""

    low: float
    high: float
    outliers: int = 0

    @property
    def domain(self) -> list[float]:
        return [self.low, self.high]

    def side(self, value: float | None) -> Side:
        """Where a value lies that is not on the axis."""
        if value is None or self.low <= value <= self.high:
            return ""
        return "above" if value > self.high else "below"

    def place(self, value: float | None) -> float:
        """Where a job is drawn: at the nearer end if it lies beyond, at the lower one if it has no value."""
        return self.low if value is None else min(max(value, self.low), self.high)

    def told(self) -> str:
        """For a subtitle; empty where nothing lies outside."""
        if not self.outliers:
            return ""
        jobs = "1 job lies" if self.outliers == 1 else f"{self.outliers} jobs lie"
        return f"{jobs} outside, shown as arrows at the edge"


def axis_of(study: Study) -> Axis:
    """One axis for every chart of a study: of its jobs, and of the predicted means (a band may reach beyond).

    Where jobs lie outside, the means may too: the model tries to follow them.
    """
    measured = [child.objective for child in study.children if child.objective is not None]
    low, high = bounds(measured, maximize=study.maximize)
    inside = [value for value in measured if low <= value <= high]
    outside = len(measured) - len(inside)
    believed = [
        value
        for definition in study.definitions
        for response in definition.responses.values()
        for value in response.mean
    ]
    ends = style.span(inside if outside else [*inside, *believed])
    return Axis(ends[0], ends[1], outside)


def bounds(values: Sequence[float], *, maximize: bool) -> tuple[float, float]:
    """Between these lie all values that are no outliers."""
    if len(values) < FEWEST:
        return -math.inf, math.inf
    ranked = sorted(values)
    few = len(ranked) < ENOUGH
    far = _fence(ranked, 0.25, FAR, least=0.1 if few else 0.0)
    near = far if few else _fence(ranked, 0.1, ROOM)
    low, high = max(near[0], far[0]), min(near[1], far[1])
    return (low, far[1]) if maximize else (far[0], high)


def _fence(ranked: Sequence[float], share: float, times: float, *, least: float = 0.0) -> tuple[float, float]:
    """The middle of the values, without `share` of them at either end, and so many times its width around it.

    The width counts as `least` of the values' size at least: of few values two may be close by chance.
    """
    last = len(ranked) - 1
    low, high = ranked[math.ceil(share * last)], ranked[math.floor((1.0 - share) * last)]
    width = max(high - low, least * abs(low)) or abs(low) or 1.0
    return low - times * width, high + times * width
