"""The job controller: give each job its slots, launch it, follow its story, end it.

A job it has claimed stays claimed (the lease is renewed) until it has ended. All it knows is in the job's row and
folder, so a controller that starts again goes on where the last one stopped:

    waiting   no folder yet; the first that does not fit holds up those behind it (first in, first out)
    running   has a folder and slots; the folder's story is read into the row
    ended     final status; slots, key and working files are given up
"""

from __future__ import annotations

import logging
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from clary.agent import contract
from clary.agent.contract import Access, Outcome, read_outcome
from clary.controllers import endings
from clary.controllers.components import finish_component
from clary.controllers.plan import instance_type, training_plan
from clary.controllers.story import News, last_words, log_size, read_news
from clary.domain.kinds import TRAINING_JOB
from clary.domain.transitions import enter
from clary.runners.base import Runner
from clary.runners.environments import Environments
from clary.runners.instances import InstanceTypes, Share, Slots
from clary.settings import Settings
from clary.store.base import Lease, Resource, Store

log = logging.getLogger("clary.controllers.jobs")

KIND = TRAINING_JOB.name
MOST_CLAIMED = 1000
MOST_LAUNCHES = 3
MOST_FAULTS = 10
FIRST_REST_S = 0.1
LONGEST_REST_S = 30.0
IDLE_S = 5.0


@dataclass(slots=True)
class Held:
    """A job under this controller's lease; `job` is its row as last read or written.

    `is_asked_to_stop`: the runner was told. `faults`: turns in a row that raised, the first of
    them `trouble`; no further one before `rests_until`.
    """

    lease: Lease
    job: Resource
    is_asked_to_stop: bool = False
    log_bytes: int = 0
    launches: int = 0
    faults: int = 0
    trouble: Exception | None = None
    rests_until: float = 0.0


@dataclass(frozen=True, slots=True)
class Means:
    """What a controller works with. `access` mints a job's own key; `changed` tells waiting clients."""

    store: Store
    runner: Runner
    slots: Slots
    instance_types: InstanceTypes
    environments: Environments
    settings: Settings
    owner: str
    access: Callable[[Resource], Access]
    new_id: Callable[[int], str]
    changed: Callable[[bool], None]


@dataclass(slots=True)
class Jobs:
    """One `step` a turn; not for use from several threads at once."""

    means: Means
    _held: dict[str, Held] = field(default_factory=dict)
    _renewed: float = 0.0
    _room: bool = True

    def resume(self, now: float) -> None:
        """Take over what a former controller of this owner held, and sweep what it left."""
        self.means.store.surrender(KIND, owner=self.means.owner, now=now)
        endings.sweep(self.means.store, self.means.settings.jobs)

    def step(self, now: float) -> float:
        """One look at everything held. Gives the seconds that may pass until the next."""
        self._claim(now)
        self._renew(now)
        self._refresh()
        self._room = True
        for held in sorted(self._held.values(), key=lambda held: held.job.created):
            # a rest longer than any there is: the clock was set back
            if not 0 < held.rests_until - now <= LONGEST_REST_S:
                self._try(held, now)
        return self.means.settings.poll_s if self._held else IDLE_S

    def _try(self, held: Held, now: float) -> None:
        """One job's trouble must not hold up the others; trouble that stays ends the job."""
        try:
            if held.faults < MOST_FAULTS:
                self._turn(held, now)
            else:
                self._end(held, endings.broken(held.trouble, now), now)
        except Exception as error:
            log.exception("%s: a turn failed", held.job.arn)
            held.rests_until = now + min(FIRST_REST_S * 2**held.faults, LONGEST_REST_S)
            held.faults += 1
            held.trouble = held.trouble or error
        else:
            held.faults, held.trouble = 0, None

    def _turn(self, held: Held, now: float) -> None:
        if TRAINING_JOB.is_final(held.job.status):
            self._let_go(held.job.name)
        elif "folder" in held.job.state:
            self._follow(held, now)
        else:
            self._room = self._place(held, now, room=self._room)

    def _refresh(self) -> None:
        """Read again the rows that others have changed: a service did, or another server."""
        versions = self.means.store.held(KIND, owner=self.means.owner)
        for name, held in list(self._held.items()):
            if versions.get(name) == held.job.version:
                continue
            job = self.means.store.get(KIND, name) if name in versions else None
            if job is None:
                self._lose(held)
            else:
                held.job = job

    def _claim(self, now: float) -> None:
        leases = self.means.store.claim(
            KIND, owner=self.means.owner, now=now, lease_s=self.means.settings.lease_s, limit=MOST_CLAIMED
        )
        for lease in leases:
            job = lease.resource
            before = self._held.get(job.name)
            if before is None:
                self._held[job.name] = Held(lease, job)
            elif before.job.state.get("folder") == job.state.get("folder"):
                before.lease, before.job = lease, job  # our own lease had run out: the machine slept, say
            else:
                self._lose(before)
                self._held[job.name] = Held(lease, job)
            if share := job.state.get("slots"):
                self.means.slots.retake(job.name, share)

    def _renew(self, now: float) -> None:
        lease_s = self.means.settings.lease_s
        if self._held and now - self._renewed > lease_s / 3:
            self.means.store.renew(KIND, owner=self.means.owner, until=now + lease_s)
            self._renewed = now

    def _lose(self, held: Held) -> None:
        """The row is another server's, or is gone, or is a later job's of that name: of one gone nothing may go on."""
        job = held.job
        row = self.means.store.get(KIND, job.name)
        log.warning("%s: %s", job.arn, "deleted while it was held" if row is None else "the lease was lost")
        self._let_go(job.name)
        if "folder" in job.state and (row is None or row.state.get("folder") != job.state["folder"]):
            self.means.runner.clear(self._folder(job))
            self.means.store.drop_credentials(job.arn)
            endings.tidy(self._folder(job))

    def _let_go(self, name: str) -> None:
        self._held.pop(name, None)
        self.means.slots.give_back(name)

    # -- waiting

    def _place(self, held: Held, now: float, *, room: bool) -> bool:
        """Launch the job if its turn has come. False once somebody has to wait: then so do all behind."""
        job = held.job
        if job.status == "Stopping":
            self._end(held, Outcome("Stopped", "Stopped", now), now)
            return room
        share = None
        if room:
            request = self.means.instance_types.request(instance_type(job.spec))
            share = self.means.slots.take(job.name, request)
        if share is None:
            self._let_wait(held, now)
            return False
        self._launch(held, share, now)
        return True

    def _let_wait(self, held: Held, now: float) -> None:
        if held.job.state["secondary"] == "Pending":
            return
        message = "Waiting for CPU, memory or GPUs: other jobs use them"

        def wait(row: Resource) -> Resource:
            return replace(row, state=enter(row.state, "Pending", message, at=now), modified=now)

        self._apply(held, wait, now)

    def _launch(self, held: Held, share: Share, now: float) -> None:
        """Write down where the job will be before it is there: a server that dies in between finds it."""
        folder = f"{KIND}/{held.job.name}-{self.means.new_id(8)}"
        host = "algo-1"

        def place(row: Resource) -> Resource:
            state = enter(row.state, "Starting", "Preparing the instances for training", at=now)
            streams = {**state.get("streams", {}), f"{row.name}/{host}-{round(now * 1000)}": host}
            placed = {
                "folder": folder,
                "slots": share,
                "streams": streams,
                "read": {},
            }
            return replace(row, state={**state, **placed}, modified=now)

        if self._apply(held, place, now):
            self._start_agent(held)

    def _start_agent(self, held: Held) -> None:
        means, job = self.means, held.job
        held.launches += 1
        share = job.state["slots"]
        image = job.spec["AlgorithmSpecification"].get("TrainingImage", "")
        plan = training_plan(
            job,
            access=means.access(job),
            python=means.environments.python(image),
            cpus=share["cpus"],
            gpus=share["gpus"],
            grace_s=means.settings.stop_grace_s,
            usage_period_s=means.settings.usage_period_s,
        )
        self._folder(job).mkdir(mode=0o700, parents=True, exist_ok=True)
        means.runner.launch(self._folder(job), plan)

    # -- running

    def _follow(self, held: Held, now: float) -> None:
        job = held.job
        folder = self._folder(job)
        if job.status == "Stopping" and not held.is_asked_to_stop:
            self.means.runner.stop(folder)
            held.is_asked_to_stop = True
        alive = self.means.runner.is_alive(folder)
        outcome = read_outcome(folder)
        news = read_news(folder, job.state["read"], series=f"{KIND}/{job.name}")
        if news:
            self._tell(held, news, now)
        self._notice_log(held, folder)
        if outcome is not None and news.complete:
            self._end(held, outcome, now)
        elif outcome is None and not alive:
            self._look_for_lost(held, now)

    def _tell(self, held: Held, news: News, now: float) -> None:
        """News go into the row and the series in one transaction with how far the files were read."""
        self._apply(
            held,
            lambda row: endings.told(row, news, now=now),
            now,
            points=news.points,
            is_status=bool(news.events),
        )

    def _notice_log(self, held: Held, folder: Path) -> None:
        size = log_size(folder)
        if size != held.log_bytes:
            held.log_bytes = size
            self.means.changed(False)

    def _look_for_lost(self, held: Held, now: float) -> None:
        """No agent and no outcome: either it never started (a server died in between) or it was killed."""
        folder = self._folder(held.job)
        if not (folder / contract.AGENT).exists() and held.launches < MOST_LAUNCHES:
            self._start_agent(held)
            return
        self.means.runner.clear(folder)
        self._end(held, read_outcome(folder) or endings.lost(now, last_words=last_words(folder)), now)

    # -- ending

    def _end(self, held: Held, outcome: Outcome, now: float) -> None:
        """Withdraw the key, end what processes are left, write it down, tidy up.

        In this order: what dies in between is done again, and nothing is killed for a database that cannot be written.
        """
        job = held.job
        again = endings.is_to_be_retried(job, outcome)
        change = endings.retried if again else endings.ended
        self.means.store.drop_credentials(job.arn)
        if "folder" in job.state:
            self.means.runner.clear(self._folder(job))
        foreseen = change(job, outcome, now=now)
        if not again:
            finish_component(self.means.store, foreseen)
        changed = self._apply(held, lambda row: change(row, outcome, now=now), now, keep=again)
        if not again and changed is not None and changed.status != foreseen.status:
            finish_component(self.means.store, changed)  # a stop came in between
        if changed is not None:
            log.info("%s %s", job.arn, "starts again" if again else f"ended {changed.status}")
        if again:
            held.launches = 0
            self.means.slots.give_back(job.name)
        else:
            self._let_go(job.name)
        if "folder" in job.state:
            endings.tidy(self._folder(job))

    def _apply(
        self,
        held: Held,
        change: Callable[[Resource], Resource],
        now: float,
        *,
        points: tuple[Any, ...] = (),
        keep: bool = True,
        is_status: bool = True,
    ) -> Resource | None:
        until = now + self.means.settings.lease_s if keep else None

        def due_again(row: Resource) -> Resource:
            return replace(change(row), due=until)

        row = self.means.store.apply(held.lease, due_again, points=points, keep_until=until)
        if row is None:
            self._lose(held)
        else:
            held.job = row
        self.means.changed(is_status)
        return row

    def _folder(self, job: Resource) -> Path:
        return self.means.settings.jobs / str(job.state["folder"])
