"""What a study runs next.

A strategy may think for a second, and a plug-in for a minute, so only QUICK ones are asked in a turn. Else a turn puts
a `Question`, some thread works out its `Answer`, which takes nothing but the question, and a later turn adopts that.
"""

from __future__ import annotations

import importlib.metadata
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from clary.controllers.studies import LONGEST_REASON, repetitions
from clary.domain import studies
from clary.domain.studies import is_open
from clary.errors import ValidationException
from clary.store.base import Resource
from clary.tuning.bayesian import Bayesian
from clary.tuning.grid import Grid
from clary.tuning.hyperband import Hyperband
from clary.tuning.random import Random
from clary.tuning.requests import Observe, foretells, max_resource, observations, space_of
from clary.tuning.space import Space
from clary.tuning.strategy import ENTRY_POINT_GROUP, Observation, Proposal, Strategy, find

State = Mapping[str, Any]

PLANS_AT_ONCE = 4
QUICK = frozenset({"Random", "Grid"})


@dataclass(frozen=True, slots=True)
class Question:
    """What should run next, given the study, its state and what was observed of each of its definitions."""

    study: Resource
    state: State
    observed: Sequence[Sequence[Observation]]


@dataclass(frozen=True, slots=True)
class Answer:
    """The next children, by name. `is_dry`: the strategy has no more to give, as far as the question tells."""

    question: Question
    planned: Mapping[str, Mapping[str, Any]]
    is_dry: bool


def ask(study: Resource, state: State, observe: Observe) -> Question | None:
    """None where nothing more can run now."""
    children = state["children"]
    if sum(map(is_open, children.values())) >= studies.most_parallel(study.spec):
        return None
    if not repetitions(children) and _is_spent(study, state):
        return None
    count = len(studies.definitions(study.spec))
    return Question(study, state, [observations(state, index, observe) for index in range(count)])


def is_quick(study: Resource) -> bool:
    return study.spec["HyperParameterTuningJobConfig"]["Strategy"] in QUICK


def answer(question: Question) -> Answer:
    """As many children as there is room for, but PLANS_AT_ONCE at most. May take long."""
    study, state = question.study, question.state
    planned: dict[str, dict[str, Any]] = {}
    room = studies.most_parallel(study.spec) - sum(map(is_open, state["children"].values()))
    for _ in range(min(room, PLANS_AT_ONCE)):
        children = {**state["children"], **planned}
        found = _next(question, children)
        if found is None:
            return Answer(question, planned, is_dry=True)
        number = len(children) + 1
        planned[studies.child_name(study.name, number, created=study.created)] = {"number": number, **found}
    return Answer(question, planned, is_dry=False)


def adopt(study: Resource, state: State, given: Answer, now: float) -> State:
    """The state with the children of an answer.

    Children may have ended since the question; none was planned, for that happens here alone.
    """
    planned = {name: {**child, "created": now} for name, child in given.planned.items()}
    if planned:
        state = {**state, "children": {**state["children"], **planned}}
    if not given.is_dry or any(map(is_open, state["children"].values())):
        return state
    # what has ended since may have freed something
    has_changed = state["children"] != given.question.state["children"]
    return state if has_changed or _is_spent(study, state) else {**state, "exhausted": True}


def _is_spent(study: Resource, state: State) -> bool:
    draws = studies.outcomes(state["children"].values())
    return "exhausted" in state or len(draws) >= studies.most_jobs(study.spec)


def _next(question: Question, children: Mapping[str, State]) -> dict[str, Any] | None:
    for child in repetitions(children):
        kept = {key: child[key] for key in ("draw", "definition", "values")}
        return {**kept, "why": "run again: the platform interrupted it"}
    study, state = question.study, {**question.state, "children": children}
    if _is_spent(study, state):
        return None
    draws = studies.outcomes(children.values())
    for definition in _in_turn(study, draws):
        proposal = _propose(question, state, definition, len(draws) + 1)
        if proposal is not None:
            return {"draw": len(draws) + 1, "definition": definition, **proposal}
    return None


def _in_turn(study: Resource, draws: Mapping[int, State]) -> list[int]:
    """Indexes of the definitions: the one with the fewest children first."""
    indexes = range(len(studies.definitions(study.spec)))
    return sorted(indexes, key=lambda index: sum(c["definition"] == index for c in draws.values()))


def _propose(question: Question, state: State, index: int, draw: int) -> dict[str, Any] | None:
    """`values` and `why`; None when the strategy has no more to give."""
    spec = question.study.spec
    definition = studies.definitions(spec)[index]
    own = [child for child in state["children"].values() if child["definition"] == index]
    space = space_of(studies.ranges(spec, definition))
    proposals = strategy_of(spec, definition).propose(
        space,
        question.observed[index],
        [child["values"] for child in own if is_open(child)],
        1,
        np.random.default_rng([state["seed"], draw]),
        maximize=studies.objective(spec, definition)["Type"] == "Maximize",
    )
    chosen = next(iter(proposals), None)
    if chosen is None:
        return None
    _check(spec, space, chosen)
    return {"values": dict(chosen.values), "why": str(chosen.reason or "")[:LONGEST_REASON]}


def _check(spec: State, space: Space, chosen: Proposal) -> None:
    """Raises ValidationException where a plug-in breaks the law, for a child would run with what nobody asked for."""
    values = chosen.values
    is_text = all(isinstance(value, str) for value in values.values())
    if is_text and set(values) == set(space.names) and space.holds(values):
        return
    name = spec["HyperParameterTuningJobConfig"]["Strategy"]
    raise ValidationException(
        f"The strategy {name!r} proposed {dict(values)!r:.300}. A proposal has a value for each of "
        f"{', '.join(space.names)}, as text, within the parameter's range, and nothing else."
    )


def strategy_of(spec: State, definition: State) -> Strategy:
    """Raises ValidationException for a name that neither Clary nor an installed plug-in has."""
    jobs = spec["HyperParameterTuningJobConfig"]["ResourceLimits"].get("MaxNumberOfTrainingJobs")
    own: dict[str, Callable[[], Strategy]] = {
        "Random": Random,
        "Grid": Grid,
        "Bayesian": lambda: Bayesian(jobs=jobs, forecasts=foretells(spec)),
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
