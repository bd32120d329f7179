"""Objectives made fit for a Gaussian process: more is better, about unit scale, and a bad tail that does not shout."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from clary.tuning.gp import Data
from clary.tuning.space import Floats, Space
from clary.tuning.strategy import Observation, score

FAILED_NOISE = 0.5
KNEE = 2.0  # scales below the best, from where on the tail is softened
MOST_GAP = 30.0
FAR = 10.0
MOST_SPREAD = 100.0
LARGEST = 1e300


@dataclass(frozen=True)
class Targets:
    """The transformation between objectives (more is better) and targets: affine, but for a softened bad tail.

    Whatever lies more than MOST_GAP scales below the best is as bad as that.
    """

    top: float
    scale: float
    knee: float

    def forward(self, scores: Floats) -> Floats:
        gap = np.minimum((self.top - scores) / self.scale, MOST_GAP)
        soft = np.where(
            gap > self.knee, self.knee * (1.0 + np.log(np.maximum(gap, self.knee) / self.knee)), gap
        )
        return np.asarray(-soft)

    def backward(self, targets: Floats) -> Floats:
        gap = -targets
        hard = np.where(gap > self.knee, self.knee * np.exp(np.minimum(gap / self.knee - 1.0, 50.0)), gap)
        return np.asarray(self.top - self.scale * hard)


def learn(scores: Floats) -> Targets:
    """Scale: the standard deviation, in which no gap to the best counts for more than FAR median gaps.

    A job that diverged (a loss of 1000 among losses below 1) would else set the scale, and all others look alike.
    """
    if not len(scores):
        return Targets(0.0, 1.0, np.inf)
    top = float(np.max(scores))
    gaps = np.minimum(top - scores, LARGEST)
    middle = float(np.median(gaps[gaps > 0])) if np.any(gaps > 0) else 0.0
    if not middle:
        return Targets(top, 1.0, KNEE)
    spread = middle * float(np.std(np.minimum(gaps / middle, FAR)))
    return Targets(top, spread or 1.0, KNEE)


def prepare(space: Space, history: Sequence[Observation], *, maximize: bool) -> tuple[Data, Targets, float]:
    """Training data, the transformation behind it and the mean that was taken from the targets.

    A failed child (or one without a value) stands at the lower quartile of the others with much noise: its region
    looks worse, yet one flaky child does not outweigh a good one beside it.
    """
    scores = [score(each, maximize=maximize) for each in history]
    known = np.array([value for value in scores if value is not None])
    transform = learn(known)
    targets = transform.forward(known)
    bad = float(np.quantile(targets, 0.25)) if len(targets) else -1.0
    filled = np.array([bad if value is None else 0.0 for value in scores])
    filled[[value is not None for value in scores]] = targets
    spreads = np.array([each.spread for each in history])
    extra = np.array([FAILED_NOISE if value is None else 0.0 for value in scores])
    extra = np.where(extra == 0.0, spread_variance(spreads, transform.scale), extra)
    mean = float(np.mean(filled)) if len(filled) else 0.0
    return Data(space.encode_all([each.values for each in history]), filled - mean, extra), transform, mean


def spread_variance(spread: Floats | float, scale: float) -> Floats:
    """The noise, in targets, that a measurement has which is uncertain by `spread`: MOST_SPREAD at most."""
    most = np.sqrt(MOST_SPREAD)
    return np.asarray((np.minimum(spread, most * scale) / scale) ** 2)
