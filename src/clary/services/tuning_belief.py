"""What a study believes and why it did what it did: Clary's own page beside DescribeHyperParameterTuningJob.

Everything is computed from the study's row when it is asked for; it costs about as much as one suggestion.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict
from typing import Any

import numpy as np

from clary.domain import studies
from clary.domain.kinds import TRAINING_JOB, TUNING_JOB
from clary.errors import ValidationException
from clary.store.base import Resource, Store
from clary.tuning import belief
from clary.tuning.curves import completed
from clary.tuning.forecast import foreseen
from clary.tuning.requests import foretells, max_resource, observations, observed, space_of
from clary.tuning.strategy import Observation

Document = Mapping[str, Any]

FEWEST = 3
TOLD = (
    *("number", "definition", "values", "why", "created", "started", "ended"),
    *("status", "objective", "reason", "decision", "looks"),
)


def read(store: Store, name: str) -> dict[str, Any]:
    """The page's document. Raises ValidationException when there is no such study."""
    study = store.get(TUNING_JOB.name, name)
    if study is None:
        raise ValidationException("Requested resource not found.")
    spec = study.spec
    return {
        "name": study.name,
        "status": study.status,
        "why": study.state.get("ending", {}).get("why"),
        "strategy": spec["HyperParameterTuningJobConfig"]["Strategy"],
        "definitions": [
            _definition(store, study, index, each) for index, each in enumerate(studies.definitions(spec))
        ],
        "children": [_child(name, child) for name, child in study.state["children"].items()],
    }


def _definition(store: Store, study: Resource, index: int, definition: Document) -> dict[str, Any]:
    goal = studies.objective(study.spec, definition)
    ranges = studies.ranges(study.spec, definition)
    history = _history(store, study, index, definition)
    return {
        "name": definition.get("DefinitionName"),
        "objective": dict(goal),
        "ranges": dict(ranges),
        "belief": _belief(study, history, ranges, maximize=goal["Type"] == "Maximize"),
    }


def _history(store: Store, study: Resource, index: int, definition: Document) -> list[Observation]:
    """What the strategy was given: of children that were stopped, what is expected of them at the end."""
    foretold = foretells(study.spec)
    if study.spec["HyperParameterTuningJobConfig"]["Strategy"] != "Hyperband" and not foretold:
        return observations(study.state, index)
    metric = studies.objective(study.spec, definition)["MetricName"]

    def with_curve(name: str, child: Document) -> Observation:
        points = store.points(f"{TRAINING_JOB.name}/{name}", metric)
        return observed(name, child, tuple(point.value for point in points))

    history = observations(study.state, index, with_curve)
    if foretold:
        return foreseen(space_of(studies.ranges(study.spec, definition)), history)
    return completed(history, max_resource(study.spec, definition))


def _belief(study: Resource, history: Sequence[Observation], ranges: Document, *, maximize: bool) -> Any:
    """None while there are too few values to believe anything."""
    if sum(each.objective is not None for each in history) < FEWEST:
        return None
    rng = np.random.default_rng([study.state["seed"], 0])
    found = belief.belief(space_of(ranges), history, rng, maximize=maximize)
    return None if found is None else asdict(found)


def _child(name: str, child: Document) -> dict[str, Any]:
    """`decision`: why it was stopped early, if it was; `looks`: what was found whenever it was looked at."""
    return {"name": name, **{key: child[key] for key in TOLD if key in child}}
