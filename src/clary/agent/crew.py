"""A few threads that work off one list."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterable, Iterator
from typing import Generic, TypeVar

T = TypeVar("T")


def work_off(
    items: Iterable[T], each: Callable[[T], None], *, threads: int, leave: Callable[[], None]
) -> None:
    """Calls `each` with every item, the caller's thread helping; the first to fail ends the work of all.

    `leave` is called by every other thread as it ends. Raises what `each` raised first.
    """
    _Crew(iter(items), each, leave).work(threads)


class _Crew(Generic[T]):
    def __init__(self, waiting: Iterator[T], each: Callable[[T], None], leave: Callable[[], None]) -> None:
        self._waiting = waiting
        self._each = each
        self._leave = leave
        self._lock = threading.Lock()
        self._fault: BaseException | None = None

    def work(self, threads: int) -> None:
        others = [threading.Thread(target=self._help, daemon=True) for _ in range(threads - 1)]
        for thread in others:
            thread.start()
        self._work_off()
        for thread in others:
            thread.join()
        if self._fault:
            raise self._fault

    def _help(self) -> None:
        self._work_off()
        self._leave()

    def _work_off(self) -> None:
        while (item := self._next()) is not None:
            try:
                self._each(item)
            except Exception as fault:  # noqa: BLE001 - raised again by `work`
                self._fault = self._fault or fault

    def _next(self) -> T | None:
        with self._lock:
            return None if self._fault else next(self._waiting, None)
