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
MOST_FAULTS = 5
IDLE_S = 5.0


@dataclass(slots=True)
class Held:
    """A job under this controller's lease. `is_asked_to_stop`: the runner was told; `faults`: turns that raised."""

    lease: Lease
    is_asked_to_stop: bool = False
    log_bytes: int = 0
    launches: int = 0
    faults: int = 0


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
        self._room = True
        for name, held in sorted(self._held.items(), key=lambda item: item[1].lease.resource.created):
            try:
                self._turn(name, held, now)
            except Exception as error:
                # One job's trouble must not hold up the others; trouble that stays ends the job.
                log.exception("%s: a turn failed", held.lease.resource.arn)
                held.faults += 1
                if held.faults >= MOST_FAULTS:
                    self._end(held, held.lease.resource, endings.broken(error, now), now)
        return self.means.settings.poll_s if self._held else IDLE_S

    def _turn(self, name: str, held: Held, now: float) -> None:
        job = self.means.store.get(KIND, name)
        if job is None or TRAINING_JOB.is_final(job.status):
            self._let_go(name)
        elif "folder" in job.state:
            self._follow(held, job, now)
        else:
            self._room = self._place(held, job, now, room=self._room)

    def _claim(self, now: float) -> None:
        leases = self.means.store.claim(
            KIND, owner=self.means.owner, now=now, lease_s=self.means.settings.lease_s, limit=MOST_CLAIMED
        )
        for lease in leases:
            self._held[lease.resource.name] = Held(lease)
            if share := lease.resource.state.get("slots"):
                self.means.slots.retake(lease.resource.name, share)

    def _renew(self, now: float) -> None:
        lease_s = self.means.settings.lease_s
        if self._held and now - self._renewed > lease_s / 3:
            self.means.store.renew(KIND, owner=self.means.owner, until=now + lease_s)
            self._renewed = now

    def _let_go(self, name: str) -> None:
        self._held.pop(name, None)
        self.means.slots.give_back(name)

    # -- waiting

    def _place(self, held: Held, job: Resource, now: float, *, room: bool) -> bool:
        """Launch the job if its turn has come. False once somebody has to wait: then so do all behind."""
        if job.status == "Stopping":
            self._end(held, job, Outcome("Stopped", "Stopped", now), now)
            return room
        request = self.means.instance_types.request(instance_type(job.spec))
        share = self.means.slots.take(job.name, request) if room else None
        if share is None:
            if job.state["secondary"] != "Pending":
                message = "Waiting for CPU, memory or GPUs: other jobs use them"
                self._apply(
                    held, lambda row: replace(row, state=enter(row.state, "Pending", message, at=now)), now
                )
            return False
        self._launch(held, job, share, now)
        return True

    def _launch(self, held: Held, job: Resource, share: Share, now: float) -> None:
        """Write down where the job will be before it is there: a server that dies in between finds it."""
        folder = f"{KIND}/{job.name}-{self.means.new_id(8)}"
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
            return replace(row, state={**state, **placed})

        placed = self._apply(held, place, now)
        if placed is not None:
            self._start_agent(held, placed)

    def _start_agent(self, held: Held, job: Resource) -> None:
        means = self.means
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

    def _follow(self, held: Held, job: Resource, now: float) -> None:
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
            self._end(held, job, outcome, now)
        elif outcome is None and not alive:
            self._look_for_lost(held, job, now)

    def _tell(self, held: Held, news: News, now: float) -> None:
        """News go into the row and the series in one transaction with how far the files were read."""
        self._apply(held, lambda row: endings.told(row, news, now=now), now, points=news.points)

    def _notice_log(self, held: Held, folder: Path) -> None:
        size = log_size(folder)
        if size != held.log_bytes:
            held.log_bytes = size
            self.means.changed(False)

    def _look_for_lost(self, held: Held, job: Resource, now: float) -> None:
        """No agent and no outcome: either it never started (a server died in between) or it was killed."""
        folder = self._folder(job)
        if not (folder / contract.AGENT).exists() and held.launches < MOST_LAUNCHES:
            self._start_agent(held, job)
            return
        self.means.runner.clear(folder)
        self._end(held, job, read_outcome(folder) or endings.lost(now, last_words=last_words(folder)), now)

    # -- ending

    def _end(self, held: Held, job: Resource, outcome: Outcome, now: float) -> None:
        if endings.is_to_be_retried(job, outcome):
            self._give_up(job)
            self._apply(held, lambda row: endings.retried(row, outcome, now=now), now)
            self.means.slots.give_back(job.name)
            return
        if "folder" in job.state:
            self.means.runner.clear(self._folder(job))
        ended = self._apply(held, lambda row: endings.ended(row, outcome, now=now), now, keep=False)
        if ended is not None:
            log.info("%s ended %s", job.arn, ended.status)
        self._let_go(job.name)
        self._give_up(job)

    def _give_up(self, job: Resource) -> None:
        """The job's key and working files; its story, log and outcome stay."""
        self.means.store.drop_credentials(job.arn)
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
    ) -> Resource | None:
        until = now + self.means.settings.lease_s if keep else None

        def due_again(row: Resource) -> Resource:
            return replace(change(row), due=until)

        row = self.means.store.apply(held.lease, due_again, points=points, keep_until=until)
        if row is None:
            log.warning("the lease on %s went to another server", held.lease.resource.arn)
            self._let_go(held.lease.resource.name)
        self.means.changed(True)
        return row

    def _folder(self, job: Resource) -> Path:
        return self.means.settings.jobs / str(job.state["folder"])
