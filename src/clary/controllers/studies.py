"""What becomes of a study as its children run: its state before, what was seen, its state after. Pure.

A function that changes nothing gives back the same object, so that nothing is written then.
"""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from math import isfinite
from typing import Any

from clary.domain import studies
from clary.domain.studies import is_open, value_of
from clary.store.base import Resource
from clary.tuning.requests import emitted, final_value

State = Mapping[str, Any]
Rows = Mapping[str, Resource]

ATTEMPTS = 5
MOST_REPETITIONS = 3
SILENT_CHILDREN = 2
LONGEST_REASON = 1024

FINAL = frozenset({"Completed", "Failed", "Stopped"})


@dataclass(frozen=True, slots=True)
class Reading:
    """Where to look for more of a job, by its row and the metric.

    `curve` gives all its values, `explain` says why it gave none though it ended well.
    """

    curve: Callable[[Resource, str], Sequence[float]]
    explain: Callable[[Resource, str], str]


def note(study: Resource, rows: Rows, reading: Reading, *, now: float) -> State:
    """Children whose jobs have ended become observations. `rows`: the jobs of open children, by name."""
    state = study.state
    children: dict[str, Any] = dict(state["children"])
    ended = {name: row for name, row in rows.items() if row.status in FINAL and is_open(children[name])}
    if not ended:
        return state
    for name, row in ended.items():
        children[name] = {**_noted(study.spec, children[name], row, reading), "noted": now}
    best = studies.best_child(children, maximize=studies.maximizes(study.spec))
    return {**state, "children": children, "best": best}


def _noted(spec: State, child: State, row: Resource, reading: Reading) -> dict[str, Any]:
    definition = studies.definitions(spec)[child["definition"]]
    metric = str(studies.objective(spec, definition)["MetricName"])

    def curve() -> Sequence[float]:
        return reading.curve(row, metric)

    ended = studies.noted(child, row, final_value(spec, definition, row, curve))
    if ended.get("diverged"):
        ended["reason"] = divergence(metric, emitted(spec, definition, curve()))
    elif is_silent(ended):
        ended["reason"] = reading.explain(row, metric)[:LONGEST_REASON]
    return ended


def divergence(metric: str, curve: Sequence[float]) -> str:
    """Why a child whose last value is no finite number has no objective."""
    before = next((step for step in range(len(curve), 0, -1) if isfinite(curve[step - 1])), None)
    last = (
        f"the last number, at step {before}, was {curve[before - 1]:.6g}"
        if before
        else "no value was a number"
    )
    return (
        f"The objective metric {metric!r} ended in {curve[-1]} at step {len(curve)}; {last}. "
        "A training job that ends so has no final value."
    )


def open_children(state: State) -> dict[str, Any]:
    return {name: child for name, child in state["children"].items() if is_open(child)}


def marked(state: State, rows: Rows) -> State:
    """With a mark on each open child whose job was seen: where that is gone one day, it is not made again."""
    new = {
        name: {**child, "made": True}
        for name, child in open_children(state).items()
        if name in rows and not studies.was_made(child)
    }
    return {**state, "children": {**state["children"], **new}} if new else state


def is_silent(child: State) -> bool:
    """It ended well, and yet gave no value of the objective, not even one that is no number."""
    return child.get("status") == "Completed" and child.get("objective") is None and not child.get("diverged")


def drop_unborn(state: State, rows: Rows) -> State:
    """Without the children that were planned and never created, for the study is ending."""
    if all(name in rows for name in open_children(state)):
        return state
    children = {name: c for name, c in state["children"].items() if not is_open(c) or name in rows}
    return {**state, "children": children}


def ending(study: Resource, state: State, rows: Rows, now: float) -> State:
    """The state with `ending` if the study is to end now, by anything but a completion criterion."""
    if "ending" in state:
        return state
    found = _asked(study) or _out_of_time(study, now) or _failed(study, state, rows) or _all_ran(study, state)
    return state if found is None else {**state, "ending": found}


def end(status: str, why: str, reason: str | None = None) -> dict[str, Any]:
    reasons = {"reason": reason[:LONGEST_REASON]} if reason else {}
    return {"status": status, "why": why, **reasons}


def _asked(study: Resource) -> dict[str, Any] | None:
    return end("Stopped", "it was stopped") if study.status == "Stopping" else None


def _out_of_time(study: Resource, now: float) -> dict[str, Any] | None:
    limits = study.spec["HyperParameterTuningJobConfig"]["ResourceLimits"]
    most_s = limits.get("MaxRuntimeInSeconds")
    if most_s is None or now - study.created < most_s:
        return None
    return end("Completed", f"MaxRuntimeInSeconds ({most_s}) has passed")


def _failed(study: Resource, state: State, rows: Rows) -> dict[str, Any] | None:
    """Several children and no value: the fault is not one child's. One that gives values gets its chance.

    Where there are several definitions, no end comes before a child of each has ended: one's fault is not another's.
    But definitions that run one program and read it with one regex are one where no value was found.
    """
    children = state["children"]
    if any(value_of(child) is not None for child in children.values()) or _gives_values(study, state, rows):
        return None
    given = studies.definitions(study.spec)
    tried = {child["definition"] for child in children.values() if not is_open(child)}
    outputs = [_output(study.spec, definition) for definition in given]
    if {outputs[index] for index in tried} == set(outputs):
        silent = Counter(outputs[child["definition"]] for child in children.values() if is_silent(child))
        if any(count >= SILENT_CHILDREN for count in silent.values()):
            return end("Failed", "no child gives a value of the objective", silence(state))
    if len(tried) == len(given) and len(_failures(children)) >= ATTEMPTS:
        return end("Failed", "all children failed", failure_text(state))
    return None


def _output(spec: State, definition: State) -> str:
    """What a definition's children print and what is looked for in it: equal where one tells of the other."""
    fixed = definition.get("StaticHyperParameters", {})
    program = [fixed.get(key) for key in ("sagemaker_program", "sagemaker_submit_directory")]
    metric = studies.objective(spec, definition)["MetricName"]
    return json.dumps([metric, definition["AlgorithmSpecification"], *program], sort_keys=True)


def _gives_values(study: Resource, state: State, rows: Rows) -> bool:
    """Whether a child that still runs has given one."""
    given = studies.definitions(study.spec)
    return any(
        studies.objective(study.spec, given[state["children"][name]["definition"]])["MetricName"]
        in row.state.get("final_metrics", {})
        for name, row in rows.items()
        if is_open(state["children"][name])
    )


def _all_ran(study: Resource, state: State) -> dict[str, Any] | None:
    children = state["children"]
    if (
        open_children(state)
        or repetitions(children)
        or not (
            state.get("exhausted")
            or len(studies.outcomes(children.values())) >= studies.most_jobs(study.spec)
        )
    ):
        return None
    if any(value_of(child) is not None for child in children.values()):
        why = (
            "every configuration has run" if state.get("exhausted") else "MaxNumberOfTrainingJobs was reached"
        )
        return end("Completed", why)
    if reason := silence(state):
        return end("Failed", "no child gives a value of the objective", reason)
    if _failures(children):
        return end("Failed", "all children failed", failure_text(state))
    return end("Failed", "no child gives a value", "No training job gave a value of the objective metric.")


def _failures(children: Mapping[str, State]) -> list[State]:
    """Configurations that failed for good, or diverged."""
    waiting = [child["draw"] for child in repetitions(children)]
    last = studies.outcomes(children.values())
    return [child for draw, child in last.items() if _has_failed(child) and draw not in waiting]


def _has_failed(child: State) -> bool:
    return child.get("status") == "Failed" or bool(child.get("diverged"))


def failure_text(state: State) -> str:
    failed = [(name, c) for name, c in state["children"].items() if _has_failed(c)]
    name, last = failed[-1]
    return (
        f"No training job succeeded after {len(_failures(state['children']))} attempts. "
        "Please take a look at the training job failures to get more details. "
        f"{name} failed with: {last.get('reason', 'no reason given')}"
    )


def silence(state: State) -> str | None:
    """What was told after the first child that gave no value, if no other has given one."""
    children = state["children"].values()
    if any(value_of(child) is not None for child in children):
        return None
    return next((str(child.get("reason")) for child in children if is_silent(child)), None)


def why_stopped(state: State, child: State) -> str:
    """In a child's status message, where the study stops it."""
    if "decision" not in child:
        return f"its tuning job ends, since {state['ending']['why']}"
    decision = child["decision"]
    return f"{'' if decision.get('finished') else 'early, '}since {decision['reason']}"


def repetitions(children: Mapping[str, State]) -> list[State]:
    """Children that the platform interrupted and that are to run again."""
    tries = Counter(child["draw"] for child in children.values())
    return [
        child
        for draw, child in studies.outcomes(children.values()).items()
        if child.get("interrupted") and tries[draw] <= MOST_REPETITIONS
    ]


def finish(row: Resource, state: State, now: float) -> Resource:
    """The row in its final status. A stop that was asked for meanwhile is what is told of."""
    ending_state = state["ending"]
    status = ending_state["status"]
    if row.status == "Stopping" and status == "Completed":
        status = "Stopped"
    return replace(row, status=status, state={**state, "ended": now}, modified=now, due=None)
