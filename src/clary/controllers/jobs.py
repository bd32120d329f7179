"""The job controller: give each job its slots, launch it, follow its story, end it.

One queue holds jobs of all kinds; what differs between them is in the table `work`. A job of several hosts gets all its
slots or none, is launched on all of them, and ends when all have: the first that does not complete ends the others.

A job it has claimed stays claimed (the lease is renewed) until it has ended. All it knows is in the job's row and
folder, so a controller that starts again goes on where the last one stopped:

    waiting   no folder yet; the first that does not fit holds up those behind it (first in, first out)
    running   has a folder and slots; the folder's story is read into the row
    ended     final status; slots, key and working files are given up
"""

from __future__ import annotations

import logging
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from clary.agent.contract import Outcome
from clary.controllers import endings
from clary.controllers.agents import Agents
from clary.controllers.components import finish_component, start_component
from clary.controllers.hosts import Host, host_names, together
from clary.controllers.means import Means
from clary.controllers.story import News, log_size, read_all
from clary.controllers.work import WORK, Work
from clary.domain.kinds import COMPONENT
from clary.domain.transitions import enter
from clary.runners.instances import Share
from clary.store.base import Lease, Resource

log = logging.getLogger("clary.controllers.jobs")

MOST_CLAIMED = 1000
MOST_FAULTS = 10
FIRST_REST_S = 0.1
LONGEST_REST_S = 30.0
IDLE_S = 5.0


Key = tuple[str, str]
"""A job's kind and name."""


@dataclass(slots=True)
class Held:
    """A job under this controller's lease; `job` is its row as last read or written.

    `is_asked_to_stop`: the runner was told. `launches`: how often, by host. `faults`: turns in a row that raised, the
    first of them `trouble`; no further one before `rests_until`.
    """

    lease: Lease
    job: Resource
    is_asked_to_stop: bool = False
    log_bytes: int = 0
    launches: Counter[str] = field(default_factory=Counter)
    faults: int = 0
    trouble: Exception | None = None
    rests_until: float = 0.0

    @property
    def key(self) -> Key:
        return self.job.kind, self.job.name

    @property
    def work(self) -> Work:
        return WORK[self.job.kind]


@dataclass(slots=True)
class Jobs:
    """One `step` a turn; not for use from several threads at once."""

    means: Means
    _agents: Agents = field(init=False)
    _held: dict[Key, Held] = field(default_factory=dict)
    _renewed: float = 0.0
    _room: bool = True

    def __post_init__(self) -> None:
        self._agents = Agents(self.means)

    def resume(self, now: float) -> None:
        """Take over what a former controller of this owner held, and sweep what it left."""
        for kind in WORK:
            self.means.store.surrender(kind, owner=self.means.owner, now=now)
        endings.sweep(self.means.store, self.means.settings.jobs)

    def step(self, now: float) -> float:
        """One look at everything held. Gives the seconds that may pass until the next."""
        for kind in WORK:
            self._claim(kind, now)
        self._renew(now)
        for kind in WORK:
            self._refresh(kind)
        self._room = True
        for held in sorted(self._held.values(), key=_turns):
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
        if held.work.kind.is_final(held.job.status):
            self._let_go(held.key)
        elif "folder" in held.job.state:
            self._follow(held, now)
        else:
            self._room = self._place(held, now, room=self._room)

    def _refresh(self, kind: str) -> None:
        """Read again the rows that others have changed: a service did, or another server."""
        mine = [held for held in self._held.values() if held.job.kind == kind]
        versions = self.means.store.held(kind, owner=self.means.owner) if mine else {}
        for held in mine:
            name = held.job.name
            if versions.get(name) == held.job.version:
                continue
            job = self.means.store.get(kind, name) if name in versions else None
            if job is None:
                self._lose(held)
            else:
                held.job = job

    def _claim(self, kind: str, now: float) -> None:
        leases = self.means.store.claim(
            kind, owner=self.means.owner, now=now, lease_s=self.means.settings.lease_s, limit=MOST_CLAIMED
        )
        for lease in leases:
            held = Held(lease, lease.resource)
            before = self._held.get(held.key)
            if before is None:
                self._held[held.key] = held
            elif before.job.state.get("folder") == held.job.state.get("folder"):
                # our own lease had run out: the machine slept, say
                before.lease, before.job = lease, held.job
            else:
                self._lose(before)
                self._held[held.key] = held
            if shares := held.job.state.get("slots"):
                self.means.slots.retake(_holder(held.key), shares)

    def _renew(self, now: float) -> None:
        lease_s = self.means.settings.lease_s
        if self._held and now - self._renewed > lease_s / 3:
            for kind in WORK:
                self.means.store.renew(kind, owner=self.means.owner, until=now + lease_s)
            self._renewed = now

    def _lose(self, held: Held) -> None:
        """The row is another server's, or is gone, or is a later job's of that name: of one gone nothing may go on."""
        job = held.job
        row = self.means.store.get(job.kind, job.name)
        log.warning("%s: %s", job.arn, "deleted while it was held" if row is None else "the lease was lost")
        self._let_go(held.key)
        if "folder" in job.state and (row is None or row.state.get("folder") != job.state["folder"]):
            self._agents.clear(job)
            self.means.store.drop_credentials(job.arn)
            endings.tidy(self._folder(job))

    def _let_go(self, key: Key) -> None:
        self._held.pop(key, None)
        self.means.slots.give_back(_holder(key))

    # -- waiting

    def _place(self, held: Held, now: float, *, room: bool) -> bool:
        """Launch the job if its turn has come. False once somebody has to wait: then so do all behind."""
        job = held.job
        if job.status == "Stopping":
            self._end(held, Outcome("Stopped", "Stopped", now), now)
            return room
        shares = self._take(held) if room or not held.work.in_line else None
        if shares is None:
            self._let_wait(held, now)
            return room and not held.work.in_line
        self._launch(held, shares, now)
        return room

    def _take(self, held: Held) -> Sequence[Share] | None:
        kind, count = held.work.instances(held.job.spec)
        request = held.work.request(held.job.spec, self.means.instance_types, kind)
        if not held.work.in_line:
            request = replace(request, cpus=0)
        return self.means.slots.take(_holder(held.key), request, count)

    def _let_wait(self, held: Held, now: float) -> None:
        if held.job.state["secondary"] == "Pending":
            return
        what = (
            "CPU, memory or GPUs: other jobs" if held.work.in_line else "memory or GPUs: jobs and endpoints"
        )
        message = f"Waiting for {what} use them"

        def wait(row: Resource) -> Resource:
            return replace(row, state=enter(row.state, "Pending", message, at=now), modified=now)

        self._apply(held, wait, now)

    def _launch(self, held: Held, shares: Sequence[Share], now: float) -> None:
        """Write down where the job will be before it is there: a server that dies in between finds it."""
        folder = f"{held.job.kind}/{held.job.name}-{self.means.new_id(8)}"
        hosts = host_names(len(shares))

        def place(row: Resource) -> Resource:
            message = f"Preparing the instances for {held.work.running.lower()}"
            state = enter(row.state, "Starting", message, at=now)
            streams = {f"{row.name}/{host}-{round(now * 1000)}": host for host in hosts}
            placed = {
                "folder": folder,
                "slots": list(shares),
                "hosts": hosts,
                "streams": {**state.get("streams", {}), **streams},
                "read": {},
            }
            return replace(row, state={**state, **placed}, modified=now)

        if self._apply(held, place, now):
            self._agents.start(held.job, self._agents.hosts(held.job), held.launches)

    # -- running

    def _follow(self, held: Held, now: float) -> None:
        job = held.job
        hosts = self._agents.hosts(job)
        if job.status == "Stopping":
            self._ask_to_stop(held, hosts)
        outcomes = self._agents.look(job, hosts, held.launches, now)
        if not held.work.alone and any(outcome.status != "Completed" for outcome in outcomes.values()):
            self._ask_to_stop(held, hosts)
        series = held.work.series(job)
        component = job.state.get("component")
        run = f"{COMPONENT.name}/{component}" if component else series
        news = read_all(hosts, job.state["read"], series=series, run=run)
        if news:
            self._tell(held, news, now)
        self._notice_log(held, hosts)
        if len(outcomes) == len(hosts) and news.complete:
            self._end(held, together(outcomes), now)

    def _ask_to_stop(self, held: Held, hosts: Sequence[Host]) -> None:
        if not held.is_asked_to_stop:
            self._agents.ask_to_stop(hosts)
            held.is_asked_to_stop = True

    def _tell(self, held: Held, news: News, now: float) -> None:
        """News go into the row and the series in one transaction with how far the files were read."""
        has_started = "started" in held.job.state
        told = self._apply(
            held,
            lambda row: endings.told(row, news, now=now),
            now,
            points=news.points,
            is_status=bool(news.events),
        )
        if told is not None and "started" in told.state and not has_started:
            start_component(self.means.store, told)

    def _notice_log(self, held: Held, hosts: Sequence[Host]) -> None:
        size = sum(log_size(host.folder) for host in hosts)
        if size != held.log_bytes:
            held.log_bytes = size
            self.means.changed(False)

    # -- ending

    def _end(self, held: Held, outcome: Outcome, now: float) -> None:
        """Withdraw the key, end what processes are left, write it down, tidy up.

        In this order: what dies in between is done again, and nothing is killed for a database that cannot be written.
        """
        job = held.job
        again = endings.is_to_be_retried(job, outcome)
        change = endings.retried if again else endings.ended
        self.means.store.drop_credentials(job.arn)
        self._agents.clear(job)
        foreseen = change(job, outcome, now=now)
        if not again:
            finish_component(self.means.store, foreseen)
        changed = self._apply(held, lambda row: change(row, outcome, now=now), now, keep=again)
        if not again and changed is not None and changed.status != foreseen.status:
            finish_component(self.means.store, changed)  # a stop came in between
        if changed is not None:
            log.info("%s %s", job.arn, "starts again" if again else f"ended {changed.status}")
        if again:
            held.launches.clear()
            held.is_asked_to_stop = False
            self.means.slots.give_back(_holder(held.key))
        else:
            self._let_go(held.key)
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


def _turns(held: Held) -> tuple[bool, bool, float]:
    """Order of the turns: what may make room, what serves clients, what waits in line; each the oldest first."""
    return "folder" not in held.job.state, held.work.in_line, held.job.created


def _holder(key: Key) -> str:
    return "/".join(key)
