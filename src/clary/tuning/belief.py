"""What the model believes, for people to read: the best job, the response along each parameter, what matters."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from clary.tuning.acquisition import spread_points
from clary.tuning.bayesian import Model, learn
from clary.tuning.space import Categorical, Continuous, Floats, Integer, Range, Space, Values
from clary.tuning.strategy import Observation, score, usable

POINTS = 41
BACKGROUND = 256


@dataclass(frozen=True, slots=True)
class Response:
    """The objective predicted along one parameter, the others held still.

    `values` are as children would get them; `mean` and the band `low` to `high` (one standard deviation of the
    noiseless objective, hyperparameters marginalised) are in the objective's own units. `importance` is the share of
    the objective's variance over the space that this parameter explains on its own (a first-order index of the model's
    mean); what is missing to 1 over all parameters is interaction.
    """

    name: str
    values: tuple[str, ...]
    mean: tuple[float, ...]
    low: tuple[float, ...]
    high: tuple[float, ...]
    importance: float


@dataclass(frozen=True, slots=True)
class Belief:
    """`best` is the index in the history of the job with the highest predicted objective, `at` where they cross."""

    best: int
    at: dict[str, str]
    mean: float
    low: float
    high: float
    responses: tuple[Response, ...]


def best_by_belief(
    space: Space, history: Sequence[Observation], rng: np.random.Generator, *, maximize: bool
) -> int | None:
    """Index in `history` of the job with the highest predicted objective; None when no job has a value.

    Under noise this is a better choice than the best measurement, which is often luck.
    """
    learned = _learned(space, history, rng, maximize=maximize)
    return None if learned is None else _best(learned, history, maximize=maximize)


def belief(
    space: Space,
    history: Sequence[Observation],
    rng: np.random.Generator,
    *,
    maximize: bool,
    at: Values | None = None,
) -> Belief | None:
    """Responses through `at` (the best job's values when it is None); None when no job has a value yet."""
    learned = _learned(space, history, rng, maximize=maximize)
    if learned is None:
        return None
    best = _best(learned, history, maximize=maximize)
    centre = space.snap(space.encode(history[best].values if at is None else at))
    background = space.snap(spread_points(BACKGROUND, space.width, rng))
    total = float(np.var(learned.posterior.moments(background)[0]))
    responses = tuple(
        _response(learned, index, centre, background, total, maximize=maximize)
        for index in range(len(space.ranges))
    )
    mean, low, high = _in_units(learned, centre[None, :], maximize=maximize)
    return Belief(best, space.decode(centre), float(mean[0]), float(low[0]), float(high[0]), responses)


def _learned(
    space: Space, history: Sequence[Observation], rng: np.random.Generator, *, maximize: bool
) -> Model | None:
    known = usable(space, history)
    if all(score(each, maximize=maximize) is None for each in known):
        return None
    return learn(space, known, rng, maximize=maximize)


def _best(model: Model, history: Sequence[Observation], *, maximize: bool) -> int:
    space = model.posterior.kernel.space
    chosen = [
        index
        for index, each in enumerate(history)
        if space.holds(each.values) and score(each, maximize=maximize) is not None
    ]
    mean, _ = model.posterior.moments(space.encode_all([history[index].values for index in chosen]))
    return chosen[int(np.argmax(mean))]


def _response(
    model: Model, index: int, centre: Floats, background: Floats, total: float, *, maximize: bool
) -> Response:
    space = model.posterior.kernel.space
    each, part = space.ranges[index], space.slices[index]
    steps = _steps(each)
    line = np.repeat(centre[None, :], len(steps), axis=0)
    line[:, part] = steps
    mean, low, high = _in_units(model, line, maximize=maximize)
    return Response(
        name=each.name,
        values=tuple(each.decode(step) for step in steps),
        mean=tuple(map(float, mean)),
        low=tuple(map(float, low)),
        high=tuple(map(float, high)),
        importance=_importance(model, part, steps, background, total),
    )


def _steps(each: Range) -> Floats:
    """Points along one parameter's own columns: every category or integer where they are few, else POINTS evenly."""
    match each:
        case Categorical():
            return np.eye(each.columns)
        case Continuous():
            count = 1 if float(each.low) == float(each.high) else POINTS
            return np.linspace(0.0, 1.0, count)[:, None]
        case Integer():
            snapped = each.snap(np.linspace(0.0, 1.0, 8 * POINTS))
            unique = np.unique(np.round(snapped, 12))
            keep = np.linspace(0, len(unique) - 1, min(len(unique), POINTS)).round().astype(int)
            return np.asarray(unique[keep][:, None])


def _importance(model: Model, part: slice, steps: Floats, background: Floats, total: float) -> float:
    """Variance, along the parameter, of the mean over all the others, over the variance of the whole."""
    if total <= 0.0:
        return 0.0
    few = steps[:: max(len(steps) // 12, 1)]
    others = background[:64]
    points = np.repeat(others[None, :, :], len(few), axis=0)
    points[:, :, part] = few[:, None, :]
    mean, _ = model.posterior.moments(points.reshape(-1, background.shape[1]))
    return float(min(np.var(mean.reshape(len(few), len(others)).mean(axis=1)) / total, 1.0))


def _in_units(model: Model, units: Floats, *, maximize: bool) -> tuple[Floats, Floats, Floats]:
    """Mean and band of one deviation in the objective's own units and direction; low <= high."""
    mean, deviation = model.posterior.moments(units)
    sign = 1.0 if maximize else -1.0
    middle, worse, better = (
        sign * model.transform.backward(values + model.offset)
        for values in (mean, mean - deviation, mean + deviation)
    )
    return middle, np.minimum(worse, better), np.maximum(worse, better)
