"""From measurements to CloudWatch's datapoints: periods aligned to the epoch, and statistics over each. Pure."""

from __future__ import annotations

import math
import re
from collections import defaultdict
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass

STATISTICS = ("SampleCount", "Average", "Sum", "Minimum", "Maximum")
LARGEST = 2.0**360  # CloudWatch takes no value farther from 0: sums of such values stay finite
PERCENTILE = re.compile(r"p(\d{1,2}(?:\.\d{1,10})?|100)")


@dataclass(frozen=True, slots=True)
class Sample:
    """A value that was measured `weight` times. `at` is seconds since the epoch."""

    at: float
    value: float
    weight: float = 1.0


@dataclass(frozen=True, slots=True)
class Datapoint:
    """The statistics of the samples in [at, at + period)."""

    at: int
    values: Mapping[str, float]


def floor_to_period(at: float, period_s: int) -> int:
    return math.floor(at / period_s) * period_s


def is_statistic(name: str) -> bool:
    return name in STATISTICS or PERCENTILE.fullmatch(name) is not None


def datapoints(samples: Iterable[Sample], period_s: int, statistics: Sequence[str]) -> Sequence[Datapoint]:
    """One for each period that has samples, oldest first. Each statistic must pass `is_statistic`.

    Samples that are NaN or beyond LARGEST, as of a diverged loss, are passed over.
    """
    buckets: defaultdict[int, list[Sample]] = defaultdict(list)
    for sample in samples:
        if abs(sample.value) <= LARGEST and sample.weight > 0:
            buckets[floor_to_period(sample.at, period_s)].append(sample)
    return [
        Datapoint(at, {name: _measure(name)(bucket) for name in statistics})
        for at, bucket in sorted(buckets.items())
    ]


def spread(count: float, total: float, low: float, high: float, at: float) -> Sequence[Sample]:
    """Samples that have just this count, sum, minimum and maximum: how a statistic set is kept.

    Raises ValueError when no samples could have them.
    """
    slack = 1e-9 * max(abs(low), abs(high), 1.0) * count
    if not (count >= 1 and low <= high and low * count - slack <= total <= high * count + slack):
        raise ValueError("no samples have this SampleCount, Sum, Minimum and Maximum")
    if count < 2 or low == high:
        return [Sample(at, total / count, count)]
    ends = [Sample(at, low), Sample(at, high)]
    middle = count - 2
    if middle <= 0:
        return ends
    return [*ends, Sample(at, min(max((total - low - high) / middle, low), high), middle)]


def _measure(name: str) -> Callable[[Sequence[Sample]], float]:
    measure = _MEASURES.get(name)
    if measure is not None:
        return measure
    share = float(name.removeprefix("p")) / 100
    return lambda samples: _percentile(samples, share)


def _percentile(samples: Sequence[Sample], share: float) -> float:
    """Nearest rank: the smallest value that at least this share of the samples does not exceed."""
    rank = share * _count(samples)
    seen = 0.0
    ordered = sorted(samples, key=lambda sample: sample.value)
    for sample in ordered:
        seen += sample.weight
        if seen >= rank - 1e-9:
            return sample.value
    return ordered[-1].value


def _count(samples: Sequence[Sample]) -> float:
    return math.fsum(sample.weight for sample in samples)


def _total(samples: Sequence[Sample]) -> float:
    return math.fsum(sample.value * sample.weight for sample in samples)


_MEASURES: Mapping[str, Callable[[Sequence[Sample]], float]] = {
    "SampleCount": _count,
    "Average": lambda samples: _total(samples) / _count(samples),
    "Sum": _total,
    "Minimum": lambda samples: min(sample.value for sample in samples),
    "Maximum": lambda samples: max(sample.value for sample in samples),
}
