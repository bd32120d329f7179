"""Slice sampling of a density, many chains side by side, so that numpy does one large step where a loop does many."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from clary.tuning.space import Floats

Density = Callable[[Floats], Floats]  # (S, parameters) -> log density (S,), up to a constant

SHRINKS = 12


def sample(
    density: Density,
    centre: Floats,
    spread: Floats,
    rng: np.random.Generator,
    *,
    chains: int,
    draws: int,
    steps: int,
) -> Floats:
    """`chains` points of the density, shape (chains, parameters).

    Chains start at `draws` points of the normal (`centre`, `spread`), resampled by their density's ratio to it; then
    each makes `steps` slice moves along random directions. Starting spread out and close to the mass replaces most of
    a single chain's burn-in.
    """
    starts = centre + spread * rng.standard_normal((draws, len(centre)))
    starts[0] = centre
    densities = density(starts)
    points, levels = _resampled(starts, densities, centre, spread, rng, chains)
    for step in range(steps):
        directions = _directions(points, spread, rng, axis=step)
        points, levels = _move(density, points, levels, directions, rng)
    return points


def _resampled(
    starts: Floats, densities: Floats, centre: Floats, spread: Floats, rng: np.random.Generator, chains: int
) -> tuple[Floats, Floats]:
    proposal = -0.5 * np.sum(((starts - centre) / spread) ** 2, axis=1)
    weights = np.exp(densities - proposal - np.max(densities - proposal))
    ladder = np.cumsum(weights / np.sum(weights))
    picks = np.minimum(np.searchsorted(ladder, (np.arange(chains) + rng.random()) / chains), len(starts) - 1)
    return starts[picks], densities[picks]


def _directions(points: Floats, spread: Floats, rng: np.random.Generator, *, axis: int) -> Floats:
    """Along one coordinate and along a random direction by turns."""
    if axis % 2:
        return np.asarray(spread * rng.standard_normal(points.shape))
    directions = np.zeros_like(points)
    chosen = rng.integers(points.shape[1], size=len(points))
    directions[np.arange(len(points)), chosen] = 2.0 * spread[chosen]
    return directions


def _move(
    density: Density, points: Floats, levels: Floats, directions: Floats, rng: np.random.Generator
) -> tuple[Floats, Floats]:
    """One slice move of each chain: a bracket placed at random around the point, shrunk until it meets the slice."""
    floor = levels + np.log(rng.random(len(points)))
    low = -2.0 * rng.random(len(points))
    high = low + 2.0
    points, levels = points.copy(), levels.copy()
    open_chains = np.arange(len(points))
    for _ in range(SHRINKS):
        along = low[open_chains] + (high - low)[open_chains] * rng.random(len(open_chains))
        tried = points[open_chains] + along[:, None] * directions[open_chains]
        found = density(tried)
        inside = found > floor[open_chains]
        points[open_chains[inside]] = tried[inside]
        levels[open_chains[inside]] = found[inside]
        outside = open_chains[~inside]
        left = along[~inside] < 0
        low[outside[left]] = along[~inside][left]
        high[outside[~left]] = along[~inside][~left]
        open_chains = outside
        if not len(open_chains):
            break
    return points, levels
