"""What a study believes and why it did what it did: Clary's own page beside DescribeHyperParameterTuningJob.

Everything is computed from the study's row when it is asked for; it costs about as much as one suggestion.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict
from typing import Any

import numpy as np

from clary.domain import studies
from clary.domain.kinds import TUNING_JOB
from clary.errors import ValidationException
from clary.store.base import Resource, Store
from clary.tuning import belief
from clary.tuning.requests import space_of
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
            _definition(study, index, each) for index, each in enumerate(studies.definitions(spec))
        ],
        "children": [_child(name, child) for name, child in study.state["children"].items()],
    }


def _definition(study: Resource, index: int, definition: Document) -> dict[str, Any]:
    goal = studies.objective(study.spec, definition)
    ranges = studies.ranges(study.spec, definition)
    return {
        "name": definition.get("DefinitionName"),
        "objective": dict(goal),
        "ranges": dict(ranges),
        "belief": _belief(study, index, ranges, maximize=goal["Type"] == "Maximize"),
    }


def _belief(study: Resource, index: int, ranges: Document, *, maximize: bool) -> Any:
    """None while there are too few values to believe anything."""
    history = [
        Observation(child["values"], child.get("objective"), status=child["status"])
        for child in study.state["children"].values()
        if child["definition"] == index and not studies.is_open(child) and not child.get("interrupted")
    ]
    history = [
        *(
            Observation(each["values"], each.get("objective"), status=each["status"])
            for each in study.state.get("inherited", ())
        ),
        *history,
    ]
    if sum(each.objective is not None for each in history) < FEWEST:
        return None
    rng = np.random.default_rng([study.state["seed"], 0])
    found = belief.belief(space_of(ranges), history, rng, maximize=maximize)
    return None if found is None else asdict(found)


def _child(name: str, child: Document) -> dict[str, Any]:
    """`decision`: why it was stopped early, if it was; `looks`: what Hyperband found at each rung."""
    return {"name": name, **{key: child[key] for key in TOLD if key in child}}
