"""The front's view of one worker: what it has been given, and until when it may take."""

from __future__ import annotations

import socket
from collections.abc import Callable, Mapping, Sequence

from clary.serving.channel import Channel
from clary.serving.configuration import TIMEOUT
from clary.serving.frames import Frame
from clary.serving.handler import Response
from clary.serving.waiting import Asked

CANCEL_S = 5.0
"""How long a worker may take to see that nobody wants its stream any more."""
LEAST_S = 5.0
"""A worker has so long at least, however little its client still waits: it costs more to replace one."""


class Member:
    """One worker has one batch at a time. `clock` is monotonic; `on_free` is called when it can take the next one."""

    def __init__(
        self,
        sock: socket.socket,
        *,
        timeout_s: float,
        clock: Callable[[], float],
        on_free: Callable[[Member], None],
    ) -> None:
        self.kill: Callable[[], None] = lambda: None
        self.is_ready = False
        self.is_dead = False
        self.is_overdue = False
        self.limit = ""  # that it is over, in words
        self.jobs = 0
        self.born = clock()
        self.failure: Mapping[str, str] | None = None
        self._batch: Sequence[Asked] = ()
        self._deadline = 0.0
        self._is_held_up = False
        self._timeout_s = timeout_s
        self._clock = clock
        self._on_free = on_free
        self._channel = Channel(sock, self._take)

    @property
    def has_read(self) -> bool:
        """Whether it has begun with its last batch, for all one can tell."""
        return not self._channel.is_unread

    @property
    def is_busy(self) -> bool:
        return bool(self._batch)

    def give(self, batch: Sequence[Asked]) -> None:
        self._batch = batch
        self.jobs += 1
        self._deadline = self._due(max(asked.until for asked in batch))
        is_stream = batch[0].streams
        for asked in batch:
            asked.forget = self._cancel if is_stream else _nothing
        requests = [asked.request for asked in batch]
        heads = [[one.content_type, one.accept, dict(one.headers)] for one in requests]
        head = {"do": "stream" if is_stream else "answer", "job": self.jobs, "requests": heads}
        self._channel.send(head, [one.body for one in requests])

    def _due(self, until: float) -> float:
        """When its time is over. `until`: how long somebody waits for it."""
        now = self._clock()
        own = now + self._timeout_s
        self.limit = f"{TIMEOUT}={self._timeout_s:g} s" if own <= until else "the time that its client waits"
        return min(own, max(until, now + LEAST_S))

    def check(self, now: float) -> None:
        """Kills a worker that is over its time; a stream that its client does not take is ended first."""
        if not self._batch or now < self._deadline or self.is_overdue:
            return
        if self._is_held_up and not self._batch[0].is_gone:
            self._batch[0].reply.break_off()
            self._deadline = now + CANCEL_S
            return
        self.is_overdue = True
        self.kill()

    def bury(self) -> Sequence[Asked]:
        """After its death: the requests that it has left unanswered."""
        self.is_dead = True
        self._channel.drain()
        self._channel.close()
        left, self._batch = self._batch, ()
        return left

    def close(self) -> None:
        """The worker ends when it has nothing more to do."""
        self._channel.close()

    def _take(self, frame: Frame) -> None:
        kind = frame.head["do"]
        if kind == "ready":
            self.is_ready = True
            self._free()
        elif frame.head["job"] != self.jobs or not self._batch:
            return
        elif kind == "answers":
            self._answer(frame)
        elif kind == "piece":
            self._pass_on(self._batch[0], frame.bodies[0])
        elif kind == "end":
            asked = self._batch[0]
            if not asked.is_gone:
                asked.reply.end()
            self._free()

    def _answer(self, frame: Frame) -> None:
        for asked, head, body in zip(self._batch, frame.head["responses"], frame.bodies, strict=True):
            if asked.is_gone:
                continue
            if asked.has_begun:
                asked.reply.break_off()
            else:
                status, content_type, headers = head
                asked.reply.answer(Response(body, content_type, status, headers))
        self._free()

    def _pass_on(self, asked: Asked, data: bytes) -> None:
        if asked.is_gone:
            return
        asked.has_begun = True
        asked.reply.piece(data)
        self._deadline = self._due(self._clock() + asked.patience_s)
        if asked.reply.is_slow:
            self._is_held_up = True
            asked.caught_up = self._go_on
            self._channel.pause()

    def _go_on(self) -> None:
        self._is_held_up = False
        if not self.is_dead:
            self._channel.resume()

    def _cancel(self) -> None:
        self._channel.send({"do": "cancel", "job": self.jobs})
        self._deadline = self._clock() + CANCEL_S
        self._go_on()

    def _free(self) -> None:
        for asked in self._batch:
            asked.forget = asked.caught_up = _nothing
        self._batch = ()
        self._go_on()  # the end of a stream may come with the piece that held it up
        if not (
            self.is_dead or self.is_overdue
        ):  # one that is being killed would take the next request along
            self._on_free(self)


def _nothing() -> None:
    pass
