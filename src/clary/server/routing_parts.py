"""The parts that invocations need, put together."""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass

from clary.objects.base import Objects
from clary.routing.capture import Capture
from clary.routing.flights import Flights
from clary.routing.gauges import Gauges
from clary.routing.router import Router
from clary.settings import Settings
from clary.store.base import Store

log = logging.getLogger("clary.server")

FLUSH_S = 5.0
LAST_ANSWERS_S = 4.0  # how long a server that ends waits for answers of models


@dataclass(frozen=True, slots=True)
class Routing:
    """`start` begins to write what is measured and captured, every few seconds; `close` writes the rest.

    `end_waits`: requests under way have a few seconds left to be answered.
    """

    router: Router
    flights: Flights
    start: Callable[[], None]
    end_waits: Callable[[], None]
    close: Callable[[], None]


def build_routing(store: Store, objects: Objects, settings: Settings, wake: Callable[[], None]) -> Routing:
    """`wake` is called when a request finds no instance to ask."""
    flights = Flights()
    gauges = Gauges(store, time.time)
    flusher = Flusher()
    capture = Capture(objects, settings.objects, time.time, full=flusher.hurry)
    router = Router(store, flights, settings, time.time, wake, gauges=gauges, capture=capture)
    flusher.works = (gauges.flush, capture.flush, router.sweep)

    last_call = threading.Timer(LAST_ANSWERS_S, router.end)
    last_call.daemon = True

    def close() -> None:
        last_call.cancel()
        router.close()
        flusher.stop()

    return Routing(router, flights, flusher.start, last_call.start, close)


class Flusher:
    """A thread that does a few things now and then, and once more at the end."""

    def __init__(self) -> None:
        self.works: tuple[Callable[[], None], ...] = ()
        self._bell = threading.Event()
        self._ending = False
        self._thread = threading.Thread(target=self._run, name="flusher", daemon=True)

    def start(self) -> None:
        self._thread.start()

    def hurry(self) -> None:
        self._bell.set()

    def stop(self) -> None:
        self._ending = True
        self._bell.set()
        if self._thread.is_alive():
            self._thread.join()
        self._flush()

    def _run(self) -> None:
        while not self._ending:
            self._bell.wait(FLUSH_S)
            self._bell.clear()
            self._flush()

    def _flush(self) -> None:
        for work in self.works:
            try:
                work()
            except Exception:
                log.exception(
                    "what was measured of endpoints could not be written; the next turn tries again"
                )
