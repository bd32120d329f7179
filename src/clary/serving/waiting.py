"""Requests that wait for a worker, in the order in which they came."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from math import inf
from typing import Protocol

from clary.serving.handler import Request, Response


class Reply(Protocol):
    """Where an answer goes: `answer`, or `piece` after `piece` and `end`; `break_off` when no end will come."""

    @property
    def is_slow(self) -> bool:
        """Whether the client lags behind with taking pieces; `Asked.caught_up` is called when it no longer does."""
        ...

    def answer(self, response: Response) -> None: ...

    def piece(self, data: bytes) -> None: ...

    def end(self) -> None: ...

    def break_off(self) -> None: ...


@dataclass(slots=True, eq=False)
class Asked:
    """One request on its way. `since` is when it came, in seconds of a monotonic clock.

    patience_s: how long its client waits for the answer, or for each piece of a stream; nobody does after `until`.
    alone: it shares no batch, because one that it was in killed a worker or took too long.
    """

    request: Request
    reply: Reply
    since: float
    streams: bool = False
    alone: bool = False
    patience_s: float = inf
    until: float = field(init=False)
    has_begun: bool = field(default=False)
    """Pieces have gone out: no other answer can."""
    is_gone: bool = False
    forget: Callable[[], None] = field(default=lambda: None)
    """What is to happen when the client goes; whoever holds the request sets it."""
    caught_up: Callable[[], None] = field(default=lambda: None)
    """What is to happen when a client that was slow to take pieces has taken them."""

    def __post_init__(self) -> None:
        self.until = self.since + self.patience_s

    def client_ready(self) -> None:
        self.caught_up()

    def client_gone(self) -> None:
        self.is_gone = True
        self.forget()


class Line:
    """First come, first served. `bytes`: of all bodies that wait."""

    def __init__(self) -> None:
        self.bytes = 0
        self._line: OrderedDict[int, Asked] = OrderedDict()

    def __len__(self) -> int:
        return len(self._line)

    def append(self, asked: Asked) -> None:
        self._line[id(asked)] = asked
        self.bytes += len(asked.request.body)
        asked.forget = lambda: self._remove(asked)

    def put_back(self, again: Iterable[Asked]) -> None:
        """In front of all others, in the order given."""
        for asked in reversed(list(again)):
            self.append(asked)
            self._line.move_to_end(id(asked), last=False)

    def take(self, most: int) -> list[Asked]:
        """What one worker gets at once: up to `most` requests, but one alone where it must be."""
        taken: list[Asked] = []
        while self._line and len(taken) < most:
            asked = next(iter(self._line.values()))
            must_be_alone = asked.alone or asked.streams
            if must_be_alone and taken:
                break
            self._remove(asked)
            taken.append(asked)
            if must_be_alone:
                break
        return taken

    def take_late(self, now: float, longest_s: float) -> list[Asked]:
        """All that have waited for longer, or than their clients wait."""
        late = [one for one in self._line.values() if one.since < now - longest_s or one.until < now]
        for asked in late:
            self._remove(asked)
        return late

    def take_all(self) -> list[Asked]:
        all_of_them = list(self._line.values())
        self._line.clear()
        self.bytes = 0
        return all_of_them

    def _remove(self, asked: Asked) -> None:
        if self._line.pop(id(asked), None) is not None:
            self.bytes -= len(asked.request.body)
