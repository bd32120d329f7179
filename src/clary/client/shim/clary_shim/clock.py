"""A clock for the sagemaker SDKs' waiting loops: its sleep ends when the server says that something changed.

The loops look at a job, sleep 5, 10 or 30 seconds, and look again. Each module of the SDK that uses `time` is given
a `Clock` in its place. It is the time module in all but two things.

**sleep(s)**, of a second or more, waits for the server's notice of a change, at most `s` seconds.

- *A change between the look and the sleep.* Each thread remembers the version it was last told, and asks for one
  beyond it. The version was told before the look that followed it, so whatever the look missed is beyond it, and
  the next sleep ends at once. The price is at times one look too many. A thread's first sleep asks beyond 0.
- *Nothing more will change.* The SDK's version 2 sleeps once more after it saw a job end, to read the last of the
  log, and on a quiet server no notice would come. So the sleep after one that told of a change of status waits no
  longer than `SETTLE_S`.
- *A busy server.* Notices do not say whose job changed. Every sleep takes at least `PACE_S`, growing to `MAX_PACE_S`
  while notices keep coming, so a loop looks at most five times a second for a moment and soon about once.
- *Several threads.* What was told is kept by thread, and each request has a connection of its own.
- *A server that is down, or restarted.* When asking fails, the rest of the time is really slept, and the version is
  forgotten. A restarted server counts from the beginning: a smaller version than the one asked about is a change.
  A server that answers early without news is not asked again before the time it was given is over.
- *An interrupt* falls into a socket read of at most `ASK_S`, or a real sleep, and goes through.

**time()** is the real time. Version 2's log loops describe the job only when `time.time() - last_describe_job_call`
reaches 30 seconds. In functions that have this variable, and after a sleep that told of a change of status, time()
gives a `Look`: the real time, whose *difference* to an earlier one is 30 s larger. So the loop describes the job
exactly when there is something new to see; its own timeouts (comparisons, not differences), names made from the
time, and every other function see the real time, which nothing advances for good.
"""

from __future__ import annotations

import sys
import threading
import time
from collections.abc import Callable
from typing import Any

from . import Target, current, notices

PACE_S = 0.2
MAX_PACE_S = 0.8
SETTLE_S = 0.5
ASK_S = 5.0
SHORTEST_S = 1.0
DESCRIBE_EVERY_S = 30.0
_DESCRIBE_VARIABLE = "last_describe_job_call"
_ROOTS = ("sagemaker.", "sagemaker_core.")
# code that the SDK sends into containers, where no job is waited for
_ELSEWHERE = ("container_drivers", "runtime_environment")


class Look(float):
    """A real time (s) after which enough has passed for the next look at a job."""

    __slots__ = ()

    def __sub__(self, earlier: float) -> float:
        return float(self) - float(earlier) + DESCRIBE_EVERY_S


class Told(threading.local):
    """What one thread was last told, and how quickly it may ask again (s)."""

    target: Target | None = None
    version: notices.Version | None = None
    status_moved = False
    pace_s = PACE_S


class Clock:
    """The time module, as a waiting loop should see it.

    `real` is the time module; `ask(target, since, timeout_s)` gives the server's version (see `notices.ask`).
    """

    def __init__(
        self, real: Any = time, ask: Callable[[Target, int, float], notices.Version] = notices.ask
    ) -> None:
        self._real = real
        self._ask = ask
        self._told = Told()

    def __getattr__(self, name: str) -> Any:
        return getattr(self._real, name)

    def __reduce__(self) -> Any:
        return __import__, ("time",)

    def sleep(self, seconds: float) -> None:
        target = current()
        caller = sys._getframe(1).f_globals.get("__name__", "")
        if target is None or seconds < SHORTEST_S or not caller.startswith(_ROOTS):
            self._real.sleep(seconds)
        else:
            self.wait(target, seconds)

    def time(self) -> float:
        now: float = self._real.time()
        if self._told.status_moved and _DESCRIBE_VARIABLE in sys._getframe(1).f_code.co_varnames:
            return Look(now)
        return now

    def wait(self, target: Target, seconds: float) -> None:
        """Sleep that ends when the server of this target says that something changed."""
        told = self._told
        if told.target is not target:
            told.target, told.version = target, None
        started = self._real.monotonic()
        allowed = min(seconds, max(SETTLE_S, told.pace_s)) if told.status_moved else seconds
        self._real.sleep(min(told.pace_s, allowed))
        before, told.status_moved = told.version, False
        told.version = self._next_version(target, before, started + allowed)
        if told.version is not None:
            told.status_moved = before is None or told.version.statuses != before.statuses
        quick = told.version != before and self._real.monotonic() - started < SHORTEST_S
        told.pace_s = min(told.pace_s * 1.5, MAX_PACE_S) if quick else PACE_S

    def _next_version(
        self, target: Target, before: notices.Version | None, deadline: float
    ) -> notices.Version | None:
        """The version once it is not `before`; the same at the deadline; None if the server was not there."""
        while True:
            asked = self._real.monotonic()
            wait_s = max(0.0, min(deadline - asked, ASK_S))
            try:
                version = self._ask(target, before.changes if before else 0, wait_s)
            except (OSError, ValueError):
                self._sleep_until(deadline)
                return None
            if version != before:
                return version
            self._sleep_until(asked + wait_s)
            if self._real.monotonic() >= deadline:
                return version

    def _sleep_until(self, moment: float) -> None:
        left = moment - self._real.monotonic()
        if left > 0:
            self._real.sleep(left)


CLOCK = Clock()


def patch(module: Any) -> None:
    """Give a module of the SDK the clock instead of the time module, whichever way it imported it."""
    if any(part in module.__name__ for part in _ELSEWHERE):
        return
    for name, value in list(module.__dict__.items()):
        if value is time:
            setattr(module, name, CLOCK)
        elif value is time.sleep:
            setattr(module, name, CLOCK.sleep)
        elif value is time.time:
            setattr(module, name, CLOCK.time)
