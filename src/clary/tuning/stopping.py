"""Early stopping Auto: the median rule with running averages.

After each value that a running child emits (one match of the objective's pattern is one step), the running averages
of the children that ran before it are taken up to the same step; the child is stopped when its value is worse than
the median of those averages. So says the published guide. It says nothing of a grace period, so the guard is ours,
after the tuner's published description and the public reference of the same authors: no stop before `GRACE_STEPS`
steps, before `MIN_JOBS` children have a curve that reaches the step, or in the first `MIN_SHARE` of the length of
the children that ran to their end.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from statistics import median

import numpy as np

from clary.tuning.strategy import Observation

GRACE_STEPS = 1
MIN_JOBS = 5
MIN_SHARE = 0.1


@dataclass(frozen=True, slots=True)
class Decision:
    """One look at a running child, worth recording as it is.

    `step` counts from 1. `threshold` is what `value` was held against (here the median, in Hyperband the cut of a
    rung) and None when nothing was; `jobs` is how many children it was made from.
    """

    stop: bool
    step: int
    value: float
    threshold: float | None
    jobs: int
    reason: str


def decide(
    curve: Sequence[float], earlier: Sequence[Observation], *, maximize: bool, min_jobs: int = MIN_JOBS
) -> Decision | None:
    """The decision at the newest step of a running child's `curve`; None while it has emitted nothing.

    `earlier` are children that have ended; those stopped early count up to where they came. Values that are not
    finite are worse than any.
    """
    if not curve:
        return None
    step, value = len(curve), float(curve[-1])
    averages = [mean for mean in (_running_average(each, step) for each in earlier) if mean is not None]
    first = first_step(earlier)
    if len(averages) < min_jobs:
        return Decision(
            False, step, value, None, len(averages), f"fewer than {min_jobs} jobs came to step {step}"
        )
    middle = median(averages)
    if step < first:
        return Decision(False, step, value, middle, len(averages), f"no job is stopped before step {first}")
    worse = not np.isfinite(value) or (value < middle if maximize else value > middle)
    words = "worse than" if worse else "no worse than"
    reason = f"{value:.6g} at step {step} is {words} {middle:.6g}, the median of {len(averages)} jobs' running averages"
    return Decision(worse, step, value, middle, len(averages), reason)


def first_step(earlier: Sequence[Observation]) -> int:
    """The first step at which a child may be stopped: a share of the median length of the children that finished."""
    lengths = [len(each.curve) for each in earlier if each.status == "Completed" and each.curve]
    share = int(np.ceil(MIN_SHARE * median(lengths))) if lengths else 0
    return max(GRACE_STEPS + 1, share)


def _running_average(observation: Observation, step: int) -> float | None:
    """Up to `step`. What is no finite number is skipped, unless the child never came back to numbers."""
    finite = np.isfinite(observation.curve)
    if not finite[step - 1 :].any():
        return None
    return (
        float(np.mean(np.asarray(observation.curve)[:step][finite[:step]])) if finite[:step].any() else None
    )
