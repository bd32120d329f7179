"""The children of a study as rows: made, looked at, asked to stop. Each act may be done twice and is done once."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Any

from clary.agent import contract
from clary.controllers.components import with_component
from clary.domain import studies
from clary.domain.kinds import TRAINING_JOB
from clary.domain.names import Account
from clary.domain.training import beginning, stopping
from clary.store.base import AlreadyExists, Resource, Store

State = Mapping[str, Any]

KIND = TRAINING_JOB.name


@dataclass(frozen=True, slots=True)
class Children:
    """Acts on the store for one account."""

    store: Store
    account: Account

    def look(self, state: State, seen: dict[str, Resource]) -> dict[str, Resource]:
        """The jobs of the open children, but for those that were never made.

        `seen` is what the last look gave, and is brought up to date. A job that was there once and is no more was
        deleted, and only one that has ended can be: it stands as it ended, or as stopped where that was not seen.
        """
        found: dict[str, Resource] = {}
        for name in _open(state):
            row = self.store.get(KIND, name)
            if row is None and (name in seen or studies.was_made(state["children"][name])):
                row = _deleted(name, seen.get(name))
            if row is not None:
                found[name] = row
        seen.clear()
        seen.update(found)
        return found

    def make(self, study: Resource, state: State, name: str, now: float) -> None:
        """Create the job of a planned child, with the tags that the study has by now."""
        child = state["children"][name]
        definition = studies.definitions(study.spec)[child["definition"]]
        request = studies.child_request(study.spec, definition, name, child["values"])
        belongs = {"arn": study.arn, "name": study.name, "number": child["number"]}
        job = Resource(**beginning(self.account, request, now=now, state={"tuning": belongs}))
        row, component, links = with_component(self.store, self.account, job, trial=study.state.get("trial"))
        try:
            self.store.create(row, tags=self.store.tags(study.arn), beside=[component], links=links)
        except AlreadyExists as taken:
            if taken.resource.state.get("tuning") != belongs:
                raise

    def stop(self, name: str, why: str, now: float) -> None:
        def ask(row: Resource) -> Resource:
            return replace(row, **stopping(row.status, row.state, now=now, why=why))

        self.store.update(KIND, name, ask)


def _deleted(name: str, last: Resource | None) -> Resource:
    if last is not None and TRAINING_JOB.is_final(last.status):
        return last
    state = {"reason": "Its training job was deleted before its end was noted."}
    return Resource(KIND, name, arn="", status="Stopped", spec={}, state=state, created=0.0, modified=0.0)


def _open(state: State) -> list[str]:
    return [name for name, child in state["children"].items() if studies.is_open(child)]


@dataclass(slots=True)
class Curves:
    """Objective values of children in the order in which they came. Read again only where there is news."""

    store: Store
    _known: dict[str, tuple[Any, tuple[float, ...]]] = field(default_factory=dict)

    def running(self, row: Resource, metric: str) -> tuple[float, ...]:
        """`row` is the child's job: it tells how far its metrics were read."""
        return self._read(row.name, metric, (row.state.get("read") or {}).get(contract.METRICS))

    def ended(self, name: str, metric: str) -> tuple[float, ...]:
        return self._read(name, metric, "ended")

    def _read(self, name: str, metric: str, mark: Any) -> tuple[float, ...]:
        known = self._known.get(name)
        if known is None or known[0] != mark:
            points = self.store.points(f"{KIND}/{name}", metric)
            known = self._known[name] = (mark, tuple(point.value for point in points))
        return known[1]
