"""Early stopping Auto of a Bayesian study, beside the median rule: is the rest of this child worth its time?

The children of a Bayesian study are soon all good, so that few are worse than the median, and yet most of them neither
become the job that is handed over nor tell much by their last epochs. At a few steps of its way (LOOKS) a running
child is therefore held against the best of those that ran to their end:

1. its curve is extended to the end (`forecast`), which gives its final objective and how uncertain that is;
2. this is put to the model of `bayesian` as a measurement with that much noise, beside all ended children with theirs,
   so that what is known of near-by configurations counts too, and so that a child at the best's own place gains
   nothing from it;
3. the child is stopped when the gain to be expected of it, over the best, is below WORTH deviations of the noise that
   the model sees in a whole job. So small a difference could not be told apart from chance anyway.

Nothing is decided before ENOUGH children (`forecast`) have run to their end, nor where those are of unequal length.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from scipy.special import ndtr

from clary.tuning import forecast
from clary.tuning.acquisition import expected_improvement
from clary.tuning.bayesian import Model, learn
from clary.tuning.forecast import Family, Forecast
from clary.tuning.gp import Data, condition
from clary.tuning.space import Floats, Space, Values
from clary.tuning.stopping import Decision
from clary.tuning.strategy import Observation, usable
from clary.tuning.targets import spread_variance

LOOKS = (2 / 9, 3 / 9, 4 / 9, 5 / 9, 6 / 9, 7 / 9, 8 / 9)  # shares of a whole child's length
WORTH = 1 / 6


@dataclass(frozen=True)
class Prospects:
    """What is known of a study at one moment. `finished`: the configurations that ran to their end, (n, width)."""

    family: Family
    model: Model
    finished: Floats
    usual: float
    maximize: bool

    def decide(self, values: Values, curve: Sequence[float]) -> Decision:
        """Whether the child with these values and this curve, which is not empty, goes on."""
        unit = self.model.posterior.kernel.space.encode(values)
        found = self.family.forecast(curve, unit)
        step, length, jobs = len(curve), self.family.length, len(self.model.data.targets)
        if found is None:
            reason = (
                f"nothing is foretold at step {step}: the values are no numbers, or far from all other jobs'"
            )
            return Decision(False, step, float(curve[-1]), None, jobs, reason)
        mean, variance, best = self._lead(unit, found)
        chance = float(np.mean(ndtr(mean / np.sqrt(variance))))
        scale = self.model.transform.scale
        gain = scale * float(expected_improvement(mean[:, None], variance[:, None], np.zeros(len(mean)))[0])
        worth = WORTH * scale * self._noise()
        stop = gain < worth
        words = "not worth the rest: less than" if stop else "worth the rest: at least"
        reason = (
            f"at step {step} of {length} it is expected to come to {found.mean:.6g} +- {found.deviation:.2g}; "
            f"a mean gain of {gain:.2g} over the best job's {best:.6g} (chance {chance:.0%}) is {words} {worth:.2g}"
        )
        return Decision(stop, step, float(curve[-1]), best, jobs, reason)

    def _noise(self) -> float:
        posterior = self.model.posterior
        return float(np.exp(0.5 * np.mean(np.log(posterior.kernel.noise_variance(posterior.thetas)))))

    def _lead(self, unit: Floats, found: Forecast) -> tuple[Floats, Floats, float]:
        """Mean and variance (S,) of the child's final value minus the best one's, in targets; the best's objective."""
        model, transform = self.model, self.model.transform
        sign = 1.0 if self.maximize else -1.0
        target = transform.forward(np.array([sign * found.mean])) - model.offset
        extra = spread_variance(forecast.surplus(found, self.usual), transform.scale)
        data = Data(
            np.concatenate([model.data.units, unit[None, :]]),
            np.concatenate([model.data.targets, target]),
            np.append(model.data.extra, extra),
        )
        posterior = condition(model.posterior.kernel, model.posterior.thetas, data)
        means, _ = posterior.moments(self.finished)
        top = int(np.argmax(means))
        mean, variance = posterior.differences(unit, self.finished[top][None, :])
        best = sign * float(transform.backward(means[top : top + 1] + model.offset)[0])
        return mean[:, 0], variance[:, 0], best


def due(step: int, decided: int, length: int) -> bool:
    """Whether a child at `step` is to be looked at, the last look having been at step `decided` (0: none)."""
    return step < length and any(decided < look <= step for look in _steps(length))


def prospects(
    space: Space, history: Sequence[Observation], rng: np.random.Generator, *, maximize: bool
) -> Prospects | None:
    """What can be foretold from the children that have ended; None while that is nothing (see `forecast`)."""
    known = usable(space, history)
    length = forecast.length_of(known)
    family = forecast.learn(space, known, length) if length else None
    if length is None or family is None:
        return None
    model = learn(space, forecast.foreseen(space, known, length), rng, maximize=maximize)
    whole = [
        each.values
        for each in known
        if forecast.ran_through(each) and len(each.curve) >= forecast.EVEN * length
    ]
    return Prospects(family, model, space.encode_all(whole), family.usual, maximize)


def _steps(length: int) -> list[int]:
    return [max(int(np.ceil(look * length - 1e-9)), 2) for look in LOOKS]
