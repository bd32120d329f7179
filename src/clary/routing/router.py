"""From an endpoint and a request to the answer of one of its instances."""

from __future__ import annotations

import random
import threading
import time
from collections.abc import Callable

from clary.domain.endpoints import Route, routes
from clary.domain.kinds import ENDPOINT
from clary.routing.ask import Answer, Ask, NoAnswer
from clary.routing.capture import Capture
from clary.routing.choice import choose_route, most_at_once
from clary.routing.connections import Connections
from clary.routing.flights import Flights
from clary.routing.gauges import Gauges
from clary.routing.trip import Means, Trip
from clary.routing.underway import Underway
from clary.settings import Settings
from clary.store.base import Resource, Store

GUESTS = 384  # requests that clients have under way at one endpoint: a model that hangs leaves threads for the others
WAKE_EVERY_S = 0.05
ROW_AGE_S = 0.02
GONE = frozenset({"Deleting", "Failed"})


class Router:
    """Asks endpoints. May be used by many threads at once."""

    def __init__(
        self,
        store: Store,
        flights: Flights,
        settings: Settings,
        now: Callable[[], float],
        wake: Callable[[], None],
        *,
        gauges: Gauges | None = None,
        capture: Capture | None = None,
        draw: Callable[[], float] = random.random,
    ) -> None:
        """`wake` is called when a request finds no instance: who makes instances should look."""
        self._store = store
        self._flights = flights
        self._wake = wake
        self._draw = draw
        self._connections = Connections()
        self._means = Means(
            flights=flights,
            connections=self._connections,
            settings=settings,
            now=now,
            wake=self._wake_sometimes,
            look=self._look,
            gauges=gauges or Gauges(store, now),
            capture=capture,
            underway=Underway(),
        )
        self._lock = threading.Lock()
        self._woken = 0.0
        self._rows: dict[str, tuple[float, Resource | None]] = {}

    def invoke(self, endpoint: Resource, ask: Ask) -> Answer:
        """Have one of the endpoint's instances answer; waits for one where a request wakes the variant up.

        A request that an instance may have begun is never sent to another. An answer with an error's status is an
        answer. Raises NoAnswer.
        """
        draw = self._draw()
        route = choose_route(endpoint.state, routes(endpoint.state), ask.variant, draw=draw)
        if not ask.asynchronous and self._flights.visiting(endpoint.name) >= GUESTS:
            message = f"{GUESTS} requests to endpoint {endpoint.name} are under way; try again"
            raise NoAnswer("refused", message, variant=route.variant)
        now = self._means.now()
        if not self._flights.enter(endpoint.name, route.variant, now=now, most=most_at_once(route)):
            raise _throttled(route)
        return Trip(self._means, endpoint, ask, route, draw=draw).go()

    def sweep(self) -> None:
        """Close connections that nobody uses, forget rows that nobody waits for. Now and then."""
        self._connections.sweep()
        with self._lock:
            self._rows.clear()

    def end(self) -> None:
        """Requests under way give up, and those that come later."""
        self._means.underway.end()

    def close(self) -> None:
        self.end()
        self._connections.close()

    def _wake_sometimes(self) -> None:
        """Many may wait at once: one of them rings."""
        now = time.monotonic()
        with self._lock:
            if now - self._woken < WAKE_EVERY_S:
                return
            self._woken = now
        self._wake()

    def _look(self, name: str) -> Resource:
        """The endpoint's row as it is, or was a moment ago: those who wait share a look. Raises NoAnswer "gone"."""
        with self._lock:
            seen, row = self._rows.get(name, (0.0, None))
            if time.monotonic() - seen > ROW_AGE_S:
                row = self._store.get(ENDPOINT.name, name)
                self._rows[name] = time.monotonic(), row
        if row is None:
            raise NoAnswer("gone", f"endpoint {name} was deleted")
        if row.status in GONE:
            reason = row.state.get("reason")
            raise NoAnswer("gone", f"endpoint {name} is {row.status}{f': {reason}' if reason else ''}")
        return row


def _throttled(route: Route) -> NoAnswer:
    most = most_at_once(route)
    message = f"variant {route.variant} answers {most} requests at once (MaxConcurrency), and does so now"
    return NoAnswer("throttled", message, variant=route.variant)
