"""How much a candidate is worth, and the search for the best one."""

from __future__ import annotations

import numpy as np
from scipy.special import ndtr

from clary.tuning.gp import Posterior
from clary.tuning.space import Categorical, Floats, Space

STOPS = 9
MOST_SWAPS = 256


def expected_improvement(mean: Floats, variance: Floats, best: Floats) -> Floats:
    """Of the noiseless function over `best` (S,), averaged over the S hyperparameter vectors: shape (m,)."""
    deviation = np.sqrt(variance)
    z = (mean - best[:, None]) / deviation
    density = np.exp(-0.5 * z**2) / np.sqrt(2.0 * np.pi)
    return np.asarray(np.mean(deviation * (z * ndtr(z) + density), axis=0))


def worth(posterior: Posterior, units: Floats, best: Floats, horizon: float) -> Floats:
    """The value of running each point next, in target units: shape (m,).

    What the point itself is expected to bring, and `horizon` times the improvement it is expected to discover: an
    improvement pays again in each job that is still to come, the cost of a bad point is paid once. Late in a study
    (`horizon` near 0) this is the posterior mean, early it is expected improvement.
    """
    mean, variance = posterior.predict(units)
    return np.asarray(
        mean.mean(axis=0) + horizon * expected_improvement(mean, learnable(posterior, variance), best)
    )


def learnable(posterior: Posterior, variance: Floats) -> Floats:
    """The variance of what the mean will be after one measurement: what noise hides is no improvement to be had."""
    noise = posterior.kernel.noise_variance(posterior.thetas)
    return np.asarray(variance**2 / (variance + noise[:, None]))


def spread_points(count: int, width: int, rng: np.random.Generator) -> Floats:
    """A low-discrepancy sequence of the unit cube with a random shift: shape (count, width).

    The additive recurrence with the generalised golden ratio; unlike Sobol's it needs no table and no power of two.
    """
    ratio = 2.0
    for _ in range(40):
        ratio = (1.0 + ratio) ** (1.0 / (width + 1.0))
    steps = ratio ** -np.arange(1.0, width + 1.0)
    return np.asarray((rng.random(width) + np.outer(np.arange(1.0, count + 1.0), steps)) % 1.0)


def neighbours(space: Space, unit: Floats, count: int, rng: np.random.Generator) -> Floats:
    """Points around one: numeric columns moved by steps of many sizes, other categories tried."""
    around = np.repeat(unit[None, :], count, axis=0)
    for each, part in zip(space.ranges, space.slices, strict=True):
        if isinstance(each, Categorical):
            redraw = rng.random(count) < 1.0 / len(space.ranges) * 0.5
            around[redraw, part] = rng.random((int(redraw.sum()), each.columns))
            continue
        sizes = 10.0 ** rng.uniform(-3.0, -0.5, size=count)
        still = rng.random(count) < 0.3 if len(space.ranges) > 1 else np.zeros(count, dtype=bool)
        moved = around[:, part.start] + np.where(still, 0.0, sizes * rng.standard_normal(count))
        around[:, part.start] = np.abs(1.0 - np.abs(1.0 - moved) % 2.0)  # reflected at the edges
    return np.concatenate([space.snap(around), _other_categories(space, unit, rng)])


def _other_categories(space: Space, unit: Floats, rng: np.random.Generator) -> Floats:
    """The point itself and those with one category replaced: each of them, or MOST_SWAPS at random."""
    parts = [p for r, p in zip(space.ranges, space.slices, strict=True) if isinstance(r, Categorical)]
    columns = [(part, column) for part in parts for column in range(part.start, part.stop)]
    if len(columns) > MOST_SWAPS:
        columns = [columns[n] for n in np.sort(rng.permutation(len(columns))[:MOST_SWAPS])]
    rows = np.repeat(unit[None, :], 1 + len(columns), axis=0)
    for row, (part, column) in zip(rows[1:], columns, strict=True):
        row[part] = 0.0
        row[column] = 1.0
    return rows


def search(
    posterior: Posterior,
    seeds: Floats,
    best: Floats,
    horizon: float,
    rng: np.random.Generator,
    *,
    candidates: int = 512,
    rounds: int = 5,
) -> tuple[Floats, float]:
    """The point of highest worth and its worth: global candidates and `seeds` first, then neighbours of the leaders."""
    space = posterior.kernel.space
    units = np.concatenate([space.snap(spread_points(candidates, space.width, rng)), seeds])
    values = worth(posterior, units, best, horizon)
    for _ in range(rounds):
        leaders = units[np.argsort(-values)[:4]]
        near = np.concatenate([neighbours(space, leader, 32, rng) for leader in leaders])
        units, values = (
            np.concatenate([units, near]),
            np.concatenate([values, worth(posterior, near, best, horizon)]),
        )
    top = int(np.argmax(values))
    return units[top], float(values[top])


def rival(
    posterior: Posterior,
    known: Floats,
    doubt: float,
    rng: np.random.Generator,
    *,
    candidates: int = 256,
    checked: int = 24,
) -> Floats | None:
    """The most promising point of a peak other than that of the best of `known` (n, width), or None.

    Promising: its mean and `doubt` deviations, hyperparameters marginalised, exceed the best mean. Another peak: on
    the straight way to the best point lies a valley, lower than both by more than a deviation. Where the objective has
    one peak that way never dips, so this costs nothing; a valley only counts where it was measured well enough.
    """
    space = posterior.kernel.space
    means, _ = posterior.moments(known)
    top = int(np.argmax(means))
    units = np.concatenate([space.snap(spread_points(candidates, space.width, rng)), known])
    mean, deviation = posterior.moments(units)
    upper = mean + doubt * deviation
    order = np.argsort(-upper)
    order = order[(upper[order] > means[top]) & (mean[order] < means[top])][:checked]
    if not len(order):
        return None
    mean, floor = mean[order], _valleys(posterior, units[order], known[top])
    beyond = np.flatnonzero(floor < mean)
    return np.asarray(units[order[beyond[0]]]) if len(beyond) else None


def _valleys(posterior: Posterior, units: Floats, goal: Floats) -> Floats:
    """For each of `units` (m, width), the lowest mean and one deviation on the way to `goal`: shape (m,).

    Only numeric columns move: between two categories there is nothing.
    """
    numeric = posterior.kernel.numeric
    shares = np.arange(1.0, STOPS + 1.0) / (STOPS + 1.0)
    steps = (goal - units) * numeric
    way = units[:, None, :] + shares[None, :, None] * steps[:, None, :]
    mean, deviation = posterior.moments(posterior.kernel.space.snap(way.reshape(-1, units.shape[1])))
    return np.asarray((mean + deviation).reshape(len(units), STOPS).min(axis=1))
