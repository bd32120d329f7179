"""The endpoint controller: keeps each endpoint's instances at the number wanted, and says who may be asked.

What should become of an endpoint is worked out by `rollout`, purely; this is the hands. A turn writes the endpoint's
row first and acts then; all it knows is in rows, so a controller that starts again goes on where the last one stopped.

An instance is asked to end only after it has left the row's `instances` and nobody waits for its answer any more: so no
request is lost to a change.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

from clary.controllers.fleet import Fleets, Replica, are_news
from clary.controllers.restarts import Restarts
from clary.controllers.rollout import Counts, Sight, take_turn
from clary.domain.async_inference import async_config
from clary.domain.kinds import ENDPOINT
from clary.routing.flights import Flights
from clary.settings import Settings
from clary.store.base import Lease, Resource, Store

log = logging.getLogger("clary.controllers.endpoints")

KIND = ENDPOINT.name
MOST_CLAIMED = 1000
MOST_MADE = 20  # instances of a variant a turn: other endpoints want theirs, too
BUSY_S = 0.2
IDLE_S = 2.0
FIRST_REST_S, LONGEST_REST_S = 0.2, 30.0
SWEEP_EVERY_S = 3_600.0
LEAVE_S = 1.0  # a request that read the row before may still be on its way to an instance that has left it
LONGEST_LEAVE_S = 600.0  # so long may an answer be streamed
LONGEST_END_S = 120.0  # the same of an endpoint that is deleted
LONGEST_ASYNC_LEAVE_S = 3_600.0  # so long may an asynchronous invocation take


@dataclass(slots=True)
class Held:
    """An endpoint under this controller's lease; `endpoint` is its row as last read or written.

    `told`: what ready instances wrote down, by id. `leaving`: since when an instance is no longer to be asked.
    `replicas`: as last read, None where they have to be read again. `faults`: turns in a row that raised; no further
    one before `rests_until`.
    """

    lease: Lease
    endpoint: Resource
    told: dict[str, Mapping[str, Any]] = field(default_factory=dict)
    leaving: dict[str, float] = field(default_factory=dict)
    restarts: Restarts = field(default_factory=Restarts)
    replicas: Sequence[Replica] | None = None
    faults: int = 0
    rests_until: float = 0.0


@dataclass(frozen=True, slots=True)
class Means:
    """What the controller works with. `changed` tells the job controller and waiting clients."""

    store: Store
    fleets: Fleets
    flights: Flights
    settings: Settings
    owner: str
    changed: Callable[[], None]


@dataclass(slots=True)
class Endpoints:
    """One `step` a turn; not for use from several threads at once."""

    means: Means
    _held: dict[str, Held] = field(default_factory=dict)
    _renewed: float = 0.0
    _swept: float = 0.0

    def resume(self, now: float) -> None:
        """Take over what a former controller of this owner held."""
        self.means.store.surrender(KIND, owner=self.means.owner, now=now)

    def step(self, now: float) -> float:
        """One look at every endpoint held. Gives the seconds that may pass until the next."""
        self._claim(now)
        self._renew(now)
        self._sweep(now)
        versions = self.means.store.held(KIND, owner=self.means.owner) if self._held else {}
        alive = self.means.fleets.alive(self.means.owner) if self._held else {}
        is_busy = False
        for name, held in list(self._held.items()):
            # a rest longer than any there is: the clock was set back
            if not 0 < held.rests_until - now <= LONGEST_REST_S:
                is_busy |= self._try(held, versions.get(name), alive.get(name, {}), now)
        return BUSY_S if is_busy else IDLE_S

    def _try(self, held: Held, version: int | None, alive: Mapping[str, int], now: float) -> bool:
        """One endpoint's trouble must not hold up the others."""
        if held.replicas is not None and are_news(held.replicas, alive):
            held.replicas = None
        try:
            is_busy = self._turn(held, version, now)
        except Exception:
            log.exception("%s: a turn failed", held.endpoint.arn)
            held.rests_until = now + min(FIRST_REST_S * 2 ** min(held.faults, 10), LONGEST_REST_S)
            held.faults += 1
            held.replicas = None
            return True
        held.faults = 0
        return is_busy

    def _sweep(self, now: float) -> None:
        if not 0 <= now - self._swept < SWEEP_EVERY_S:
            self._swept = now
            self.means.fleets.sweep(now)

    def _claim(self, now: float) -> None:
        leases = self.means.store.claim(
            KIND, owner=self.means.owner, now=now, lease_s=self.means.settings.lease_s, limit=MOST_CLAIMED
        )
        for lease in leases:
            held = self._held.setdefault(lease.resource.name, Held(lease, lease.resource))
            # our own lease may have run out: the machine slept, say
            held.lease, held.endpoint = lease, lease.resource

    def _renew(self, now: float) -> None:
        lease_s = self.means.settings.lease_s
        if self._held and now - self._renewed > lease_s / 3:
            self.means.store.renew(KIND, owner=self.means.owner, until=now + lease_s)
            self._renewed = now

    def _turn(self, held: Held, version: int | None, now: float) -> bool:
        """True while something is on its way."""
        name = held.endpoint.name
        if held.endpoint.version != version:
            row = self.means.store.get(KIND, name) if version is not None else None
            if row is None:
                log.warning("the lease on %s went to another server", held.endpoint.arn)
                self._held.pop(name)
                return False
            held.endpoint = row
        if held.replicas is None:
            held.replicas = self.means.fleets.look(name)
        replicas = held.replicas
        held.restarts.look(replicas)

        def demand(variant: str, config: Mapping[str, Any]) -> int:
            return self._demand(held.endpoint, variant, config, now)

        turn = take_turn(Sight(held.endpoint, replicas, demand, now))
        kept = chosen(replicas, turn.wanted)
        seen = held.endpoint
        target = self._with_instances(held, turn.endpoint, kept)
        is_over = target.status == "Failed" and not any(one.is_up for one in replicas)
        if target is not seen or is_over:
            if not self._write(held, seen, target, keep=not is_over, now=now):
                return True
            if target.status != seen.status:
                log.info("%s %s", target.arn, target.status)
        self._carry_out(held, replicas, kept, turn.wanted, now)
        if held.endpoint.status == "Deleting" and all(one.phase == "ended" for one in replicas):
            return not self._delete(held)
        if is_over:
            self._held.pop(name, None)
            return False
        return target.status != "InService" or bool(held.leaving) or any(one.phase != "ready" for one in kept)

    def _demand(self, endpoint: Resource, name: str, config: Mapping[str, Any], now: float) -> int:
        """A serverless variant has an instance while it is asked, and for a while after."""
        if config["ServerlessConfig"].get("ProvisionedConcurrency"):
            return 1
        last = self.means.flights.last_asked(endpoint.name, name) or endpoint.modified
        is_asked = self.means.flights.knocking(endpoint.name, name) > 0
        return int(is_asked or now - last < self.means.settings.serverless_idle_s)

    def _with_instances(self, held: Held, endpoint: Resource, kept: Sequence[Replica]) -> Resource:
        """The row with those that may be asked now, and with what they say of themselves."""
        ready = [one for one in kept if one.phase == "ready"]
        for one in ready:
            if one.id not in held.told:
                held.told[one.id] = self.means.fleets.told(one)
        instances = [
            {
                "id": one.id,
                "generation": one.generation,
                "variant": one.variant,
                "address": held.told[one.id]["address"],
            }
            for one in ready
        ]
        newest = {one.variant: held.told[one.id].get("report", {}) for one in ready}
        reports = {**endpoint.state["reports"], **newest}
        if instances == endpoint.state["instances"] and reports == endpoint.state["reports"]:
            return endpoint
        return replace(endpoint, state={**endpoint.state, "instances": instances, "reports": reports})

    def _carry_out(
        self, held: Held, replicas: Sequence[Replica], kept: Sequence[Replica], wanted: Counts, now: float
    ) -> None:
        acted = False
        for key, count in wanted.items():
            has = sum((one.generation, one.variant) == key for one in kept)
            if has < count and held.restarts.may_start(key, now):
                for _ in range(min(count - has, MOST_MADE)):
                    self.means.fleets.make(held.endpoint, *key, now)
                    acted = True
        stay = {one.id for one in kept}
        leaving = [one for one in replicas if one.is_up and one.id not in stay]
        # not later than now: the clock may have been set back
        held.leaving = {one.id: min(held.leaving.get(one.id, now), now) for one in leaving}
        for one in leaving:
            if one.phase != "ready" or self._has_left(held, one, now):
                self.means.fleets.stop(one, now)
                acted = True
        if acted:
            self.means.changed()
        if self.means.fleets.forget(replicas) or acted:
            held.replicas = None

    def _has_left(self, held: Held, replica: Replica, now: float) -> bool:
        waited = now - held.leaving[replica.id]
        if waited < LEAVE_S:
            return False
        if self.means.flights.count(replica.id) == 0:
            return True
        return waited > max(_longest_leave_s(held.endpoint), self.means.settings.invocation_timeout_s)

    def _delete(self, held: Held) -> bool:
        """False when somebody wrote in between: the next turn looks again."""
        endpoint = held.endpoint
        if not self.means.store.delete(KIND, endpoint.name, version=endpoint.version):
            return False
        self._held.pop(endpoint.name, None)
        self.means.flights.forget(endpoint.name)
        log.info("%s deleted", endpoint.arn)
        self.means.changed()
        return True

    def _write(self, held: Held, seen: Resource, target: Resource, *, keep: bool, now: float) -> bool:
        """False when somebody else wrote in between: the next turn looks again."""
        until = now + self.means.settings.lease_s if keep else None

        def change(row: Resource) -> Resource:
            if row.version != seen.version:
                return replace(row, due=now + self.means.settings.lease_s)
            return replace(row, status=target.status, state=target.state, modified=target.modified, due=until)

        row = self.means.store.apply(held.lease, change, keep_until=until)
        if row is None:
            self._held.pop(seen.name, None)
            return False
        held.endpoint = row
        self.means.changed()
        return row.state == target.state


def chosen(replicas: Sequence[Replica], wanted: Counts) -> Sequence[Replica]:
    """Those that stay: of each kind the number wanted, the ready and the oldest before the others."""
    kept: list[Replica] = []
    for key, count in wanted.items():
        own = [one for one in replicas if one.is_up and (one.generation, one.variant) == key]
        kept += sorted(own, key=lambda one: (one.phase != "ready", one.row.created))[:count]
    return kept


def _longest_leave_s(endpoint: Resource) -> float:
    """How long an instance may take for what it was asked before it had to go. Who deletes an endpoint waits less."""
    if endpoint.status == "Deleting":
        return LONGEST_END_S
    return LONGEST_ASYNC_LEAVE_S if async_config(endpoint.state) is not None else LONGEST_LEAVE_S
