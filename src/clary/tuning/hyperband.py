"""Hyperband: many children start, few go on (asynchronous successive halving in brackets).

One resource is one value of the objective that a child emits. The rungs are MinResource times powers of `eta`, below
MaxResource. At a rung a child goes on when its value is among the best 1/eta of those that its bracket has seen
there; it does not wait for others, and the first few at a rung go on. No child is stopped below MinResource, and each
is stopped on reaching MaxResource. Bracket s skips the first s rungs, which guards against objectives whose early
values mislead; the children are dealt to the brackets in the shares of the synchronous algorithm.

New configurations come from the model of `bayesian`. It sees the children that came to the highest rung that enough
of them have reached, each with the objective expected of it at MaxResource (`curves`). Those stopped below are left
out: their early values would pull the model towards what learns fast.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

import numpy as np

from clary.errors import ValidationException
from clary.tuning.bayesian import Bayesian
from clary.tuning.curves import completed
from clary.tuning.space import Space, Values
from clary.tuning.stopping import Decision
from clary.tuning.strategy import Observation, Proposal

RESOURCE_KEYS = ("epochs", "numepochs", "n-epochs", "n_epochs", "num_epochs")
MAX_RESOURCE = 20_000
ENOUGH_AT_RUNG = 5


@dataclass(frozen=True, slots=True)
class Hyperband:
    """Raises ValidationException for resources out of order. `jobs` as in Bayesian."""

    max_resource: int
    min_resource: int = 1
    jobs: int | None = None
    eta: int = 3
    brackets: int = 2

    def __post_init__(self) -> None:
        if not 1 <= self.min_resource <= self.max_resource <= MAX_RESOURCE:
            raise ValidationException(
                f"HyperbandStrategyConfig: MinResource ({self.min_resource}) and MaxResource ({self.max_resource}) "
                f"must satisfy 1 <= MinResource <= MaxResource <= {MAX_RESOURCE}."
            )

    @property
    def rungs(self) -> tuple[int, ...]:
        """The steps at which children are compared, lowest first; MaxResource is not one of them."""
        steps = []
        step = self.min_resource
        while step < self.max_resource:
            steps.append(step)
            step *= self.eta
        return tuple(steps)

    def bracket(self, number: int) -> int:
        """The bracket of the study's child `number` (from 0, in the order of creation)."""
        count = max(1, min(self.brackets, len(self.rungs)))
        ladder = len(self.rungs) + 1
        shares = np.array([self.eta ** (ladder - s) / (ladder - s) for s in range(count)])
        place = (number * (math.sqrt(5.0) - 1.0) / 2.0) % 1.0
        return int(np.searchsorted(np.cumsum(shares / shares.sum()), place, side="right"))

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
        first = len(history) + len(pending)
        chosen = Bayesian(jobs=self.jobs).propose(
            space, self._comparable(history), pending, n, rng, maximize=maximize
        )
        return [
            replace(each, details={**each.details, "bracket": float(self.bracket(first + index))})
            for index, each in enumerate(chosen)
        ]

    def decide(
        self,
        number: int,
        curve: Sequence[float],
        others: Mapping[int, Sequence[float]],
        *,
        maximize: bool,
        decided: int = 0,
    ) -> Decision | None:
        """Whether child `number` goes on; None while it has come to no rung since step `decided`.

        `others` are the curves so far of all other children, running and ended, by number. Call it whenever a child
        has emitted and keep the last decision's `step` as the next call's `decided`.
        """
        step = len(curve)
        if step >= self.max_resource:
            reason = f"MaxResource ({self.max_resource}) is reached"
            return Decision(True, step, float(curve[-1]), None, 0, reason)
        reached = [rung for rung in self._ladder(self.bracket(number)) if decided < rung <= step]
        decision: Decision | None = None
        for rung in reached:
            peers = [
                c for n, c in others.items() if self.bracket(n) == self.bracket(number) and len(c) >= rung
            ]
            decision = self._at_rung(
                float(curve[rung - 1]), rung, [float(c[rung - 1]) for c in peers], maximize
            )
            if decision.stop:
                break
        return decision

    def _at_rung(self, value: float, rung: int, peers: Sequence[float], maximize: bool) -> Decision:
        sign = 1.0 if maximize else -1.0
        scores = sorted((_finite(sign * each) for each in (*peers, value)), reverse=True)
        if len(scores) < self.eta:
            reason = f"the first {self.eta - 1} jobs at step {rung} go on"
            return Decision(False, rung, value, None, len(peers), reason)
        keep = max(len(scores) // self.eta, 1)
        cut = scores[keep - 1]
        stop = _finite(sign * value) < cut
        words = "is not" if stop else "is"
        place = f"the best {keep} of {len(scores)} at step {rung}"
        reason = f"{value:.6g} {words} among {place}; the cut is {sign * cut:.6g}"
        return Decision(stop, rung, value, sign * cut, len(peers), reason)

    def _comparable(self, history: Sequence[Observation]) -> list[Observation]:
        full = completed(history, self.max_resource)
        for rung in reversed(self.rungs):
            far = [each for each in full if len(each.curve) >= rung]
            if len(far) >= ENOUGH_AT_RUNG:
                return far
        return full

    def _ladder(self, bracket: int) -> tuple[int, ...]:
        return self.rungs[bracket:]


def resource_limit(static: Mapping[str, str]) -> int:
    """MaxResource where the request leaves it out: the static hyperparameter that counts epochs."""
    for key in RESOURCE_KEYS:
        text = static.get(key, "").strip().strip('"')
        if text.isdigit() and 1 <= int(text) <= MAX_RESOURCE:
            return int(text)
    raise ValidationException(
        "Strategy Hyperband needs MaxResource in HyperbandStrategyConfig, or a static hyperparameter that says how "
        f"many epochs a training job runs, named one of: {', '.join(RESOURCE_KEYS)}."
    )


def _finite(value: float) -> float:
    return value if math.isfinite(value) else -math.inf
