"""Figures with the doubt that a finite number of examples leaves: 95 % intervals by the bootstrap."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy import stats

Floats = NDArray[np.float64]

RESAMPLES = 1000
LEVEL = 0.95
_TAILS = (100 * (1 - LEVEL) / 2, 100 * (1 + LEVEL) / 2)
_CELLS = 2_000_000  # values that one batch of resamples may hold


@dataclass(frozen=True, slots=True)
class Measure:
    """A figure, the standard deviation of its resamples, and both ends of its 95 % interval."""

    value: float
    deviation: float
    low: float
    high: float

    def document(self) -> dict[str, Any]:
        """As evaluation.json holds it: what pipelines read (`value`, `standard_deviation`), and the interval."""
        return {
            "value": self.value,
            "standard_deviation": self.deviation,
            "interval": [self.low, self.high],
        }


@dataclass(frozen=True, slots=True)
class Bootstrap:
    """How often to resample, and from which seed: the same data give the same intervals."""

    resamples: int = RESAMPLES
    seed: int = 0

    def generator(self) -> np.random.Generator:
        return np.random.default_rng(self.seed)

    def counts(self, table: NDArray[np.int64]) -> NDArray[np.int64]:
        """Resamples of a table of counts, (resamples, cells). Exactly what drawing examples would give, n being fixed:
        a figure that depends on examples only through their counts needs no more than the counts.
        """
        flat = table.ravel()
        return self.generator().multinomial(flat.sum(), flat / flat.sum(), size=self.resamples)

    def mean(self, values: Floats) -> Measure:
        """The mean of a value per example, with scipy's percentile bootstrap; where all are 0, or all 1, Wilson's."""
        value = float(values.mean())
        if values.min() == values.max():  # a resample is no wiser
            ends = share(int(values.sum()), len(values)) if value in {0.0, 1.0} else (value, value)
            return Measure(value, 0.0, *ends)
        done = stats.bootstrap(
            (values,),
            np.mean,
            n_resamples=self.resamples,
            confidence_level=LEVEL,
            method="percentile",
            batch=max(1, _CELLS // len(values)),
            vectorized=True,
            rng=self.generator(),
        )
        low, high = done.confidence_interval
        return Measure(value, float(done.standard_error), float(low), float(high))

    def biased(self, value: float, examples: int, figure: Callable[[NDArray[np.int64]], float]) -> Measure:
        """A figure of chosen examples whose resamples lean to one side (a calibration error is never below 0).

        The basic bootstrap mirrors the resamples at the value, which takes the lean out; ends stay within 0 and 1.
        """
        generator = self.generator()
        drawn = np.array(
            [figure(generator.integers(0, examples, examples)) for _ in range(self.resamples)],
            dtype=np.float64,
        )
        low, high = np.percentile(drawn, _TAILS)
        ends = np.clip([2 * value - high, 2 * value - low], 0.0, 1.0)
        return Measure(value, float(drawn.std(ddof=1)), float(ends[0]), float(ends[1]))


def percentile(value: float, drawn: Floats) -> Measure:
    """A figure and its values on the resamples, (resamples,)."""
    low, high = np.percentile(drawn, _TAILS)
    return Measure(float(value), float(drawn.std(ddof=1)), float(low), float(high))


def share(successes: int, examples: int) -> tuple[float, float]:
    """Wilson's interval of a share. Unlike the bootstrap it is honest for few examples, and where all are right."""
    interval = stats.binomtest(successes, examples).proportion_ci(LEVEL, method="wilson")
    return float(interval.low), float(interval.high)
