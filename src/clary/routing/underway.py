"""Requests under way, so that a server that ends can tell them to."""

from __future__ import annotations

import threading
from collections.abc import Callable


class Underway:
    """What to call of each to make it give up. May be used by many threads at once."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._give_up: set[Callable[[], None]] = set()
        self._is_ending = False

    @property
    def is_ending(self) -> bool:
        return self._is_ending

    def add(self, give_up: Callable[[], None]) -> None:
        """`give_up` is called at once when the end has come already. It must not block."""
        with self._lock:
            if not self._is_ending:
                self._give_up.add(give_up)
                return
        give_up()

    def remove(self, give_up: Callable[[], None]) -> None:
        with self._lock:
            self._give_up.discard(give_up)

    def end(self) -> None:
        """All give up, those that come later too."""
        with self._lock:
            self._is_ending = True
            told, self._give_up = self._give_up, set()
        for give_up in told:
            give_up()
