"""Bayesian: a Gaussian process of the objective, and the point that is worth most given what is still to come."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from clary.tuning import acquisition
from clary.tuning.forecast import foreseen
from clary.tuning.gp import LARGEST_MODEL, Data, Posterior, condition, fit, thinned
from clary.tuning.kernel import Kernel
from clary.tuning.space import Floats, Space, Values
from clary.tuning.strategy import Observation, Proposal, usable
from clary.tuning.targets import Targets, prepare

DEFAULT_JOBS_AHEAD = 20
LARGEST_OPENING = 8
LEAST_AHEAD = 3  # a peak found with fewer jobs to come is neither climbed nor confirmed


@dataclass(frozen=True, slots=True)
class Bayesian:
    """`jobs` is the study's MaxNumberOfTrainingJobs, which sets how much exploring still pays; None if unlimited.

    The first jobs are drawn at random, spread apart (`opening`). After that:

    1. hyperparameters of the process are slice-sampled from the finished jobs (see `kernel`, `sampling`);
    2. children that still run are taken in at their predicted mean (fantasies), so that their uncertainty is gone
       and the next child looks elsewhere unless repeating is worth it;
    3. while a second peak (`acquisition.rival`) may still be the higher one, within `doubt` standard deviations, it
       is looked at: the opening may have met a narrow peak only at its flanks, and what exploiting the first peak
       brings at once would hide it for the rest of the study;
    4. else the candidate of highest `acquisition.worth` is proposed. A point may come again when the measurement is
       noisy and nothing else is expected to bring more.

    With `forecasts`, for studies that stop children early, each child counts with what its curve says it would have
    come to, as uncertain as that is (`forecast`).
    """

    jobs: int | None = None
    first: int | None = None
    samples: int = 10
    steps: int = 14
    patience: float = 5.0
    doubt: float = 2.5
    forecasts: bool = False

    @property
    def opening(self) -> int:
        """How many jobs are spread at random first: `first`, or 4 of 15, at least 3 and at most 8."""
        if self.first is not None:
            return self.first
        return LARGEST_OPENING if self.jobs is None else min(max(self.jobs * 4 // 15, 3), LARGEST_OPENING)

    def propose(
        self,
        space: Space,
        history: Sequence[Observation],
        pending: Sequence[Values],
        n: int,
        rng: np.random.Generator,
        *,
        maximize: bool,
    ) -> list[Proposal]:
        known = usable(space, history)
        known = foreseen(space, known) if self.forecasts else known
        running = space.encode_all([each for each in pending if space.holds(each)])
        started = len(history) + len(pending)
        proposals: list[Proposal] = []
        done = space.encode_all([each.values for each in known])
        model: Model | None = None
        for number in range(started, started + n):
            if len(done) + len(running) < self.opening or not len(done):
                unit = spread_out(space, np.concatenate([done, running]), rng)
                proposals.append(Proposal(space.decode(unit), "one of the first, spread at random"))
            else:
                model = model or learn(
                    space, known, rng, maximize=maximize, samples=self.samples, steps=self.steps
                )
                unit, proposal = self._best(model, running, number, rng)
                proposals.append(proposal)
            running = np.concatenate([running, unit[None, :]])
        return proposals

    def _best(
        self, model: Model, running: Floats, number: int, rng: np.random.Generator
    ) -> tuple[Floats, Proposal]:
        space = model.posterior.kernel.space
        posterior = model.with_fantasies(running)
        known = np.concatenate([model.data.units, running])
        means, _ = posterior.predict(known)
        best = means.max(axis=1)
        ahead = DEFAULT_JOBS_AHEAD if self.jobs is None else max(self.jobs - number - 1, 0)
        horizon = self.patience * ahead
        if ahead >= LEAST_AHEAD:
            rival = acquisition.rival(posterior, known, self.doubt, rng)
            if rival is not None:
                return rival, Proposal(space.decode(rival), "another peak, not yet ruled out")
        unit, _ = acquisition.search(posterior, known, best, horizon, rng)
        mean, variance = posterior.predict(unit[None, :])
        gain = float(acquisition.expected_improvement(mean, variance, best)[0])
        exploits = float(mean.mean()) >= float(best.mean()) - gain
        reason = "near the best that the model expects" if exploits else "uncertain enough to be worth a look"
        return unit, Proposal(space.decode(unit), reason)


@dataclass(frozen=True)
class Model:
    """The process given the finished jobs; a target plus `offset`, taken back through `transform`, is an objective."""

    data: Data
    posterior: Posterior
    transform: Targets
    offset: float

    def with_fantasies(self, running: Floats) -> Posterior:
        """Also given that children at `running` (k, width) end as predicted."""
        if not len(running):
            return self.posterior
        guess, _ = self.posterior.moments(running)
        data = Data(
            np.concatenate([self.data.units, running]),
            np.concatenate([self.data.targets, guess]),
            np.concatenate([self.data.extra, np.zeros(len(running))]),
        )
        return condition(self.posterior.kernel, self.posterior.thetas, data)


def learn(
    space: Space,
    history: Sequence[Observation],
    rng: np.random.Generator,
    *,
    maximize: bool,
    samples: int = 10,
    steps: int = 14,
) -> Model:
    """Fits the process to a history that lies in the space and is not empty."""
    kernel = Kernel(space)
    data, transform, offset = prepare(space, history, maximize=maximize)
    data = thinned(data, LARGEST_MODEL, rng)
    thetas = fit(kernel, data, rng, samples=samples, steps=steps)
    return Model(data, condition(kernel, thetas, data), transform, offset)


def spread_out(space: Space, taken: Floats, rng: np.random.Generator) -> Floats:
    """A random point of the cube, far from those taken; edges wrap around, so that none draws more than its share."""
    units = space.snap(acquisition.spread_points(32, space.width, rng))
    if not len(taken):
        return np.asarray(units[0])
    gap = np.abs(units[:, None, :] - taken[None, :, :])
    distance = np.sum(np.minimum(gap, 1.0 - gap + (gap == 1.0)) ** 2, axis=2).min(axis=1)
    return np.asarray(units[int(np.argmax(distance))])
