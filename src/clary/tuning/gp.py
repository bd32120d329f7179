"""A Gaussian process posterior, averaged over sampled hyperparameters."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from clary.tuning.kernel import JITTER, Kernel
from clary.tuning.sampling import sample
from clary.tuning.space import Floats

LARGEST_FIT = 100
LARGEST_MODEL = 300


@dataclass(frozen=True)
class Data:
    """What was measured: points of the cube (n, width), targets (n,), extra noise variance of each (n,)."""

    units: Floats
    targets: Floats
    extra: Floats


@dataclass(frozen=True)
class Posterior:
    """The function given data, for each of S hyperparameter vectors."""

    kernel: Kernel
    thetas: Floats
    features: Floats
    whitener: Floats  # (S, n, n), the inverse of the Cholesky factor
    weights: Floats  # (S, n)

    def predict(self, units: Floats) -> tuple[Floats, Floats]:
        """Mean and variance of the noiseless function at `units` (m, width): each of shape (S, m)."""
        cross = self.kernel.between(self.thetas, self.features, self.kernel.features(self.thetas, units))
        mean = np.einsum("sn,snm->sm", self.weights, cross)
        explained = np.sum((self.whitener @ cross) ** 2, axis=1)
        variance = self.kernel.variance(self.thetas)[:, None] - explained
        return mean, np.maximum(variance, 1e-12)

    def differences(self, unit: Floats, units: Floats) -> tuple[Floats, Floats]:
        """Mean and variance of the function at `unit` (width,) minus that at each of `units` (m, width): (S, m)."""
        points = self.kernel.features(self.thetas, np.concatenate([unit[None, :], units]))
        cross = self.kernel.between(self.thetas, self.features, points)
        mean = np.einsum("sn,snm->sm", self.weights, cross)
        seen = self.whitener @ cross
        joint = self.kernel.between(self.thetas, points, points) - seen.transpose(0, 2, 1) @ seen
        own = np.diagonal(joint, axis1=1, axis2=2)
        variance = own[:, :1] + own[:, 1:] - 2.0 * joint[:, 0, 1:]
        return mean[:, :1] - mean[:, 1:], np.maximum(variance, 1e-12)

    def moments(self, units: Floats) -> tuple[Floats, Floats]:
        """Mean and standard deviation with the hyperparameters marginalised, each of shape (m,)."""
        mean, variance = self.predict(units)
        centre = mean.mean(axis=0)
        return centre, np.sqrt(variance.mean(axis=0) + mean.var(axis=0))


def fit(kernel: Kernel, data: Data, rng: np.random.Generator, *, samples: int, steps: int) -> Floats:
    """Hyperparameter vectors drawn from their posterior, shape (samples, parameters).

    With more than LARGEST_FIT points they are learned from a part of them (`thinned`).
    """
    few = thinned(data, LARGEST_FIT, rng)
    return sample(
        lambda thetas: kernel.log_posterior(thetas, few.units, few.targets, few.extra),
        kernel.centre,
        kernel.spread,
        rng,
        chains=samples,
        draws=48,
        steps=steps,
    )


def thinned(data: Data, count: int, rng: np.random.Generator) -> Data:
    """At most `count` of the points: the best half of that number and others at random."""
    if len(data.targets) <= count:
        return data
    order = np.argsort(-data.targets)
    rest = rng.permutation(order[count // 2 :])[: count - count // 2]
    chosen = np.concatenate([order[: count // 2], rest])
    return Data(data.units[chosen], data.targets[chosen], data.extra[chosen])


def condition(kernel: Kernel, thetas: Floats, data: Data) -> Posterior:
    """The posterior given the data, for hyperparameters already chosen."""
    features = kernel.features(thetas, data.units)
    covariance = kernel.between(thetas, features, features)
    diagonal = np.arange(len(data.targets))
    covariance[:, diagonal, diagonal] += kernel.noise_variance(thetas)[:, None] + data.extra + JITTER
    try:
        factor = np.linalg.cholesky(covariance)
    except np.linalg.LinAlgError:
        covariance[:, diagonal, diagonal] += 1e-5
        factor = np.linalg.cholesky(covariance)
    whitener = np.linalg.inv(factor)
    weights = np.einsum("sji,sj->si", whitener, whitener @ data.targets)
    return Posterior(kernel, thetas, features, whitener, weights)
