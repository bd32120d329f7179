"""What a child that was cut short would have come to, learned from the curves of the same study.

A child's objective at step t of `length` is taken to be

    final * (1 - s(t)) + start * s(t) + drift * (t - length) / length + noise

where s falls from 1 at the first step to 0 at the last along one of some shapes, exponentials (PACES) and powers
(POWERS). Start, final and drift are normal over the study's children; their means and spreads, how common each shape
is and the noise are learned from all curves at once (rounds of expectation and maximisation). A child's final value
then has a mean and a deviation over all shapes: the less it has shown, the wider.

Where children of near-by configurations have run to the end, there is a second forecast: the mean of the newest values
and what those children still gained from that step on, as a smooth function of the configuration. It needs no shape and
soon is the better one, since the children of a study gather where it is good. Of the two the surer one is taken.

No forecast is trusted more than it has earned: its deviation is that by which forecasts made at the same step for the
children that did run to the end have missed.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np

from clary.tuning.space import Floats, Space
from clary.tuning.strategy import Observation, score

ENOUGH = 3  # children that ran to the end
SHORTEST = 5  # values; shorter curves have no shape
EVEN = 0.8  # of the longest: so long are all that ran to the end
POINTS = 128  # longer curves are averaged over equal pieces
ROUNDS = 12
PACES = (0.03, 0.05, 0.08, 0.13, 0.2, 0.3, 0.5, 1.0)  # shares of the length
POWERS = (0.3, 0.6, 1.0, 1.5, 2.5)
SHAPES = len(PACES) + len(POWERS)
ODD = 30.0  # median gaps from the median: a child that came so far off teaches nothing about the others
FARTHEST = 1e4  # scales of the family, beyond which nothing is foretold
LEAST = 1e-8  # variance, in units of the family's scale
NEWEST = 3  # the newest third of the values makes their level
ALIKE = (0.0, 0.3, 0.6, 0.9, 0.97)  # shares of a gain's variance that near-by places have in common
REACHES = (0.2, 0.4, 0.8, 1.6)  # how far near-by is, in the unit cube


@dataclass(frozen=True, slots=True)
class Forecast:
    """The objective that a child has at the end, without the noise of one value, and its standard deviation."""

    mean: float
    deviation: float


@dataclass(frozen=True)
class Sums:
    """What the curves of n children say about final, start and drift, for each of K shapes."""

    squares: Floats  # (n, K, 3, 3)
    products: Floats  # (n, K, 3)
    power: Floats  # (n,)
    count: Floats  # (n,)


@dataclass(frozen=True)
class Belief:
    """Mean and variance (3,) of final, start and drift over children, variance of noise, shares (K,) of the shapes."""

    mean: Floats
    variance: Floats
    noise: float
    shares: Floats


@dataclass(frozen=True)
class Gains:
    """What children gained from one step to the end: `centre` and `scale` times a process over the unit cube.

    For each of G pairs of ALIKE and REACHES: its weight, and the process given the gains at `places`.
    """

    centre: float
    scale: float
    places: Floats  # (n, width)
    alike: Floats  # (G,)
    reach: Floats  # (G,)
    weight: Floats  # (G,)
    inverse: Floats  # (G, n, n)
    pull: Floats  # (G, n)
    size: Floats  # (G,), variance

    def at(self, unit: Floats) -> tuple[float, float]:
        """Mean and deviation of the gain of a child at `unit` (width,)."""
        common = self.alike[:, None] * _near(self.places, unit[None, :], self.reach)[:, :, 0]
        mean = np.sum(common * self.pull, axis=1)
        variance = self.size * (1.0 - np.einsum("gi,gij,gj->g", common, self.inverse, common))
        middle = float(self.weight @ mean)
        spread = float(self.weight @ (np.maximum(variance, 0.0) + (mean - middle) ** 2))
        return self.centre + self.scale * middle, self.scale * float(np.sqrt(spread))


@dataclass(frozen=True)
class Family:
    """The curves of one study, in units of `scale` around `centre`; `finished`, at `places`, ran to the end."""

    length: int
    centre: float
    scale: float
    belief: Belief
    finished: tuple[Floats, ...]
    places: Floats  # (n, width)

    @property
    def usual(self) -> float:
        """The deviation that is left when a child has run to its end, in the objective's units."""
        return float(np.median(self._ends(self.finished)[1])) * self.scale

    def forecast(self, curve: Sequence[float], unit: Floats) -> Forecast | None:
        """Of the child at `unit` (width,). None for a curve without a finite value or far from all others."""
        return self.forecasts([curve], unit[None, :])[0]

    def forecasts(self, curves: Sequence[Sequence[float]], units: Floats) -> list[Forecast | None]:
        """Of each curve, as `forecast`; `units` has shape (curves, width)."""
        scaled = [
            (np.asarray(curve[: self.length], dtype=float) - self.centre) / self.scale for curve in curves
        ]
        told = [n for n, values in enumerate(scaled) if _in_reach(values)]
        found: list[Forecast | None] = [None] * len(scaled)
        if not told:
            return found
        truth, _ = self._ends(self.finished)
        means, deviations = self._ends([scaled[n] for n in told])
        earned: dict[int, tuple[float, Gains]] = {}
        for n, mean, deviation in zip(told, means, deviations, strict=True):
            values, step = scaled[n], len(scaled[n])
            if step not in earned:
                earned[step] = (self._missed(step, truth), self._gains(step, truth))
            wider, gains = earned[step]
            own = (float(mean), float(deviation) * wider)
            mean, deviation = self._surer(values, own, gains, units[n])
            found[n] = Forecast(self.centre + self.scale * mean, self.scale * deviation)
        return found

    def _surer(
        self, values: Floats, own: tuple[float, float], gains: Gains, unit: Floats
    ) -> tuple[float, float]:
        """Mean and deviation: `own`, from the curve's shape, or what neighbours gained, whichever is narrower."""
        if len(values) < EVEN * self.length and np.isfinite(values[-1]):
            gain, doubt = gains.at(unit)
            if doubt < own[1]:
                return _level(values) + gain, doubt
        return own

    def _ends(self, curves: Sequence[Floats]) -> tuple[Floats, Floats]:
        """Mean and deviation of the final value of each curve, in units of scale."""
        weight, covariance, evidence = _posterior(_sums(curves, self.length), self.belief)
        share = _shared(evidence, self.belief)
        final = weight[:, :, 0]
        mean = np.sum(share * final, axis=1)
        variance = np.sum(share * (covariance[:, :, 0, 0] + (final - mean[:, None]) ** 2), axis=1)
        return mean, np.sqrt(variance)

    def _missed(self, step: int, truth: Floats) -> float:
        """By how much deviations at `step` are to be widened: at least 1. `truth`: where `finished` came to."""
        mean, deviation = self._ends([curve[:step] for curve in self.finished])
        misses = ((mean - truth) / deviation) ** 2
        return float(np.sqrt(max((ENOUGH + misses.sum()) / (ENOUGH + len(misses)), 1.0)))

    def _gains(self, step: int, truth: Floats) -> Gains:
        gains = truth - np.array([_level(curve[:step]) for curve in self.finished])
        return _learn_gains(self.places, gains, float(np.sqrt(self.belief.noise)))


def length_of(history: Sequence[Observation]) -> int | None:
    """How many values a child emits that runs to its end; None while that is not known or not one number.

    One that diverged tells nothing, for many a script ends then.
    """
    lengths = [len(each.curve) for each in history if ran_through(each)]
    if len(lengths) < ENOUGH or max(lengths) < SHORTEST or min(lengths) < EVEN * max(lengths):
        return None
    return max(lengths)


def ran_through(observation: Observation) -> bool:
    """Whether a child ended by itself, with a number."""
    curve = observation.curve
    return observation.status == "Completed" and len(curve) > 0 and bool(np.isfinite(curve[-1]))


def learn(space: Space, history: Sequence[Observation], length: int) -> Family | None:
    """The family of a history's curves; None where fewer than ENOUGH came to `length`, or all are one number."""
    good = [each for each in history if each.status != "Failed" and space.holds(each.values)]
    alike = _alike([each for each in good if _whole(each.curve[:length])])
    curves = [np.array(each.curve[:length], dtype=float) for each in alike]
    if sum(len(curve) >= EVEN * length for curve in curves) < ENOUGH:
        return None
    every = np.concatenate(curves)
    centre, scale = float(np.median(every)), float(np.ptp(every))
    if not np.isfinite(scale) or scale <= 1e-12 * abs(centre):
        return None
    curves = [(curve - centre) / scale for curve in curves]
    finished = tuple(curve for curve in curves if len(curve) >= EVEN * length)
    first = _first_belief(curves, finished, length)
    sums, belief = _sums(curves, length), first
    for _ in range(ROUNDS):
        belief = _improved(belief, sums, first)
    places = space.encode_all([each.values for each in alike if len(each.curve) >= EVEN * length])
    return Family(length, centre, scale, belief, finished, places)


def foreseen(space: Space, history: Sequence[Observation], length: int | None = None) -> list[Observation]:
    """The history with each objective as it is expected after `length` steps, and in `spread` how uncertain that is.

    Without `length` it is that of the children that ran to their end. Those too gain: one last value is noisier than
    the end of a fitted curve. Where nothing can be learned, and for failed children, all stays as it is.
    """
    length = length or length_of(history)
    family = learn(space, history, length) if length else None
    if family is None:
        return list(history)
    told = [n for n, each in enumerate(history) if each.curve and score(each, maximize=True) is not None]
    told = [n for n in told if space.holds(history[n].values)]
    units = space.encode_all([history[n].values for n in told])
    forecasts = family.forecasts([history[n].curve for n in told], units)
    usual = family.usual
    result = list(history)
    for n, found in zip(told, forecasts, strict=True):
        if found is not None:
            result[n] = replace(history[n], objective=found.mean, spread=surplus(found, usual))
    return result


def surplus(forecast: Forecast, usual: float) -> float:
    """The deviation beyond that of a child that ran to its end, which counts as noise of every measurement."""
    # the root of a difference of squares, which themselves may be too large for a number
    return float(np.sqrt(max(forecast.deviation - usual, 0.0)) * np.sqrt(forecast.deviation + usual))


def _whole(curve: Sequence[float]) -> bool:
    return len(curve) > 0 and bool(np.all(np.isfinite(curve)))


def _alike(history: Sequence[Observation]) -> list[Observation]:
    if not history:
        return []
    last = np.array([each.curve[-1] for each in history])
    gaps = np.abs(last - np.median(last))
    usual = float(np.median(gaps))
    return [each for each, gap in zip(history, gaps, strict=True) if not usual or gap <= ODD * usual]


def _in_reach(values: Floats) -> bool:
    finite = values[np.isfinite(values)]
    return len(finite) > 0 and bool(np.max(np.abs(finite)) <= FARTHEST)


def _level(values: Floats) -> float:
    newest = values[-max(len(values) // NEWEST, 1) :]
    return float(np.mean(newest[np.isfinite(newest)]))


def _learn_gains(places: Floats, gains: Floats, noise: float) -> Gains:
    """The variance starts at that of all gains, as if ENOUGH more had been seen."""
    n = len(gains)
    centre, scale = float(np.mean(gains)), max(1.2 * float(np.std(gains)), noise)
    alike, reach = (each.ravel() for each in np.meshgrid(ALIKE, REACHES))
    common = alike[:, None, None] * _near(places, places, reach)
    common[:, np.arange(n), np.arange(n)] = 1.0
    inverse = np.linalg.inv(common)
    rest = (gains - centre) / scale
    pull = inverse @ rest
    fit = pull @ rest
    _, volume = np.linalg.slogdet(common)
    logs = -0.5 * volume - 0.5 * (ENOUGH + n) * np.log(ENOUGH + fit)
    weight = np.exp(logs - logs.max())
    size = (ENOUGH + fit) / (ENOUGH + n)
    return Gains(
        centre, scale, places, alike, reach, weight / np.sum(weight), np.asarray(inverse), pull, size
    )


def _near(left: Floats, right: Floats, reach: Floats) -> Floats:
    """Likeness of places, 1 at no distance: shape (G, n, m)."""
    squares = np.sum((left[:, None, :] - right[None, :, :]) ** 2, axis=2)
    return np.asarray(np.exp(-0.5 * squares / reach[:, None, None] ** 2))


def _first_belief(curves: Sequence[Floats], finished: Sequence[Floats], length: int) -> Belief:
    """Rough values to start from, which also steady what is learned from few curves."""
    last = np.array([np.mean(curve[-max(length // 10, 1) :]) for curve in finished])
    first = np.array([curve[0] for curve in curves])
    bends = np.concatenate([np.diff(_points(curve, length)[1], 2) for curve in finished])
    noise = max((float(np.median(np.abs(bends))) / 0.6745) ** 2 / 6.0, LEAST)
    rise = float(np.median(last) - np.median(first))
    spread = max(rise**2, float(np.var(last)), noise)
    mean = np.array([np.mean(last), np.mean(first), 0.0])
    variance = np.array([np.var(last) + 0.1 * spread, np.var(first) + 0.1 * spread, 0.01 * spread])
    return Belief(mean, variance, noise, np.full(SHAPES, 1.0 / SHAPES))


def _improved(belief: Belief, sums: Sums, first: Belief) -> Belief:
    """One round: weights of each child and shape given the belief, then the belief given those."""
    weight, covariance, evidence = _posterior(sums, belief)
    share = _shared(evidence, belief)
    n = len(weight)
    mean = (first.mean + np.einsum("nk,nki->i", share, weight)) / (1.0 + n)
    squares = np.diagonal(covariance, axis1=2, axis2=3) + (weight - mean) ** 2
    variance = (2.0 * first.variance + np.einsum("nk,nki->i", share, squares)) / (2.0 + n)
    left = (
        sums.power[:, None]
        - 2.0 * np.einsum("nki,nki->nk", weight, sums.products)
        + np.einsum("nki,nkij,nkj->nk", weight, sums.squares, weight)
        + np.einsum("nkij,nkji->nk", sums.squares, covariance)
    )
    noise = (2.0 * first.noise + np.sum(share * left)) / (2.0 + np.sum(sums.count))
    shares = (0.5 + share.sum(axis=0)) / (0.5 * SHAPES + n)
    return Belief(mean, np.maximum(variance, LEAST), max(float(noise), LEAST), shares)


def _posterior(sums: Sums, belief: Belief) -> tuple[Floats, Floats, Floats]:
    """Means (n, K, 3), covariances (n, K, 3, 3) and log evidence (n, K) of each child's weights in each shape."""
    precision = np.diag(1.0 / belief.variance) + sums.squares / belief.noise
    covariance = np.asarray(np.linalg.inv(precision))
    right = belief.mean / belief.variance + sums.products / belief.noise
    weight = np.einsum("nkij,nkj->nki", covariance, right)
    _, volume = np.linalg.slogdet(precision)
    return weight, covariance, 0.5 * (np.sum(right * weight, axis=2) - volume)


def _shared(evidence: Floats, belief: Belief) -> Floats:
    logs = evidence + np.log(belief.shares)
    raised = np.exp(logs - logs.max(axis=1, keepdims=True))
    return np.asarray(raised / raised.sum(axis=1, keepdims=True))


def _sums(curves: Sequence[Floats], length: int) -> Sums:
    parts = []
    for curve in curves:
        steps, values = _points(curve, length)
        basis = _basis(steps, length)
        squares = basis.transpose(1, 2, 0) @ basis.transpose(1, 0, 2)
        parts.append((squares, np.einsum("tki,t->ki", basis, values), float(values @ values), len(values)))
    squares, products, power, count = (np.array(column) for column in zip(*parts, strict=True))
    return Sums(squares, products, power, count)


def _points(curve: Floats, length: int) -> tuple[Floats, Floats]:
    """Steps and values of the finite ones; where the length is above POINTS, the means of equal pieces."""
    steps = np.arange(1.0, len(curve) + 1.0)
    keep = np.isfinite(curve)
    steps, values = steps[keep], curve[keep]
    width = -(-length // POINTS)
    if width == 1 or not len(values):
        return steps, values
    starts = np.arange(0, len(values), width)
    counts = np.diff(np.append(starts, len(values)))
    return np.add.reduceat(steps, starts) / counts, np.add.reduceat(values, starts) / counts


def _basis(steps: Floats, length: int) -> Floats:
    """What final, start and drift contribute at each step: shape (steps, K, 3)."""
    fall = _falls(steps, length)
    end = _falls(np.array([float(length)]), length)
    fall = (fall - end) / (1.0 - end)
    drift = np.broadcast_to(((steps - length) / length)[:, None], fall.shape)
    return np.stack([1.0 - fall, fall, drift], axis=2)


def _falls(steps: Floats, length: int) -> Floats:
    paces = np.array(PACES) * length
    exponentials = np.exp(-(steps[:, None] - 1.0) / paces)
    return np.concatenate([exponentials, steps[:, None] ** -np.array(POWERS)], axis=1)
