"""What a study runs next. Slow (a strategy may think for a third of a second), so never inside a transaction."""

from __future__ import annotations

import importlib.metadata
from collections.abc import Callable, Iterator, Mapping
from typing import Any

import numpy as np

from clary.controllers.studies import repetitions
from clary.domain import studies
from clary.domain.studies import is_open
from clary.store.base import Resource
from clary.tuning.bayesian import Bayesian
from clary.tuning.grid import Grid
from clary.tuning.hyperband import Hyperband
from clary.tuning.random import Random
from clary.tuning.requests import Curves, max_resource, observations, space_of
from clary.tuning.strategy import ENTRY_POINT_GROUP, Strategy, find

State = Mapping[str, Any]

PLANS_A_TURN = 4


def plan(study: Resource, state: State, curves: Curves, now: float) -> State:
    """With the next children, as many as there is room for, but PLANS_A_TURN at most."""
    for _ in range(PLANS_A_TURN):
        children = state["children"]
        if sum(map(is_open, children.values())) >= studies.most_parallel(study.spec):
            break
        planned = _next(study, state, curves)
        if planned is None:
            return exhausted(study, state)
        number = len(children) + 1
        name = studies.child_name(study.name, number, created=study.created)
        state = {**state, "children": {**children, name: {"number": number, **planned, "created": now}}}
    return state


def exhausted(study: Resource, state: State) -> State:
    """Marked, once the strategy gives no more although the limit is not reached and nothing could free something."""
    draws = studies.outcomes(state["children"].values())
    if "exhausted" in state or len(draws) >= studies.most_jobs(study.spec):
        return state
    if any(map(is_open, state["children"].values())):
        return state
    return {**state, "exhausted": True}


def _next(study: Resource, state: State, curves: Curves) -> dict[str, Any] | None:
    children = state["children"]
    for child in repetitions(children):
        kept = {key: child[key] for key in ("draw", "definition", "values")}
        return {**kept, "why": "run again: the platform interrupted it"}
    draws = studies.outcomes(children.values())
    if state.get("exhausted") or len(draws) >= studies.most_jobs(study.spec):
        return None
    for definition in _in_turn(study, draws):
        proposal = propose(study, state, definition, len(draws) + 1, curves)
        if proposal is not None:
            return {"draw": len(draws) + 1, "definition": definition, **proposal}
    return None


def _in_turn(study: Resource, draws: Mapping[int, State]) -> list[int]:
    """Indexes of the definitions: the one with the fewest children first."""
    indexes = range(len(studies.definitions(study.spec)))
    return sorted(indexes, key=lambda index: sum(c["definition"] == index for c in draws.values()))


def propose(study: Resource, state: State, index: int, draw: int, curves: Curves) -> dict[str, Any] | None:
    """`values` and `why`; None when the strategy has no more to give."""
    definition = studies.definitions(study.spec)[index]
    space = space_of(studies.ranges(study.spec, definition))
    own = [child for child in state["children"].values() if child["definition"] == index]
    proposals = strategy_of(study.spec, definition).propose(
        space,
        observations(state, index, curves),
        [child["values"] for child in own if is_open(child)],
        1,
        np.random.default_rng([state["seed"], draw]),
        maximize=studies.objective(study.spec, definition)["Type"] == "Maximize",
    )
    if not proposals:
        return None
    return {"values": dict(proposals[0].values), "why": proposals[0].reason}


def strategy_of(spec: State, definition: State) -> Strategy:
    """Raises ValidationException for a name that neither Clary nor an installed plug-in has."""
    jobs = spec["HyperParameterTuningJobConfig"]["ResourceLimits"].get("MaxNumberOfTrainingJobs")
    own: dict[str, Callable[[], Strategy]] = {
        "Random": Random,
        "Grid": Grid,
        "Bayesian": lambda: Bayesian(jobs=jobs),
        "Hyperband": lambda: hyperband_of(spec, definition),
    }
    return find(spec["HyperParameterTuningJobConfig"]["Strategy"], own, _plugins())


def _plugins() -> Iterator[importlib.metadata.EntryPoint]:
    """Looked up only when asked for: it reads the metadata of every installed package."""
    yield from importlib.metadata.entry_points(group=ENTRY_POINT_GROUP)


def hyperband_of(spec: State, definition: State) -> Hyperband:
    config = spec["HyperParameterTuningJobConfig"]
    given = config.get("StrategyConfig", {}).get("HyperbandStrategyConfig", {})
    jobs = config["ResourceLimits"].get("MaxNumberOfTrainingJobs")
    return Hyperband(max_resource(spec, definition), given.get("MinResource", 1), jobs=jobs)
