"""The covariance of a study's objective: Matern 5/2 over a warped unit cube, for many hyperparameter vectors at once.

A hyperparameter vector `theta` holds logarithms, in this order:

    length     one length scale per parameter of the space (ARD); the columns of one categorical share theirs
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
    def owner(self) -> list[int]:
        """For each column of the cube, the number of its parameter."""
        return [g for g, each in enumerate(self.space.ranges) for _ in range(each.columns)]

    @cached_property
    def warped(self) -> list[int]:
        """The columns that are warped."""
        return [c for c, flag in enumerate(self.numeric) if flag]

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
        """Warped columns over their length scales: shape (S, n, width). Distances between rows are the kernel's."""
        groups = len(self.space.ranges)
        lengths = np.exp(thetas[:, :groups])[:, self.owner]
        out = np.broadcast_to(units, (len(thetas), *units.shape)).copy()
        if self.warped:
            a, b = np.split(np.exp(thetas[:, groups + 3 :]), 2, axis=1)
            inner = np.clip(units[:, self.warped], EDGE, 1.0 - EDGE)
            powered = np.exp(a[:, None, :] * np.log(inner))
            out[:, :, self.warped] = -np.expm1(b[:, None, :] * np.log1p(-powered))
        return np.asarray(out / lengths[:, None, :])

    def between(self, thetas: Floats, left: Floats, right: Floats) -> Floats:
        """Covariances of the function between rows of features: shape (S, n, m)."""
        whole, parts = self._amplitudes(thetas)
        total = np.zeros((len(thetas), left.shape[1], right.shape[1]))
        additive = np.zeros_like(total)
        for part in self.space.slices:
            squares = _squares(left[:, :, part], right[:, :, part])
            total += squares
            if len(self.space.slices) > 1:
                additive += _matern(squares)
        share = parts / len(self.space.slices)
        return np.asarray(
            whole[:, None, None] * _matern(total) + share[:, None, None] * additive + MEAN_VARIANCE
        )

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


def _squares(left: Floats, right: Floats) -> Floats:
    if left.shape[2] == 1:
        return np.asarray((left - right.transpose(0, 2, 1)) ** 2)
    squares = np.sum(left**2, axis=2)[:, :, None] + np.sum(right**2, axis=2)[:, None, :]
    return np.asarray(np.maximum(squares - 2.0 * left @ right.transpose(0, 2, 1), 0.0))


def _matern(squares: Floats) -> Floats:
    """Matern 5/2 correlation at squared distances."""
    scaled = np.sqrt(5.0 * squares)
    return np.asarray((1.0 + scaled + scaled**2 / 3.0) * np.exp(-scaled))
