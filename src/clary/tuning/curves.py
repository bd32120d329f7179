"""Children that stopped at different steps, made comparable: each curve is completed to one length."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import numpy as np

from clary.tuning.strategy import Observation

ENOUGH = 3


def completed(history: Sequence[Observation], length: int) -> list[Observation]:
    """The history with each objective as it would be expected after `length` steps.

    A child that stopped before gets its last value and, for each step that is missing, the median gain of those that
    made the step (none where fewer than ENOUGH did). Failed children and those without a curve are left as they are.
    """
    curves = [each.curve[:length] for each in history if each.status != "Failed" and len(each.curve) > 1]
    gains = _gains(curves, length)
    return [_complete(each, length, gains) for each in history]


def _complete(each: Observation, length: int, gains: Sequence[float]) -> Observation:
    if each.status == "Failed" or not each.curve:
        return each
    last = min(len(each.curve), length)
    return replace(each, objective=float(each.curve[last - 1]) + gains[last])


def _gains(curves: Sequence[Sequence[float]], length: int) -> list[float]:
    """Expected gain from step s (index s, steps count from 1) to `length`: the sum of median gains step by step."""
    gains = [0.0] * (length + 1)
    for step in range(length - 1, 0, -1):
        rises = [curve[step] - curve[step - 1] for curve in curves if len(curve) > step]
        finite = [rise for rise in rises if np.isfinite(rise)]
        gains[step] = gains[step + 1] + (float(np.median(finite)) if len(finite) >= ENOUGH else 0.0)
    gains[0] = gains[1] if length else 0.0
    return gains
