"""Who is being asked right now. In memory: a restarted server has nobody waiting."""

from __future__ import annotations

import random
import threading
from collections import Counter
from collections.abc import Callable, Collection, Iterator, Sequence
from contextlib import contextmanager
from typing import TypeVar

from clary.domain.endpoints import Instance

Key = TypeVar("Key")
Variant = tuple[str, str]
"""An endpoint's name and a variant's."""


class Flights:
    """Counts requests under way, by instance and by variant. May be used by many threads at once."""

    def __init__(self, draw: Callable[[], float] = random.random) -> None:
        """`draw` gives a number from 0 up to 1: which of several equals is taken."""
        self._draw = draw
        self._lock = threading.Lock()
        self._asked: Counter[str] = Counter()
        self._knocking: Counter[Variant] = Counter()
        self._visiting: Counter[Variant] = Counter()
        self._guests: Counter[str] = Counter()
        self._last: dict[Variant, float] = {}

    def count(self, instance_id: str) -> int:
        """Requests that the instance has not answered yet."""
        return self._asked[instance_id]

    def knocking(self, endpoint: str, variant: str) -> int:
        """Requests that wait for an instance to come up."""
        return self._knocking[endpoint, variant]

    def last_asked(self, endpoint: str, variant: str) -> float | None:
        """When a request for it last came or ended, in seconds since the epoch; None if none has."""
        return self._last.get((endpoint, variant))

    def forget(self, endpoint: str) -> None:
        """Drop what is remembered of an endpoint that was deleted."""
        with self._lock:
            for key in [key for key in self._last if key[0] == endpoint]:
                del self._last[key]

    def board(
        self, instances: Sequence[Instance], *, apart: Collection[str] = (), at_random: bool = False
    ) -> Instance | None:
        """Choose an instance and count a request for it, until `land`.

        The one with the fewest requests under way, or any `at_random`; None if there is none `apart` from these ids.
        """
        with self._lock:
            free = [one for one in instances if one.id not in apart]
            if not free:
                return None
            if not at_random:
                fewest = min(self._asked[one.id] for one in free)
                free = [one for one in free if self._asked[one.id] == fewest]
            chosen = free[int(self._draw() * len(free))] if len(free) > 1 else free[0]
            self._asked[chosen.id] += 1
            return chosen

    def land(self, instance_id: str) -> None:
        with self._lock:
            _take_off(self._asked, instance_id)

    @contextmanager
    def knock(self, endpoint: str, variant: str) -> Iterator[None]:
        """Be counted as waiting for an instance."""
        key = endpoint, variant
        with self._lock:
            self._knocking[key] += 1
        try:
            yield
        finally:
            with self._lock:
                _take_off(self._knocking, key)

    def enter(self, endpoint: str, variant: str, *, now: float, most: int | None = None) -> bool:
        """Count a request for the variant, waiting or under way, until `leave`. False if there are `most` already."""
        key = endpoint, variant
        with self._lock:
            if most is not None and self._visiting[key] >= most:
                return False
            self._visiting[key] += 1
            self._guests[endpoint] += 1
            self._last[key] = now
            return True

    def visiting(self, endpoint: str) -> int:
        """Requests for any of its variants, waiting or under way."""
        return self._guests[endpoint]

    def leave(self, endpoint: str, variant: str, *, now: float) -> None:
        key = endpoint, variant
        with self._lock:
            _take_off(self._visiting, key)
            _take_off(self._guests, endpoint)
            self._last[key] = now


def _take_off(counts: Counter[Key], key: Key) -> None:
    counts[key] -= 1
    if counts[key] <= 0:
        del counts[key]
