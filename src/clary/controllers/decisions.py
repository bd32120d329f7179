"""Which running children to stop, and whether the study is done: the rules of `tuning`, applied to rows."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from math import isfinite
from typing import Any

from clary.controllers.children import Curves
from clary.controllers.proposals import hyperband_of
from clary.controllers.studies import end, open_children
from clary.domain import studies
from clary.domain.studies import is_open
from clary.store.base import Resource
from clary.tuning import stopping
from clary.tuning.completion import Criteria, progress
from clary.tuning.requests import emitted, observed
from clary.tuning.stopping import Decision
from clary.tuning.strategy import Observation

State = Mapping[str, Any]
Curve = Mapping[str, tuple[float, ...]]


@dataclass(frozen=True, slots=True)
class Sight:
    """What a turn sees of a study's children: jobs of the open ones by name, and everybody's objective values.

    `past` is what was observed before of children that have ended, by name, and is added to.
    """

    study: Resource
    rows: Mapping[str, Resource]
    curves: Curves
    past: dict[str, Observation]

    def metric(self, child: State) -> str:
        definition = studies.definitions(self.study.spec)[child["definition"]]
        return str(studies.objective(self.study.spec, definition)["MetricName"])

    def running(self, name: str, child: State) -> tuple[float, ...]:
        if name not in self.rows:
            return ()
        return self._counting(child, self.curves.running(self.rows[name], self.metric(child)))

    def ended(self, name: str, child: State) -> tuple[float, ...]:
        return self._counting(child, self.curves.ended(name, self.metric(child)))

    def _counting(self, child: State, curve: tuple[float, ...]) -> tuple[float, ...]:
        spec = self.study.spec
        return tuple(emitted(spec, studies.definitions(spec)[child["definition"]], curve))

    def observed(self, state: State) -> list[Observation]:
        """Children that have ended, in that order; the interrupted left out, for they have measured nothing."""
        ended = [
            (child.get("noted", 0.0), child["number"], name)
            for name, child in state["children"].items()
            if not is_open(child) and not child.get("interrupted")
        ]
        return [self.observation(name, state["children"][name]) for _, _, name in sorted(ended)]

    def observation(self, name: str, child: State) -> Observation:
        """Of a child that has ended."""
        found = self.past.get(name)
        if found is None:
            found = self.past[name] = observed(name, child, self.ended(name, child))
        return found


def stop_early(sight: Sight, state: State) -> State:
    """With a `decision` for each child that the study's rule stops now, and `looks` where the rule keeps a record."""
    config = sight.study.spec["HyperParameterTuningJobConfig"]
    if config["Strategy"] == "Hyperband":
        decide = _by_hyperband
    elif config.get("TrainingJobEarlyStoppingType", "Off") == "Auto":
        decide = _by_median
    else:
        return state
    running = running_of(sight, state)
    changed = decide(sight, state, running) if running else {}
    return {**state, "children": {**state["children"], **changed}} if changed else state


def running_of(sight: Sight, state: State) -> dict[str, tuple[float, ...]]:
    """Curves of the children that may yet be stopped: they run, gave a value, and none was decided to stop."""
    return {
        name: curve
        for name, child in open_children(state).items()
        if "decision" not in child and (curve := sight.running(name, child))
    }


def _by_median(sight: Sight, state: State, running: Curve) -> dict[str, State]:
    earlier = sight.observed(state)
    changed: dict[str, State] = {}
    for name, curve in running.items():
        found = stopping.decide(curve, earlier, maximize=studies.maximizes(sight.study.spec))
        if found is not None and found.stop:
            changed[name] = {**state["children"][name], "decision": recorded(found)}
    return changed


def looked(child: State) -> int:
    """The step at which it was last looked at; 0 before."""
    looks = child.get("looks", [])
    return int(looks[-1]["step"]) if looks else 0


def _by_hyperband(sight: Sight, state: State, running: Curve) -> dict[str, State]:
    spec = sight.study.spec
    changed: dict[str, State] = {}
    for name, curve in running.items():
        child = state["children"][name]
        others = {
            other["draw"] - 1: sight.running(n, other) if is_open(other) else sight.ended(n, other)
            for n, other in state["children"].items()
            if n != name and other["definition"] == child["definition"]
        }
        hyperband = hyperband_of(spec, studies.definitions(spec)[child["definition"]])
        found = hyperband.decide(
            child["draw"] - 1,
            curve,
            others,
            maximize=studies.maximizes(spec),
            decided=looked(child),
        )
        if found is not None:
            stops = (
                {"decision": recorded(found, finished=found.step >= hyperband.max_resource)}
                if found.stop
                else {}
            )
            changed[name] = {**child, "looks": [*child.get("looks", []), recorded(found)], **stops}
    return changed


def recorded(decision: Decision, *, finished: bool = False) -> dict[str, Any]:
    """As it is kept: what is no finite number has no place in a document and becomes None; `reason` tells it."""
    kept = {
        key: None if isinstance(value, float) and not isfinite(value) else value
        for key, value in asdict(decision).items()
        if key != "stop"
    }
    return {**kept, "finished": True} if finished else kept


def complete(sight: Sight, state: State, now: float) -> State:
    """With the completion details brought up to date, and with `ending` once a completion criterion is met."""
    given = sight.study.spec["HyperParameterTuningJobConfig"].get("TuningJobCompletionCriteria", {})
    if "ending" in state or (state is sight.study.state and "TargetObjectiveMetricValue" not in given):
        return state
    criteria = Criteria(
        target=given.get("TargetObjectiveMetricValue"),
        max_not_improving=given.get("BestObjectiveNotImproving", {}).get(
            "MaxNumberOfTrainingJobsNotImproving"
        ),
        convergence=given.get("ConvergenceDetected", {}).get("CompleteOnConvergence") == "Enabled",
    )
    running = [sight.running(name, child) for name, child in open_children(state).items()]
    found = progress(
        sight.observed(state), criteria, maximize=studies.maximizes(sight.study.spec), running=running
    )
    details = {"NumberOfTrainingJobsObjectiveNotImproving": found.not_improving}
    if found.converged:
        before = state.get("details", {}).get("ConvergenceDetectedTime", now)
        details["ConvergenceDetectedTime"] = before
    if details != state.get("details", details if not found.not_improving else None):
        state = {**state, "details": details}
    if found.cause is not None:
        return {**state, "ending": end("Completed", found.reason)}
    return state
