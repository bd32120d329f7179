"""Warm start: the parents a study names, checked by the rules of `tuning.warmstart`, and what it takes over from them.

It is taken over when the study is created: a parent may be deleted afterwards.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from clary.domain import studies
from clary.domain.kinds import TUNING_JOB
from clary.domain.names import Account
from clary.errors import ValidationException
from clary.services.operations import Context
from clary.services.tuning_describe import summary
from clary.store.base import Resource, Store
from clary.tuning.requests import space_of
from clary.tuning.strategy import Observation
from clary.tuning.warmstart import Study, faults, merge

Document = Mapping[str, Any]

# What the SDKs put among the hyperparameters says where the code lies: it differs each time and means nothing.
RESERVED = "sagemaker_"


def check_warm_start(context: Context, spec: Document) -> list[str]:
    """Every rule that the request breaks."""
    if "WarmStartConfig" not in spec:
        return []
    if "TrainingJobDefinitions" in spec:
        return [
            "WarmStartConfig is for a study with one TrainingJobDefinition, not for TrainingJobDefinitions"
        ]
    names = _names(spec)
    found = {name: context.store.get(TUNING_JOB.name, name) for name in names}
    missing = [name for name, parent in found.items() if parent is None]
    if missing:
        return [f"WarmStartConfig: there is no tuning job {name!r} to start from" for name in missing]
    several = [name for name, parent in found.items() if parent and "TrainingJobDefinitions" in parent.spec]
    if several:
        return [f"WarmStartConfig: the parent {name!r} has several training definitions" for name in several]
    parents = [study_of(parent) for name in names if (parent := found[name])]
    return faults(_study("", spec), parents, spec["WarmStartConfig"]["WarmStartType"])


def inheritance(context: Context, spec: Document) -> dict[str, Any]:
    """The members of the new study's state that a warm start gives: `inherited` and `parents_best`."""
    if "WarmStartConfig" not in spec:
        return {}
    parents = _parents(context.store, spec)
    child = _study("", spec)
    merged = merge(
        child.space, [(study_of(parent), _observations(parent)) for parent in parents], child.static
    )
    inherited = [
        {"values": dict(each.values), "objective": each.objective, "status": each.status} for each in merged
    ]
    best = _best(context.account, parents)
    return {"inherited": inherited, **({"parents_best": best} if best else {})}


def study_of(row: Resource) -> Study:
    return _study(row.name, row.spec, status=row.status, jobs=len(row.state["children"]))


def _study(name: str, spec: Document, **known: Any) -> Study:
    definition = spec["TrainingJobDefinition"]
    goal = studies.objective(spec, definition)
    static = definition.get("StaticHyperParameters", {})
    return Study(
        name=name,
        strategy=spec["HyperParameterTuningJobConfig"]["Strategy"],
        metric=goal["MetricName"],
        objective_type=goal["Type"],
        space=space_of(studies.ranges(spec, definition)),
        static={key: value for key, value in static.items() if not key.startswith(RESERVED)},
        image=definition["AlgorithmSpecification"].get("TrainingImage", ""),
        inputs=definition.get("InputDataConfig"),
        **known,
    )


def _names(spec: Document) -> list[str]:
    given = spec["WarmStartConfig"]["ParentHyperParameterTuningJobs"]
    return [each.get("HyperParameterTuningJobName", "") for each in given]


def _parents(store: Store, spec: Document) -> list[Resource]:
    found = [store.get(TUNING_JOB.name, name) for name in _names(spec)]
    if None in found:
        raise ValidationException("WarmStartConfig: a parent tuning job was deleted meanwhile")
    return [parent for parent in found if parent is not None]


def _observations(parent: Resource) -> list[Observation]:
    return [
        Observation(child["values"], child.get("objective"), status=child["status"])
        for child in parent.state["children"].values()
        if not studies.is_open(child) and not child.get("interrupted")
    ]


def _best(account: Account, parents: list[Resource]) -> dict[str, Any] | None:
    """The summary of the best child of all parents."""
    found: list[tuple[float, dict[str, Any]]] = []
    for parent in parents:
        children = parent.state["children"]
        maximize = studies.maximizes(parent.spec)
        if name := studies.best_child(children, maximize=maximize):
            value = studies.value_of(children[name]) or 0.0
            told = {**summary(account, parent, name, children[name]), "TuningJobName": parent.name}
            found.append((value if maximize else -value, told))
    return max(found, key=lambda pair: pair[0])[1] if found else None
