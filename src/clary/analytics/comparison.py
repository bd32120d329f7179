"""Several runs side by side: who leads, whether the lead is real, and in what the runs differ. Pure."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace

import numpy as np
from numpy.typing import NDArray

from clary.analytics.significance import (
    LEVEL,
    Difference,
    compare_macro_f1,
    compare_means,
    corrected,
    needed_among,
)

Texts = NDArray[np.str_]

MACRO_F1 = "f1_macro"
# figures between 0 and 1 are told in points (hundredths); of these words, lower is better
_LOWER_IS_BETTER = frozenset({"perplexity", "wer", "cer", "rmse", "mae", "mse", "brier", "ece"})
_LOWER_AT_THE_END = ("loss", "error")
_LEVEL_WITHIN = 1e-12


@dataclass(frozen=True, slots=True)
class Figure:
    """A metric's value, with the bounds of its 95 % interval where they are known."""

    value: float
    low: float | None = None
    high: float | None = None


@dataclass(frozen=True, slots=True)
class Predictions:
    """What a run said of each example. `examples` are digests of the inputs.

    `labels` and `predicted` go with them where the task has labels; `scores` holds per-example values of metrics that
    are means (accuracy: 1 for right, 0 for wrong).
    """

    examples: Texts
    scores: Mapping[str, NDArray[np.float64]]
    labels: Texts | None = None
    predicted: Texts | None = None

    def can_tell(self, metric: str) -> bool:
        return metric in self.scores or (metric == MACRO_F1 and self.labels is not None)


@dataclass(frozen=True, slots=True)
class Run:
    """`facts` are what one would compare: parameters, data, code, by a readable name."""

    name: str
    figures: Mapping[str, Figure]
    facts: Mapping[str, str] = field(default_factory=dict)
    predictions: Predictions | None = None


@dataclass(frozen=True, slots=True)
class Finding:
    """The leader against one other run. `difference` is None where no paired test was possible, `p` is corrected.

    `is_reversed`: the leader leads by its own figure, but on the examples that both have the other one does.
    """

    leader: str
    other: str
    difference: Difference | None
    p: float | None
    sentence: str
    is_reversed: bool = False

    @property
    def is_real(self) -> bool:
        return self.p is not None and self.p < LEVEL


@dataclass(frozen=True, slots=True)
class Comparison:
    """`runs` from best to worst by `metric`, those without it last. `differing` has the facts in which they differ."""

    metric: str
    runs: Sequence[Run]
    findings: Sequence[Finding]
    differing: Mapping[str, Sequence[str | None]]


def compare(runs: Sequence[Run], metric: str, rng: np.random.Generator) -> Comparison:
    """The comparison of two runs or more. Raises ValueError when no run has the metric."""
    ranked = _ranked(runs, metric)
    if not ranked or metric not in ranked[0].figures:
        known = sorted({name for run in runs for name in run.figures})
        raise ValueError(f"no run has the metric {metric!r}; there are: {', '.join(known) or 'none'}")
    leader, *others = ranked
    tested = [_difference(leader, other, metric, rng) for other in others]
    values = [found.p for found in tested if found]
    pairs = len(values) * (len(values) + 1) // 2  # of the runs that were tested, the leader among them
    remaining = iter(corrected(values, among=pairs))
    findings = [
        _finding(leader, other, metric, _among(found, pairs), next(remaining) if found else None, pairs)
        for other, found in zip(others, tested, strict=True)
    ]
    return Comparison(metric, ranked, findings, differing_facts(ranked))


def common_metric(runs: Sequence[Run]) -> str | None:
    """The metric to compare by when nobody named one: accuracy, exact match, or the first that all runs have."""
    shared = [name for name in runs[0].figures if all(name in run.figures for run in runs)] if runs else []
    for name in ("accuracy", "exact_match", "f1", MACRO_F1):
        if name in shared:
            return name
    return shared[0] if shared else None


def shared_metrics(comparison: Comparison) -> list[str]:
    """The metrics that all runs have which have the one compared by, other than that one."""
    have = [run for run in comparison.runs if comparison.metric in run.figures]
    shared = [name for name in have[0].figures if all(name in run.figures for run in have)]
    return [name for name in shared if name != comparison.metric]


def lower_is_better(metric: str) -> bool:
    words = metric.lower().replace(":", "_").replace("-", "_").split("_")
    return any(word in _LOWER_IS_BETTER or word.endswith(_LOWER_AT_THE_END) for word in words)


def differing_facts(runs: Sequence[Run]) -> dict[str, list[str | None]]:
    """Facts that are not the same in all runs: a value for each run, None where it has none."""
    names = dict.fromkeys(name for run in runs for name in run.facts)
    table = {name: [run.facts.get(name) for run in runs] for name in names}
    return {name: values for name, values in table.items() if len(set(values)) > 1}


def paired(first: Predictions, second: Predictions) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Indexes of the examples that both have, in one order. An input that occurs twice is paired as it came."""
    places = {key: index for index, key in enumerate(_occurrences(second.examples))}
    pairs = [(index, places[key]) for index, key in enumerate(_occurrences(first.examples)) if key in places]
    both = np.array(pairs, dtype=np.int64).reshape(-1, 2)
    return both[:, 0], both[:, 1]


def relabelled(first: Predictions, second: Predictions) -> int:
    """Of how many examples that both have the labels are not the same: being right means another thing there."""
    if first.labels is None or second.labels is None:
        return 0
    mine, theirs = paired(first, second)
    return int((first.labels[mine] != second.labels[theirs]).sum())


def _ranked(runs: Sequence[Run], metric: str) -> list[Run]:
    sign = 1.0 if lower_is_better(metric) else -1.0
    have = [run for run in runs if metric in run.figures]
    best_first = sorted(have, key=lambda run: sign * run.figures[metric].value)
    return best_first + [run for run in runs if metric not in run.figures]


def _difference(leader: Run, other: Run, metric: str, rng: np.random.Generator) -> Difference | None:
    first, second = leader.predictions, other.predictions
    if not (first and second and first.can_tell(metric) and second.can_tell(metric)):
        return None
    mine, theirs = paired(first, second)
    if not len(mine):
        return None
    if metric in first.scores and metric in second.scores:
        one, two = first.scores[metric][mine], second.scores[metric][theirs]
        return compare_means(one, two, rng) if np.isfinite([one, two]).all() else None
    assert first.labels is not None and first.predicted is not None
    assert second.labels is not None and second.predicted is not None
    # labels of other names, or corrected ones, would make good predictions wrong
    same = first.labels[mine] == second.labels[theirs]
    if not same.any():
        return None
    mine, theirs = mine[same], theirs[same]
    words = np.concatenate([first.labels[mine], first.predicted[mine], second.predicted[theirs]])
    numbers = np.unique(words, return_inverse=True)[1].reshape(3, -1)
    return compare_macro_f1(numbers[0], numbers[1], numbers[2], rng)


def _among(difference: Difference | None, comparisons: int) -> Difference | None:
    if difference is None or difference.needed is None:
        return difference
    return replace(difference, needed=needed_among(difference.needed, comparisons))


def _occurrences(examples: Texts) -> list[tuple[str, int]]:
    seen: dict[str, int] = {}
    keys = []
    for example in examples.tolist():
        seen[example] = seen.get(example, 0) + 1
        keys.append((example, seen[example]))
    return keys


def _finding(
    leader: Run, other: Run, metric: str, difference: Difference | None, p: float | None, comparisons: int
) -> Finding:
    if difference is None or p is None:
        return Finding(leader.name, other.name, None, None, _untested(leader, other, metric))
    is_reversed = difference.value * (-1 if lower_is_better(metric) else 1) < -_LEVEL_WITHIN
    finding = Finding(leader.name, other.name, difference, p, "", is_reversed)
    return replace(finding, sentence=_sentence(finding, difference, metric, comparisons))


def _sentence(finding: Finding, difference: Difference, metric: str, comparisons: int) -> str:
    # a lead is told as a positive number, also where the lower figure is the better one, or the other run ahead
    value, low, high = difference.value, difference.low, difference.high
    if lower_is_better(metric) != finding.is_reversed:
        value, low, high = -value, -high, -low
    scale, unit, digits = (1, "", 4) if lower_is_better(metric) else (100, " points", 1)
    lead = f"{finding.leader} leads {finding.other} by {scale * value:.{digits}f}{unit} of {_plain(metric)}"
    if finding.is_reversed:
        lead = (
            f"{finding.leader} has the better {_plain(metric)}, but on the examples that both have {finding.other} "
            f"leads by {scale * value:.{digits}f}{unit}"
        )
    if abs(value) < _LEVEL_WITHIN:
        lead = f"{finding.leader} and {finding.other} are level in {_plain(metric)}"
    interval = f"(95 % interval {scale * low:.{digits}f} to {scale * high:.{digits}f})"
    return f"{lead} {interval}: {_verdict(finding, difference, comparisons)}"


def _verdict(finding: Finding, difference: Difference, comparisons: int) -> str:
    examples = f"{difference.examples:,} examples"
    among = f", corrected for {comparisons} comparisons" if comparisons > 1 else ""
    if finding.is_real:
        return f"a real difference on {examples} (p {_p(finding.p)}{among})."
    needed = difference.needed
    if needed is None:
        return f"no difference on {examples}."
    if needed <= difference.examples:
        return f"not a real difference on {examples} (p {_p(finding.p)}{among}): too close to call."
    # the interval is of this pair alone, and a bootstrap's is a little narrow on few examples: it may say otherwise
    looks_real = difference.p < LEVEL or difference.low > 0 or difference.high < 0
    why = f" (p {_p(finding.p)}{among})" if looks_real else ""
    return f"not a real difference on {examples}{why}; about {_round(needed):,} would settle it."


def _untested(leader: Run, other: Run, metric: str) -> str:
    if metric not in other.figures:
        return f"{other.name} has no {_plain(metric)} to compare."
    ahead, behind = leader.figures[metric], other.figures[metric]
    lead = f"{leader.name} has {_plain(metric)} {ahead.value:.4g}, {other.name} {behind.value:.4g}"
    return f"{lead}: whether that is real cannot be told without both runs' predictions on the same examples."


def _plain(metric: str) -> str:
    return metric.replace("_", " ").replace("f1", "F1")


def _p(value: float | None) -> str:
    return "< 0.001" if value is not None and value < 0.001 else f"= {value:.3f}"


def _round(number: int) -> int:
    """To two digits that count: more would pretend."""
    size: int = 10 ** max(0, len(str(number)) - 2)
    return round(number / size) * size
