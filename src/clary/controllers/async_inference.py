"""The controller of asynchronous endpoints: each has a queue, and as many of it are asked at once as it takes.

A request is a row from before it is acknowledged until its answer is an object. Only what is being asked is claimed,
each request in a thread; a server that is killed leaves rows and leases, its successor asks again, and finds by the
mark on the object what was answered already.

    waiting   nobody holds the row; its endpoint has too few instances, or none
    asked     held; `async_request.answer` is at work on it
    again     waiting, with a `due` to come: its instance was busy, or died
    ended     output or failure is written; the row is removed
"""

from __future__ import annotations

import logging
import threading
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from queue import Empty, SimpleQueue

from clary.controllers import async_request
from clary.controllers.async_metrics import Gauges
from clary.controllers.async_request import Ended, World
from clary.domain.async_inference import async_config, at_once, endpoint_of, row_prefix
from clary.domain.kinds import ASYNC_INVOCATION, ENDPOINT
from clary.settings import Settings
from clary.store.base import Lease, Page, Resource, Store, Where

log = logging.getLogger("clary.controllers.async_inference")

KIND = ASYNC_INVOCATION.name
BUSY_S = 0.5
IDLE_S = 5.0
LOOK_FOR_EXPIRED_S = 15.0
GAUGES_A_PERIOD = 6
SHORTEST_TTL_S = 60.0
ROWS_AT_ONCE = 500
MOST_ORPHANS_AT_ONCE = 8

Begin = Callable[[Callable[[], None]], None]


def in_a_thread(work: Callable[[], None]) -> None:
    """What a server gives: a thread each. At the end of the server they are left where they stand."""
    threading.Thread(target=work, name="async-request", daemon=True).start()


@dataclass(frozen=True, slots=True)
class Means:
    """What the controller works with. `wake` is called when a request has ended; `changed` tells waiting clients."""

    store: Store
    world: World
    settings: Settings
    owner: str
    wake: Callable[[], None]
    changed: Callable[[], None]
    begin: Begin = in_a_thread


@dataclass(slots=True)
class AsyncInference:
    """One `step` a turn; not for use from several threads at once."""

    means: Means
    _asked: dict[str, Lease] = field(default_factory=dict)
    _ended: SimpleQueue[Ended] = field(default_factory=SimpleQueue)
    _gauges: Gauges = field(init=False)
    _renewed: float = 0.0
    _looked: float = 0.0

    def __post_init__(self) -> None:
        self._gauges = Gauges(
            self.means.store, period_s=self.means.settings.scaling_period_s / GAUGES_A_PERIOD
        )

    def resume(self, now: float) -> None:
        """Take over what a former controller of this owner held."""
        self.means.store.surrender(KIND, owner=self.means.owner, now=now)

    def step(self, now: float) -> float:
        """One look at every queue. Gives the seconds that may pass until the next."""
        self._collect(now)
        self._renew(now)
        backlog = self.means.store.count(KIND)
        if not backlog and not self._gauges.is_due(now):
            return min(IDLE_S, self._gauges.pause_s)
        endpoints = self._endpoints()
        sizes = self._sizes(endpoints) if backlog else {}
        for name, size in sizes.items():
            if size:
                self._fill(endpoints[name], now)
        if backlog > sum(sizes.values()):
            self._see_to_orphans(endpoints, now)
        if backlog and abs(now - self._looked) >= LOOK_FOR_EXPIRED_S:
            self._expire(sizes, now)
            self._looked = now
        self._gauges.tell(endpoints, sizes, now)
        return BUSY_S if backlog else min(IDLE_S, self._gauges.pause_s)

    def _endpoints(self) -> Mapping[str, Resource]:
        """Those that are asynchronous now."""
        found: dict[str, Resource] = {}
        after: str | None = None
        while True:
            rows, after = self.means.store.list(ENDPOINT.name, page=Page(sort="name", after=after))
            found |= {row.name: row for row in rows if async_config(row.state) is not None}
            if after is None:
                return found

    def _sizes(self, endpoints: Mapping[str, Resource]) -> dict[str, int]:
        return {name: self.means.store.count(KIND, Where(name_prefix=row_prefix(name))) for name in endpoints}

    # -- asking

    def _fill(self, endpoint: Resource, now: float) -> None:
        """Ask as much more of an endpoint as it takes."""
        busy = Counter(endpoint_of(name) for name in self._asked)[endpoint.name]
        room = at_once(endpoint.state) - busy
        if room > 0 and endpoint.status != "Deleting":
            self._take(endpoint, row_prefix(endpoint.name), room, now)

    def _take(self, endpoint: Resource | None, prefix: str, room: int, now: float) -> None:
        lease_s = self.means.settings.lease_s
        leases = self.means.store.claim(
            KIND, owner=self.means.owner, now=now, lease_s=lease_s, limit=room, name_prefix=prefix
        )
        for lease in leases:
            if lease.resource.name in self._asked:
                # our own lease had run out, the machine having slept: the thread is still at work on it
                self._asked[lease.resource.name] = lease
                continue
            self._asked[lease.resource.name] = lease
            self._gauges.begun(lease.resource, now)
            self._begin(endpoint, lease.resource)

    def _begin(self, endpoint: Resource | None, row: Resource) -> None:
        # one of the same name is not the one that the request was sent to
        asked = endpoint if endpoint and endpoint.created == row.state["endpoint"] else None

        def work() -> None:
            self._ended.put(async_request.answer(self.means.world, asked, row))
            self.means.wake()

        try:
            self.means.begin(work)
        except RuntimeError as error:  # the system gives no more threads
            log.warning("%s: %s; it waits", row.arn, error)
            self._ended.put(async_request.put_off(row))

    # -- ending

    def _collect(self, now: float) -> None:
        """See to what ended since the last turn."""
        is_any = False
        while True:
            try:
                ended = self._ended.get_nowait()
            except Empty:
                break
            is_any = True
            lease = self._asked.pop(ended.name, None)
            if lease is None:
                continue
            self._gauges.ended(lease.resource, ended)
            if ended.result == "again":
                self._put_back(lease, ended, now)
            else:
                self.means.store.delete(KIND, ended.name)
        if is_any:
            self.means.changed()

    def _put_back(self, lease: Lease, ended: Ended, now: float) -> None:
        def change(row: Resource) -> Resource:
            state = {**row.state, "deaths": ended.deaths, "faults": ended.faults}
            return replace(row, state=state, due=now + ended.rest_s, modified=now)

        self.means.store.apply(lease, change)

    def _renew(self, now: float) -> None:
        lease_s = self.means.settings.lease_s
        if self._asked and not 0 <= now - self._renewed <= lease_s / 3:
            self.means.store.renew(KIND, owner=self.means.owner, until=now + lease_s)
            self._renewed = now

    # -- those that nobody will ask for

    def _expire(self, endpoints: Mapping[str, int], now: float) -> None:
        """Give up what waited too long: an endpoint without instances claims nothing."""
        for endpoint, size in endpoints.items():
            if size:
                for name in self._expired(endpoint, now):
                    self._take(None, name, 1, now)

    def _expired(self, endpoint: str, now: float) -> Sequence[str]:
        where = Where(name_prefix=row_prefix(endpoint), created_before=now - SHORTEST_TTL_S)
        found: list[str] = []
        after: str | None = None
        while len(found) < ROWS_AT_ONCE:
            rows, after = self.means.store.list(KIND, where, Page(limit=ROWS_AT_ONCE, after=after))
            found += [row.name for row in rows if row.state["expires"] <= now and row.name not in self._asked]
            if after is None:
                break
        return found

    def _see_to_orphans(self, endpoints: Mapping[str, Resource], now: float) -> None:
        """Give up what was sent to endpoints that are gone, or not asynchronous any more."""
        heads = self.means.store.heads(KIND)
        waiting = [head.name for head in heads if endpoint_of(head.name) not in endpoints]
        for name in sorted(set(map(endpoint_of, waiting))):
            endpoint = self.means.store.get(ENDPOINT.name, name)
            if endpoint is None:
                self._take(None, row_prefix(name), MOST_ORPHANS_AT_ONCE, now)
            else:  # it was updated to one that is not asynchronous: it answers what it was sent before
                self._fill(endpoint, now)
