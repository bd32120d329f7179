"""Waiting for the answer of an asynchronous endpoint, as the SDKs' AsyncPredictor does it.

It looks for the answer and for a failure, each in a thread with a waiter of boto3 that sleeps 15 seconds between two
looks. The one that finds nothing goes on for a quarter of an hour, and the program cannot end before. Here these
threads end with the program, and their first sleeps end when the server says that something changed. Only the first
ones: a waiter counts its looks, and must not run out of them much sooner than it was told to.
"""

from __future__ import annotations

import threading
import time
from typing import Any

from . import current
from .clock import CLOCK

QUICK_SLEEPS = 12
_WAITER = "botocore.waiter"
_PREDICTOR = ".predictor_async"

_left = threading.local()


class Looking(threading.Thread):
    """A thread that waits for an answer."""

    def __init__(self, *args: Any, **options: Any) -> None:
        super().__init__(*args, **{**options, "daemon": True})

    def run(self) -> None:
        _left.quick_sleeps = QUICK_SLEEPS
        super().run()


class Threads:
    """The threading module, as the predictor should see it."""

    Thread = Looking

    def __getattr__(self, name: str) -> Any:
        return getattr(threading, name)


class WaiterTime:
    """The time module, as boto3's waiters should see it."""

    def __getattr__(self, name: str) -> Any:
        return getattr(time, name)

    def sleep(self, seconds: float) -> None:
        left = getattr(_left, "quick_sleeps", 0)
        target = current()
        if left and target is not None:
            _left.quick_sleeps = left - 1
            CLOCK.wait(target, seconds)
        else:
            time.sleep(seconds)


def patch(module: Any) -> None:
    """A module of boto3's waiters or of the asynchronous predictor; any other is left as it is."""
    if module.__name__ == _WAITER and module.__dict__.get("time") is time:
        module.time = WaiterTime()
    elif module.__name__.endswith(_PREDICTOR) and module.__dict__.get("threading") is threading:
        module.threading = Threads()
