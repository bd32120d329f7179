"""The thread that gives a controller its turns."""

from __future__ import annotations

import logging
import threading
from collections.abc import Callable

log = logging.getLogger("clary.controllers")

PAUSE_AFTER_FAULT_S = 1.0


class Loop:
    """Calls `step(now)` for ever; each call says how many seconds may pass until the next. `wake` ends the pause."""

    def __init__(self, name: str, step: Callable[[float], float], now: Callable[[], float]) -> None:
        self._step = step
        self._now = now
        self._bell = threading.Event()
        self._ending = False
        self._thread = threading.Thread(target=self._run, name=name, daemon=True)

    def start(self) -> None:
        self._thread.start()

    def wake(self) -> None:
        self._bell.set()

    def stop(self) -> None:
        """Let the turn under way end, and take no further one."""
        self._ending = True
        self._bell.set()
        self._thread.join()

    def _run(self) -> None:
        while not self._ending:
            self._bell.clear()
            try:
                pause_s = self._step(self._now())
            except Exception:
                log.exception("%s: a turn failed; the next one tries again", self._thread.name)
                pause_s = PAUSE_AFTER_FAULT_S
            self._bell.wait(pause_s)
