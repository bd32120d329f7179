"""The server's notice that something moved, for clients that would otherwise sleep and look again.

Counters only: who is told that a version passed looks through the public API at what it was.
"""

from __future__ import annotations

import asyncio
import threading
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Version:
    """`changes` counts every change, growth of a log included; `statuses` counts changes of a status alone."""

    changes: int
    statuses: int


class Changes:
    """May be bumped from any thread and awaited from the event loop."""

    def __init__(self, start: int = 1) -> None:
        """`start` must be beyond what a former server counted to: its clients still wait for more than that."""
        self._lock = threading.Lock()
        self._version = Version(start, start)
        self._closed = False
        self._waiting: set[tuple[asyncio.AbstractEventLoop, asyncio.Event]] = set()

    @property
    def version(self) -> Version:
        return self._version

    def bump(self, *, status: bool) -> None:
        with self._lock:
            old = self._version
            self._version = Version(old.changes + 1, old.statuses + status)
        self._ring()

    def close(self) -> None:
        """End every wait, now and from now on: a server that wants to end waits for nobody who waits for it."""
        self._closed = True
        self._ring()

    def _ring(self) -> None:
        with self._lock:
            waiting, self._waiting = self._waiting, set()
        for loop, event in waiting:
            if not loop.is_closed():
                loop.call_soon_threadsafe(event.set)

    async def wait(self, since: int, timeout_s: float) -> Version:
        """The version once it is beyond `since`, or the same one after `timeout_s`."""
        event = asyncio.Event()
        entry = (asyncio.get_running_loop(), event)
        with self._lock:
            if self._closed or self._version.changes > since:
                return self._version
            self._waiting.add(entry)
        try:
            await asyncio.wait_for(event.wait(), timeout_s)
        except TimeoutError:
            pass
        finally:
            with self._lock:
                self._waiting.discard(entry)
        return self._version
