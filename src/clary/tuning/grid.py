"""Grid: every combination of categorical values once, in the order of the ranges (the last turns fastest)."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence

import numpy as np

from clary.tuning.space import Space, Values
from clary.tuning.strategy import Observation, Proposal


class Grid:
    """Gives nothing more once all combinations have run or run now; the number of jobs is `space.size`."""

    def propose(
        self,
        space: Space,
        history: Sequence[Observation],
        pending: Sequence[Values],
        n: int,
        rng: np.random.Generator,  # noqa: ARG002 nothing is left to chance
        *,
        maximize: bool,  # noqa: ARG002 it looks at no objective
    ) -> list[Proposal]:
        """Raises ValidationException when a range is not categorical."""
        ran = Counter(_key(space, values) for values in (*(each.values for each in history), *pending))
        proposals: list[Proposal] = []
        for number, values in enumerate(space.grid(), start=1):
            if len(proposals) >= n:
                break
            if not ran[_key(space, values)]:
                proposals.append(Proposal(values, f"combination {number} of {space.size}"))
        return proposals


def _key(space: Space, values: Values) -> tuple[str | None, ...]:
    return tuple(values.get(name) for name in space.names)
