"""Random: every configuration drawn evenly from the scaled ranges, whatever came before."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from clary.tuning.space import Space, Values
from clary.tuning.strategy import Observation, Proposal

TRIES = 20


class Random:
    """Draws anew where it hits a configuration that has run, is running or was just drawn, a few times at most."""

    def propose(
        self,
        space: Space,
        history: Sequence[Observation],
        pending: Sequence[Values],
        n: int,
        rng: np.random.Generator,
        *,
        maximize: bool,  # noqa: ARG002 it looks at no objective
    ) -> list[Proposal]:
        taken = [*(dict(each.values) for each in history), *(dict(each) for each in pending)]
        proposals: list[Proposal] = []
        for _ in range(n):
            values = space.decode(rng.random(space.width))
            for _ in range(TRIES):
                if values not in taken:
                    break
                values = space.decode(rng.random(space.width))
            taken.append(values)
            proposals.append(Proposal(values, "drawn at random"))
        return proposals
