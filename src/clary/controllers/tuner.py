"""The tuning controller: one turn looks at a study's children, notes what ended, stops what should stop, runs the next.

What a turn decides is written to the study's row first and carried out then. A controller that starts again finds in
the row what it wanted, in the children's rows what became of it, and does what is missing:

    planned   in the study's `children`; its job is made if there is none
    running   its job is there; one that was decided to stop is asked to
    ended     its outcome is in the study's `children`; its job is not read again
    gone      its job was there and is no more (it was deleted before its end was noted): it ended, and is not run again

What runs next is worked out beside the turns (`proposals`), and so is what a model is needed for to stop (`looks`): a
study that thinks long is stopped as promptly as any other, and none waits for it.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Mapping
from concurrent.futures import Future
from dataclasses import dataclass, field, replace
from typing import Any

from clary.agent import contract
from clary.controllers import looks, nearest, studies
from clary.controllers.children import Children, Curves
from clary.controllers.components import finish_component
from clary.controllers.decisions import Sight, complete, stop_early
from clary.controllers.proposals import Answer, adopt, answer, ask, is_quick
from clary.controllers.thinkers import Think, at_once
from clary.domain.kinds import TUNING_JOB
from clary.domain.names import Account
from clary.errors import Fault
from clary.settings import Settings
from clary.store.base import Lease, Resource, Store
from clary.tuning.stopping import Decision
from clary.tuning.strategy import Observation

log = logging.getLogger("clary.controllers.tuner")

State = Mapping[str, Any]

KIND = TUNING_JOB.name
MOST_CLAIMED = 100
MOST_FAULTS = 5
PAUSE_S = 0.5
IDLE_S = 5.0


@dataclass(slots=True)
class Held:
    """A study under this controller's lease.

    `study` is its row as last read or written. `past`: what children that have ended showed. `seen`: jobs of open
    children as last read. `thought`, `look`: what becomes of the questions what to run and what to stop, once put.
    `faults`: turns in a row that raised.
    """

    lease: Lease
    study: Resource
    curves: Curves
    past: dict[str, Observation] = field(default_factory=dict)
    thought: Future[Answer] | None = None
    look: Future[dict[str, Decision]] | None = None
    seen: dict[str, Resource] = field(default_factory=dict)
    faults: int = 0

    @property
    def thinks(self) -> bool:
        return self.thought is not None or self.look is not None

    def give_up_thoughts(self) -> None:
        """Nobody waits for the answers any more."""
        for each in (self.thought, self.look):
            if each is not None:
                each.cancel()
        self.thought = self.look = None


@dataclass(frozen=True, slots=True)
class Means:
    """What the controller works with. `changed` tells the job controller and waiting clients.

    `think` has some thread work out an answer; a turn should follow when it is there.
    """

    store: Store
    account: Account
    settings: Settings
    owner: str
    changed: Callable[[], None]
    think: Think = at_once


@dataclass(slots=True)
class Tuner:
    """One `step` a turn; not for use from several threads at once."""

    means: Means
    _held: dict[str, Held] = field(default_factory=dict)
    _renewed: float = 0.0

    def resume(self, now: float) -> None:
        """Take over what a former controller of this owner held."""
        self.means.store.surrender(KIND, owner=self.means.owner, now=now)

    def step(self, now: float) -> float:
        """One look at every study held. Gives the seconds that may pass until the next."""
        self._claim(now)
        self._renew(now)
        versions = self.means.store.held(KIND, owner=self.means.owner) if self._held else {}
        for name, held in list(self._held.items()):
            try:
                self._turn(name, held, versions.get(name), now)
                if not held.thinks:
                    held.faults = 0
            except Exception as error:
                # One study's trouble must not hold up the others; trouble that stays ends the study.
                log.exception("%s: a turn failed", held.lease.resource.arn)
                held.faults += 1
                if held.faults >= MOST_FAULTS:
                    self._break(held, error, now)
        return PAUSE_S if self._held else IDLE_S

    def _claim(self, now: float) -> None:
        lease_s = self.means.settings.lease_s
        leases = self.means.store.claim(
            KIND, owner=self.means.owner, now=now, lease_s=lease_s, limit=MOST_CLAIMED
        )
        for lease in leases:
            self._drop(lease.resource.name)
            self._held[lease.resource.name] = Held(lease, lease.resource, Curves(self.means.store))

    def _renew(self, now: float) -> None:
        lease_s = self.means.settings.lease_s
        if self._held and now - self._renewed > lease_s / 3:
            self.means.store.renew(KIND, owner=self.means.owner, until=now + lease_s)
            self._renewed = now

    def _turn(self, name: str, held: Held, version: int | None, now: float) -> None:
        study: Resource | None = held.study
        if held.study.version != version:  # a long study's row takes long to read, and mostly it is as it was
            study = self.means.store.get(KIND, name)
        if study is None or TUNING_JOB.is_final(study.status):
            self._drop(name)
            return
        children = Children(self.means.store, self.means.account)
        rows = children.look(study.state, held.seen)
        state = self._decide(held, study, rows, now)
        if "ending" in state and not studies.open_children(state):
            self._finish(held, study, state, now)
            self._drop(name)
            log.info("%s ended: %s", study.arn, state["ending"]["why"])
            return
        if state is study.state or self._write(held, studies.marked(state, rows), now):
            self._carry_out(children, study, state, rows, now)

    def _finish(self, held: Held, study: Resource, state: State, now: float) -> None:
        foreseen = studies.finish(study, state, now)
        finish_component(self.means.store, foreseen)
        ended = self._apply(held, lambda row: studies.finish(row, state, now), now, keep=False)
        if ended is not None and ended.status != foreseen.status:
            finish_component(self.means.store, ended)  # a stop came in between

    def _decide(self, held: Held, study: Resource, rows: Mapping[str, Resource], now: float) -> State:
        """The state that the study should have, from what is seen of its children."""
        sight = Sight(study, rows, held.curves, held.past)
        reading = studies.Reading(lambda job, metric: held.curves.ended(job.name, metric), self._explain)
        state = studies.note(study, rows, reading, now=now)
        state = studies.ending(study, state, rows, now)
        state = complete(sight, state, now)
        if "ending" in state:
            held.give_up_thoughts()
            return studies.drop_unborn(state, rows)
        state = stop_early(sight, state)
        state = self._look(held, state, sight)
        state = self._plan(held, study, state, sight, now)
        return studies.ending(study, state, rows, now)

    def _look(self, held: Held, state: State, sight: Sight) -> State:
        """As `_plan`: with the answer to the question put before, or a question is put."""
        if held.look is None and (question := looks.ask(sight, state)) is not None:
            held.look = self.means.think(lambda: looks.answer(question))
        if held.look is None or not held.look.done():
            return state
        look, held.look = held.look, None
        return looks.adopt(state, look.result())

    def _plan(self, held: Held, study: Resource, state: State, sight: Sight, now: float) -> State:
        """With the children of the question put before, if its answer is there; else a question is put."""
        if held.thought is None and (question := ask(study, state, sight.observation)) is not None:
            think = at_once if is_quick(study) else self.means.think
            held.thought = think(lambda: answer(question))
        if held.thought is None or not held.thought.done():
            return state
        thought, held.thought = held.thought, None
        return adopt(study, state, thought.result(), now)

    def _explain(self, job: Resource, metric: str) -> str:
        """Why a job that ended well gave no value of the objective."""
        given = job.spec["AlgorithmSpecification"].get("MetricDefinitions", ())
        regex = next((each["Regex"] for each in given if each["Name"] == metric), "")
        folder = self.means.settings.jobs / str(job.state.get("folder"))
        return nearest.explain(folder / contract.LOGS, metric, regex)

    def _carry_out(
        self, children: Children, study: Resource, state: State, rows: Mapping[str, Resource], now: float
    ) -> None:
        acted = False
        for name, child in studies.open_children(state).items():
            if name not in rows:
                children.make(study, state, name, now)
                acted = True
            elif rows[name].status == "InProgress" and ("ending" in state or "decision" in child):
                children.stop(name, studies.why_stopped(state, child), now)
                acted = True
        if acted:
            self.means.changed()

    def _break(self, held: Held, error: Exception, now: float) -> None:
        """End a study whose turns fail again and again: its children are stopped by the turns that follow."""
        text = error.message if isinstance(error, Fault) else f"{type(error).__name__}: {error}"
        ending = studies.end("Failed", "its turns failed", f"InternalServerError: {text}")
        held.faults = 0
        self._apply(held, lambda row: replace(row, state={"ending": ending, **row.state}, modified=now), now)

    def _write(self, held: Held, state: State, now: float) -> bool:
        return self._apply(held, lambda row: replace(row, state=state, modified=now), now) is not None

    def _apply(
        self, held: Held, change: Callable[[Resource], Resource], now: float, *, keep: bool = True
    ) -> Resource | None:
        """Store a change of a study. The lease goes on unless `keep` is False."""
        until = now + self.means.settings.lease_s if keep else None
        row = self.means.store.apply(
            held.lease, lambda row: replace(change(row), due=until), keep_until=until
        )
        if row is None:
            log.warning("the lease on %s went to another server", held.lease.resource.arn)
            self._drop(held.lease.resource.name)
        else:
            held.study = row
        self.means.changed()
        return row

    def _drop(self, name: str) -> None:
        held = self._held.pop(name, None)
        if held is not None:
            held.give_up_thoughts()
