"""When a study is done before its job limit: target reached, best not improving, converged. The first to fire wins."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal, TypeAlias

import numpy as np

from clary.tuning.strategy import Observation, score

IMPROVEMENT = 0.01
CONVERGED_AFTER = 10

Cause: TypeAlias = Literal["target", "not improving", "converged"]


@dataclass(frozen=True, slots=True)
class Criteria:
    """TuningJobCompletionCriteria: each None or False when the request has it not."""

    target: float | None = None
    max_not_improving: int | None = None
    convergence: bool = False


@dataclass(frozen=True, slots=True)
class Progress:
    """Where a study stands. `not_improving` and `converged` are reported whether or not a criterion asks for them.

    `cause` is None while the study goes on; `reason` says in a sentence why it ends.
    """

    best: float | None
    not_improving: int
    converged: bool
    cause: Cause | None
    reason: str


def progress(
    history: Sequence[Observation],
    criteria: Criteria,
    *,
    maximize: bool,
    running: Sequence[Sequence[float]] = (),
) -> Progress:
    """`history` in the order in which children ended; `running` are the curves so far of those that have not.

    A target counts as reached by any value that a child has emitted, also by one that still runs. An improvement is
    a gain of at least one percent of the best's size. Failed children count as not improving.
    """
    best, idle, longest = _best_and_idle(history, maximize=maximize)
    converged = longest >= CONVERGED_AFTER
    sign = 1.0 if maximize else -1.0
    shown = None if best is None else sign * best
    cause: Cause | None = None
    reason = ""
    top = max([*_emitted(history, running, sign), -np.inf])
    if criteria.target is not None and top >= sign * criteria.target:
        cause, reason = (
            "target",
            f"a training job reached {sign * top:.6g}; the target is {criteria.target:.6g}",
        )
    elif criteria.max_not_improving is not None and idle >= criteria.max_not_improving:
        cause = "not improving"
        reason = f"{idle} training jobs in a row did not improve the best objective by 1 percent"
    elif criteria.convergence and converged:
        cause, reason = "converged", f"the last {longest} training jobs brought no gain above 1 percent"
    return Progress(shown, idle, converged, cause, reason)


def _best_and_idle(history: Sequence[Observation], *, maximize: bool) -> tuple[float | None, int, int]:
    """The best score, the children since it last rose by enough, and the longest such row so far."""
    best: float | None = None
    mark: float | None = None  # the best at the last real improvement
    idle = longest = 0
    for each in history:
        value = score(each, maximize=maximize)
        if value is not None and (mark is None or _improves(value, mark)):
            mark, idle = value, 0
        elif mark is not None:
            idle += 1
        longest = max(longest, idle)
        if value is not None:
            best = value if best is None else max(best, value)
    return best, idle, longest


def _emitted(history: Sequence[Observation], running: Sequence[Sequence[float]], sign: float) -> list[float]:
    done = [each.objective for each in history if each.objective is not None and each.status != "Failed"]
    values = [*done, *(value for each in history if each.status != "Failed" for value in each.curve)]
    values += [value for curve in running for value in curve]
    return [sign * value for value in values if np.isfinite(value)]


def _improves(value: float, mark: float) -> bool:
    return value > mark and value >= mark + IMPROVEMENT * abs(mark)
