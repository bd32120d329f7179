"""Threads for what takes long to work out: a few, shared by all studies, so that none waits for another's turn."""

from __future__ import annotations

import threading
from collections.abc import Callable
from concurrent.futures import Future
from queue import SimpleQueue
from typing import Any, TypeVar

Answer = TypeVar("Answer")


def at_once(work: Callable[[], Answer]) -> Future[Answer]:
    """The answer, worked out by the caller: what tests and programs without threads give a controller."""
    future: Future[Answer] = Future()
    _work_out(future, work)
    return future


class Thinkers:
    """At most `count` pieces of work at a time, first come first served.

    Work must be pure: at the end of the server it is left where it stands, and nobody learns of its answer.
    """

    def __init__(self, name: str, count: int) -> None:
        self._asked: SimpleQueue[Callable[[], None] | None] = SimpleQueue()
        self._wake: Callable[[], None] = _nobody
        self._ending = False
        self._threads = [
            threading.Thread(target=self._run, name=f"{name}-{number}", daemon=True)
            for number in range(1, count + 1)
        ]

    def start(self, wake: Callable[[], None]) -> None:
        """`wake` is called whenever an answer is there."""
        self._wake = wake
        for thread in self._threads:
            thread.start()

    def think(self, work: Callable[[], Answer]) -> Future[Answer]:
        """Cancelling the future takes the work back, unless it has begun."""
        future: Future[Answer] = Future()
        future.add_done_callback(lambda _: self._wake())
        self._asked.put(lambda: _work_out(future, work))
        return future

    def stop(self) -> None:
        """Begin nothing more. Does not wait for what has begun."""
        self._ending = True
        for _ in self._threads:
            self._asked.put(None)

    def _run(self) -> None:
        while (work := self._asked.get()) is not None and not self._ending:
            work()


def _nobody() -> None:
    """Whom to wake before the start."""


def _work_out(future: Future[Any], work: Callable[[], Any]) -> None:
    if not future.set_running_or_notify_cancel():
        return
    try:
        answer = work()
    except Exception as error:  # noqa: BLE001 - whoever asked gets it, whatever it is
        future.set_exception(error)
    else:
        future.set_result(answer)
