"""The covariance of a study's objective: Matern 5/2 over a warped unit cube, for many hyperparameter vectors at once.

A hyperparameter vector `theta` holds logarithms, in this order:

    length     one length scale per parameter of the space (ARD)
    amplitude  standard deviation of the joint part of the function
    noise      standard deviation of one measurement
    additive   standard deviation of a sum of one function per parameter (unused where there is one parameter)
    a, b       Kumaraswamy warping per numeric parameter: u -> 1 - (1 - u^a)^b, so that a range given on the wrong
               scale is stretched where the objective changes fast

Each has a normal prior (on the logarithm). The mean of the function is marginalised: a constant kernel is added.
Source of the recipe: the published description of SageMaker's tuner (Matern 5/2 with ARD, learned warping, Gaussian
noise, hyperparameters by slice sampling); the priors are ours.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property

import numpy as np

from clary.tuning.space import Categorical, Floats, Space

MEAN_VARIANCE = 1.0
JITTER = 1e-8
EDGE = 1e-6


@dataclass(frozen=True)
class Prior:
    """Centres and widths of the normal priors on the logarithms."""

    length: tuple[float, float] = (float(np.log(0.25)), 0.6)
    category: tuple[float, float] = (0.0, 0.7)
    additive: tuple[float, float] = (float(np.log(0.7)), 0.6)
    amplitude: tuple[float, float] = (0.0, 0.6)
    noise: tuple[float, float] = (float(np.log(0.05)), 0.9)
    warp: tuple[float, float] = (0.0, 0.6)


@dataclass(frozen=True)
class Kernel:
    """Knows the space's layout; every method takes `thetas` of shape (S, parameters) and works on all S at once."""

    space: Space
    prior: Prior = Prior()

    @cached_property
    def numeric(self) -> Floats:
        """For each column of the cube, whether it is a numeric parameter's."""
        return np.array(
            [not isinstance(r, Categorical) for r in self.space.ranges for _ in range(r.columns)], dtype=float
        )

    @cached_property
    def warped(self) -> list[int]:
        """The columns that are warped."""
        return [c for c, flag in enumerate(self.numeric) if flag]

    @cached_property
    def numbers(self) -> list[int]:
        """The numeric parameters, by their place in the space."""
        return [g for g, each in enumerate(self.space.ranges) if not isinstance(each, Categorical)]

    @cached_property
    def choices(self) -> list[int]:
        """The categorical parameters, by their place in the space."""
        return [g for g, each in enumerate(self.space.ranges) if isinstance(each, Categorical)]

    @cached_property
    def centre(self) -> Floats:
        return self._table[:, 0]

    @cached_property
    def spread(self) -> Floats:
        return self._table[:, 1]

    @cached_property
    def _table(self) -> Floats:
        groups = len(self.space.ranges)
        wider = 0.5 * np.log(max(groups, 1))  # in more dimensions points lie further apart
        numeric = (self.prior.length[0] + wider, self.prior.length[1])
        rows = [self.prior.category if isinstance(r, Categorical) else numeric for r in self.space.ranges]
        rows += [self.prior.amplitude, self.prior.noise, self.prior.additive]
        rows += [self.prior.warp] * (2 * len(self.warped))
        return np.array(rows)

    def noise_variance(self, thetas: Floats) -> Floats:
        return np.asarray(np.exp(2.0 * thetas[:, len(self.space.ranges) + 1]))

    def variance(self, thetas: Floats) -> Floats:
        """Prior variance of the function at any one point, shape (S,)."""
        whole, parts = self._amplitudes(thetas)
        return np.asarray(whole + parts + MEAN_VARIANCE)

    def _amplitudes(self, thetas: Floats) -> tuple[Floats, Floats]:
        """Prior variances of the joint part and of the additive part (0 where there is one parameter only)."""
        groups = len(self.space.ranges)
        parts = np.exp(2.0 * thetas[:, groups + 2]) if groups > 1 else np.zeros(len(thetas))
        return np.exp(2.0 * thetas[:, groups]), parts

    def features(self, thetas: Floats, units: Floats) -> Floats:
        """A column for each parameter: numeric ones warped, over their length scale, then the categories' numbers.

        `units` (n, width) must be snapped, for a category is the place of the 1 in its columns. Shape (S, n, groups).
        """
        count = len(self.numbers)
        out = np.empty((len(thetas), len(units), len(self.space.ranges)))
        if count:
            a, b = np.split(np.exp(thetas[:, len(self.space.ranges) + 3 :]), 2, axis=1)
            inner = np.clip(units[:, self.warped], EDGE, 1.0 - EDGE)
            powered = np.exp(a[:, None, :] * np.log(inner))
            lengths = np.exp(thetas[:, self.numbers])
            out[:, :, :count] = -np.expm1(b[:, None, :] * np.log1p(-powered)) / lengths[:, None, :]
        for column, g in enumerate(self.choices, start=count):
            out[:, :, column] = np.argmax(units[:, self.space.slices[g]], axis=1)
        return out

    def between(self, thetas: Floats, left: Floats, right: Floats) -> Floats:
        """Covariances of the function between rows of features: shape (S, n, m)."""
        whole, parts = self._amplitudes(thetas)
        several = len(self.space.ranges) > 1
        total = np.zeros((len(thetas), left.shape[1], right.shape[1]))
        additive = np.zeros_like(total)
        for column in range(len(self.numbers)):
            squares = (left[:, :, column, None] - right[:, None, :, column]) ** 2
            total += squares
            if several:
                additive += _matern(squares)
        if self.choices:
            squares, similar = self._between_categories(thetas, left[0], right[0])
            total += squares
            additive += similar
        share = parts / len(self.space.ranges)
        return np.asarray(
            whole[:, None, None] * _matern(total) + share[:, None, None] * additive + MEAN_VARIANCE
        )

    def _between_categories(self, thetas: Floats, left: Floats, right: Floats) -> tuple[Floats, Floats]:
        """Squared distances and correlations, each summed over the categorical parameters: shape (S, n, m).

        Two categories are the same or as far apart as any two, so each parameter brings one number for each theta,
        and a matrix product adds them up. Distances column by column would cost a pass over (S, n, m) for each.
        """
        count, shape = len(self.numbers), (len(thetas), len(left), len(right))
        differ = (left.T[count:, :, None] != right.T[count:, None, :]).reshape(len(self.choices), -1)
        apart = differ.astype(float)
        squares = 2.0 * (1.0 / np.exp(thetas[:, self.choices])) ** 2
        same = len(self.choices) - apart.sum(axis=0)
        return (squares @ apart).reshape(shape), (_matern(squares) @ apart + same).reshape(shape)

    def log_prior(self, thetas: Floats) -> Floats:
        return np.asarray(-0.5 * np.sum(((thetas - self.centre) / self.spread) ** 2, axis=1))

    def log_posterior(self, thetas: Floats, units: Floats, targets: Floats, extra: Floats) -> Floats:
        """Of each theta, up to a constant: shape (S,). `extra` is noise variance added per point, shape (n,)."""
        n = len(targets)
        features = self.features(thetas, units)
        bordered = np.empty((len(thetas), n + 1, n + 1))
        bordered[:, :n, :n] = self.between(thetas, features, features)
        diagonal = np.arange(n)
        bordered[:, diagonal, diagonal] += self.noise_variance(thetas)[:, None] + extra + JITTER
        # the last row of the bordered matrix's factor is L^-1 y: one factorisation gives both terms
        bordered[:, n, :n] = bordered[:, :n, n] = targets
        bordered[:, n, n] = 1e12
        try:
            factor = np.linalg.cholesky(bordered)
        except np.linalg.LinAlgError:
            bordered[:, diagonal, diagonal] += 1e-5
            factor = np.linalg.cholesky(bordered)
        fit = np.sum(factor[:, n, :n] ** 2, axis=1)
        volume = np.sum(np.log(factor[:, diagonal, diagonal]), axis=1)
        return np.asarray(self.log_prior(thetas) - 0.5 * fit - volume)


def _matern(squares: Floats) -> Floats:
    """Matern 5/2 correlation at squared distances."""
    scaled = np.sqrt(5.0 * squares)
    return np.asarray((1.0 + scaled + scaled**2 / 3.0) * np.exp(-scaled))
