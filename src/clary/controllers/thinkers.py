"""Threads for what takes long to work out: a few, shared by all studies, so that none waits for another's turn."""

from __future__ import annotations

import itertools
import threading
from collections.abc import Callable
from concurrent.futures import Future
from queue import SimpleQueue
from typing import Any, Protocol, TypeVar

Answer = TypeVar("Answer")


class Think(Protocol):
    """Has some thread work out an answer."""

    def __call__(self, work: Callable[[], Answer], /) -> Future[Answer]: ...


def at_once(work: Callable[[], Answer]) -> Future[Answer]:
    """The answer, worked out by the caller: what tests and programs without threads give a controller."""
    future: Future[Answer] = Future()
    _work_out(future, work)
    return future


class Thought(Future[Answer]):
    """An answer to come. `is_left`: nobody waits for it any more, and it had begun."""

    def __init__(self, leave: Callable[[Thought[Any]], None]) -> None:
        super().__init__()
        self._leave = leave
        self.is_left = False

    def cancel(self) -> bool:
        is_cancelled = super().cancel()
        if not is_cancelled:
            self._leave(self)
        return is_cancelled


class Thinkers:
    """At most `count` pieces of work at a time that somebody waits for, first come first served.

    Work must be pure: at the end of the server it is left where it stands, and nobody learns of its answer. So it is
    when it is cancelled after it has begun: another thread takes the place of its own, for work may never end.
    """

    def __init__(self, name: str, count: int) -> None:
        self._names = (f"{name}-{number}" for number in itertools.count(1))
        self._asked: SimpleQueue[tuple[Thought[Any], Callable[[], Any]] | None] = SimpleQueue()
        self._wake: Callable[[], None] = _nobody
        self._ending = False
        self._leaving = threading.Lock()
        self._threads: list[threading.Thread] = []
        for _ in range(count):
            self._add()

    def start(self, wake: Callable[[], None]) -> None:
        """`wake` is called whenever an answer is there."""
        self._wake = wake
        for thread in self._threads:
            thread.start()

    def think(self, work: Callable[[], Answer]) -> Future[Answer]:
        """Cancelling the future takes the work back, or leaves it to itself where it has begun."""
        thought: Thought[Answer] = Thought(self._leave)
        thought.add_done_callback(lambda _: self._wake())
        self._asked.put((thought, work))
        return thought

    def stop(self) -> None:
        """Begin nothing more. Does not wait for what has begun."""
        self._ending = True
        for _ in self._threads:
            self._asked.put(None)

    def _run(self) -> None:
        while (asked := self._asked.get()) is not None and not self._ending:
            _work_out(*asked)
            with self._leaving:
                if asked[0].is_left:
                    return

    def _leave(self, thought: Thought[Any]) -> None:
        with self._leaving:
            if thought.running() and not thought.is_left and not self._ending:
                thought.is_left = True
                self._threads = [each for each in self._threads if each.is_alive()]
                self._add().start()

    def _add(self) -> threading.Thread:
        thread = threading.Thread(target=self._run, name=next(self._names), daemon=True)
        self._threads.append(thread)
        return thread


def _nobody() -> None:
    """Whom to wake before the start."""


def _work_out(future: Future[Any], work: Callable[[], Any]) -> None:
    if not future.set_running_or_notify_cancel():
        return
    try:
        answer = work()
    except Exception as error:  # noqa: BLE001 - whoever asked gets it, whatever it is
        future.set_exception(error)
    except BaseException as error:  # noqa: BLE001 - an exit or a foreign panic would end the thread of who asked, too
        future.set_exception(RuntimeError(f"{type(error).__name__}: {error}"))
    else:
        future.set_result(answer)
