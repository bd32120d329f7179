# ruff: noqa: ARG001 - every rule takes the same three arguments
"""Warm start: which parents a study may have, and what it learns from them.

`RULES` is the rule table; each rule is a function (child, parents) that gives the text of a fault or None.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Literal, TypeAlias

from clary.tuning.space import Categorical, Continuous, Range, Space
from clary.tuning.strategy import Observation, score

Kind: TypeAlias = Literal["IdenticalDataAndAlgorithm", "TransferLearning"]

MAX_PARENTS = 5
MAX_STATIC_CHANGES = 10
MAX_PARENT_JOBS = 750
TERMINAL = frozenset({"Completed", "Failed", "Stopped"})
OBJECTIVE_KEY = "_tuning_objective_metric"


@dataclass(frozen=True, slots=True)
class Study:
    """What the rules compare of a study. `inputs` is anything that is equal exactly when the training data is."""

    name: str
    strategy: str
    metric: str
    objective_type: str
    space: Space
    static: Mapping[str, str]
    image: str
    inputs: object = None
    status: str = "Completed"
    jobs: int = 0

    @property
    def names(self) -> frozenset[str]:
        return frozenset({*self.space.names, *self.static} - {OBJECTIVE_KEY})


Rule: TypeAlias = Callable[[Study, Sequence[Study], Kind], str | None]


def faults(child: Study, parents: Sequence[Study], kind: Kind) -> list[str]:
    """Every rule that the request breaks, in the table's order; empty when it may start."""
    found = (rule(child, parents, kind) for rule in RULES)
    return [text for text in found if text is not None]


def parent_count(child: Study, parents: Sequence[Study], kind: Kind) -> str | None:
    names = [each.name for each in parents]
    if not 1 <= len(names) <= MAX_PARENTS:
        return f"A warm start takes 1 to {MAX_PARENTS} parent tuning jobs; the request names {len(names)}."
    twice = {name for name in names if names.count(name) > 1}
    return f"The parent tuning job {min(twice)!r} is named twice." if twice else None


def parents_terminal(child: Study, parents: Sequence[Study], kind: Kind) -> str | None:
    for each in parents:
        if each.status not in TERMINAL:
            return (
                f"The parent tuning job {each.name!r} is {each.status}. Wait until it has ended, or stop it."
            )
    return None


def strategy_allowed(child: Study, parents: Sequence[Study], kind: Kind) -> str | None:
    if child.strategy in ("Grid", "Hyperband"):
        return f"Strategy {child.strategy} does not take a warm start. Choose Bayesian or Random."
    return None


def same_objective(child: Study, parents: Sequence[Study], kind: Kind) -> str | None:
    for each in parents:
        if (each.metric, each.objective_type) != (child.metric, child.objective_type):
            return (
                f"The objective of the parent tuning job {each.name!r} is {each.objective_type} {each.metric!r}; "
                f"this one's is {child.objective_type} {child.metric!r}. They must be the same."
            )
    return None


def same_names(child: Study, parents: Sequence[Study], kind: Kind) -> str | None:
    for each in parents:
        if each.names != child.names:
            odd = ", ".join(sorted(each.names ^ child.names))
            return (
                "The set of tunable plus static HyperParameter names is not the same across current and parent "
                f"tuning jobs: {each.name!r} differs in {odd}."
            )
    return None


def same_types(child: Study, parents: Sequence[Study], kind: Kind) -> str | None:
    now = {each.name: type(each) for each in child.space.ranges}
    for parent in parents:
        for each in parent.space.ranges:
            if each.name in now and now[each.name] is not type(each):
                return (
                    f"The type of the hyperparameter {each.name!r} is {_type(now[each.name])} here and "
                    f"{_type(type(each))} in the parent tuning job {parent.name!r}. It must stay the same."
                )
    return None


def few_static_changes(child: Study, parents: Sequence[Study], kind: Kind) -> str | None:
    """Tunable made static, and static values changed, count once for each distinct value."""
    changes: set[tuple[str, str]] = set()
    for parent in parents:
        tuned = set(parent.space.names)
        for name, value in child.static.items():
            if name == OBJECTIVE_KEY:
                continue
            if name in tuned:
                changes.add((name, value))
            elif name in parent.static and parent.static[name] != value:
                changes.add((name, parent.static[name]))
    if len(changes) <= MAX_STATIC_CHANGES:
        return None
    return (
        f"{len(changes)} hyperparameters became static or changed their static value since the parent tuning jobs; "
        f"at most {MAX_STATIC_CHANGES} may."
    )


def identical_image(child: Study, parents: Sequence[Study], kind: Kind) -> str | None:
    for each in parents if kind == "IdenticalDataAndAlgorithm" else ():
        if each.image != child.image:
            return (
                f"WarmStartType IdenticalDataAndAlgorithm needs the training image of the parent tuning job "
                f"{each.name!r}, {each.image!r}. For another image choose TransferLearning."
            )
    return None


def identical_data(child: Study, parents: Sequence[Study], kind: Kind) -> str | None:
    for each in parents if kind == "IdenticalDataAndAlgorithm" else ():
        if each.inputs != child.inputs:
            return (
                f"WarmStartType IdenticalDataAndAlgorithm needs the input data of the parent tuning job {each.name!r}. "
                "For other data choose TransferLearning."
            )
    return None


def few_parent_jobs(child: Study, parents: Sequence[Study], kind: Kind) -> str | None:
    total = sum(each.jobs for each in parents)
    if total <= MAX_PARENT_JOBS:
        return None
    return f"The parent tuning jobs ran {total} training jobs together; at most {MAX_PARENT_JOBS} can be taken over."


RULES: tuple[Rule, ...] = (
    parent_count,
    parents_terminal,
    strategy_allowed,
    same_objective,
    same_names,
    same_types,
    few_static_changes,
    identical_image,
    identical_data,
    few_parent_jobs,
)


def merge(
    space: Space, parents: Sequence[tuple[Study, Sequence[Observation]]], static: Mapping[str, str]
) -> list[Observation]:
    """What the parents' children tell a study over `space`, parents in order.

    A value that the parent held static is read from there. Left out: children outside the new ranges, and children
    whose value differs where the new study is static (they measured something else). Not recursive: give a parent's
    own children only.
    """
    merged: list[Observation] = []
    for parent, history in parents:
        for each in history:
            everything = {**parent.static, **each.values}
            held = any(
                everything.get(name, value) != value
                for name, value in static.items()
                if name != OBJECTIVE_KEY
            )
            values = {name: everything[name] for name in space.names if name in everything}
            if not held and space.holds(values):
                merged.append(Observation(values, each.objective, each.curve, each.status))
    return merged


def overall_best(histories: Sequence[Sequence[Observation]], *, maximize: bool) -> tuple[int, int] | None:
    """(study, child) with the best last value over several studies: OverallBestTrainingJob. None when there is none."""
    scored = [
        (value, -study, -child)
        for study, history in enumerate(histories)
        for child, each in enumerate(history)
        if (value := score(each, maximize=maximize)) is not None
    ]
    if not scored:
        return None
    _, study, child = max(scored)
    return -study, -child


def _type(kind: type[Range]) -> str:
    if kind is Categorical:
        return "Categorical"
    return "Continuous" if kind is Continuous else "Integer"
