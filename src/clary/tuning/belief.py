"""What the model believes, for people to read: the best job, the response along each parameter, what matters."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from clary.tuning.bayesian import learn
from clary.tuning.space import Space
from clary.tuning.strategy import Observation, score


def best_by_belief(
    space: Space, history: Sequence[Observation], rng: np.random.Generator, *, maximize: bool
) -> int | None:
    """Index in `history` of the job with the highest predicted objective; None when no job has a value.

    Under noise this is a better choice than the best measurement, which is often luck.
    """
    chosen = [
        index
        for index, each in enumerate(history)
        if space.holds(each.values) and score(each, maximize=maximize) is not None
    ]
    if not chosen:
        return None
    model = learn(space, [history[index] for index in chosen], rng, maximize=maximize)
    mean, _ = model.posterior.moments(model.data.units)
    return chosen[int(np.argmax(mean))]
