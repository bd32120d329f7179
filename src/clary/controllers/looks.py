"""Looks at the running children of a Bayesian study: which are not worth the rest (`tuning.prospects`).

A look fits the model, which takes a fifth of a second and more. So a turn puts a `Question`, some thread finds the
`Decision` on each child, and a later turn adopts those. Meanwhile children may have gone on or ended.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from clary.controllers.decisions import Sight, looked, recorded, running_of
from clary.domain import studies
from clary.domain.studies import is_open
from clary.tuning.forecast import length_of
from clary.tuning.prospects import due, prospects
from clary.tuning.requests import foretells, observations, space_of
from clary.tuning.stopping import Decision
from clary.tuning.strategy import Observation

State = Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class Question:
    """Which of `running`, the children's curves by name, to stop, given all that have ended."""

    spec: State
    state: State
    history: Sequence[Observation]
    running: Mapping[str, tuple[float, ...]]


def ask(sight: Sight, state: State) -> Question | None:
    """None where no child is due. A Bayesian study has one definition where it stops children early."""
    spec = sight.study.spec
    if not foretells(spec) or not (running := running_of(sight, state)):
        return None
    history = observations(state, 0, sight.observation)
    length = length_of(history)
    if length is None:
        return None
    waiting = {
        name: curve
        for name, curve in running.items()
        if due(len(curve), looked(state["children"][name]), length)
    }
    return Question(spec, state, history, waiting) if waiting else None


def answer(question: Question) -> dict[str, Decision]:
    """By child; none where nothing can be foretold."""
    spec, state = question.spec, question.state
    # The seed and what has ended settle the answer, so that a server that starts again finds the same.
    rng = np.random.default_rng([state["seed"], len(question.history), 1])
    space = space_of(studies.ranges(spec, studies.definitions(spec)[0]))
    model = prospects(space, question.history, rng, maximize=studies.maximizes(spec))
    if model is None:
        return {}
    return {
        name: model.decide(state["children"][name]["values"], curve)
        for name, curve in question.running.items()
    }


def adopt(state: State, found: Mapping[str, Decision]) -> State:
    """With each look, and a `decision` where it says to stop. Children that ended meanwhile stay as they are."""
    changed: dict[str, State] = {}
    for name, decision in found.items():
        child = state["children"][name]
        if is_open(child) and "decision" not in child:
            looks = [*child.get("looks", []), recorded(decision)]
            stops = {"decision": recorded(decision)} if decision.stop else {}
            changed[name] = {**child, "looks": looks, **stops}
    return {**state, "children": {**state["children"], **changed}} if changed else state
