"""The workers of one model, and the requests that wait for them."""

from __future__ import annotations

import asyncio
import socket
import sys
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from math import inf
from typing import Any, Literal

from clary.serving.configuration import QUEUE, TIMEOUT, Configuration
from clary.serving.forker import Death, Forker
from clary.serving.handler import Response
from clary.serving.member import Member
from clary.serving.refusals import refusal, turned_away
from clary.serving.waiting import Asked, Line

MOST_STILLBORN = 3
"""So many workers in a row that die before they are ready end it."""
QUEUED_BYTES = 512 << 20
"""Of bodies that wait, whatever their number; one may wait whatever its length."""
_SHORT_LIFE_S = 1.0
_PAUSE_S = 0.5


@dataclass(frozen=True, slots=True)
class Failure:
    """Why there will be no answers. kind: "missing" (there is no such model) or "model"."""

    kind: str
    message: str
    traceback: str = ""

    def response(self) -> Response:
        if self.kind == "missing":
            return refusal(404, "ModelNotFound", self.message)
        return refusal(500, "ModelLoadFailed", f"the model is not served: {self.message}")


class Pool:
    """Loads its model, keeps `workers` workers alive, and shares out what is asked.

    `order` goes to the loader (see `loader`). `on_change` is called when the model has been loaded, when that or the
    server of it has failed (`failure` says why), and when nothing more is in work.
    """

    def __init__(
        self,
        nursery: Forker,
        configuration: Configuration,
        order: Mapping[str, str],
        *,
        clock: Callable[[], float],
        on_change: Callable[[Pool], None],
    ) -> None:
        self.state: Literal["loading", "serving", "failed", "closed"] = "loading"
        self.failure: Failure | None = None
        self.report: Mapping[str, Any] = {}
        self.has_served = False
        self._nursery = nursery
        self._configuration = configuration
        self._order = order
        self._clock = clock
        self._on_change = on_change
        self._line = Line()
        self._members: list[Member] = []
        self._idle: list[Member] = []
        self._loaders: dict[Member, Forker] = {}
        self._template: Forker | None = None
        self._batch = 1
        self._stillborn = 0
        self._start_loader()

    @property
    def workers(self) -> int:
        """How many are ready."""
        return sum(member.is_ready for member in self._members)

    @property
    def is_idle(self) -> bool:
        return not self._line and not any(member.is_busy for member in self._members)

    def ask(self, asked: Asked) -> None:
        if self.failure is not None:
            asked.reply.answer(self.failure.response())
        elif self._idle or self._has_room(asked):
            self._line.append(asked)
            self._share_out()
        else:
            asked.reply.answer(_queue_full(self._line))

    def _has_room(self, asked: Asked) -> bool:
        if not self._line:
            return self._configuration.queue > 0
        is_light = self._line.bytes + len(asked.request.body) <= QUEUED_BYTES
        return is_light and len(self._line) < self._configuration.queue

    def check(self, now: float) -> None:
        """To be called several times a second: ends what takes too long."""
        for member in list(self._members):
            member.check(now)
        timeout_s = self._configuration.timeout_s
        for asked in self._line.take_late(now, timeout_s):
            waited_s = min(timeout_s, asked.patience_s)
            asked.reply.answer(_waited(waited_s, len(self._line), self.state))

    def close(self) -> None:
        """The workers end when they have done what they are at; whoever still waits is told."""
        self.state = "closed"
        for asked in self._line.take_all():
            asked.reply.answer(turned_away("closed", "Closed", "the model is being unloaded: ask again"))
        for member in self._members:
            member.close()
        for member, forker in self._loaders.items():
            member.close()
            forker.close()

    def _share_out(self) -> None:
        """A worker that is free takes its share of what waits, and no more: the others are free soon."""
        workers = max(1, self.workers)
        while self._idle and self._line:
            share = -(-len(self._line) // workers)
            self._idle.pop().give(self._line.take(min(self._batch, share)))

    def _free(self, member: Member) -> None:
        if self.state not in ("loading", "serving"):
            return
        if not member.jobs:
            self._stillborn = 0
            self.has_served = True
        self._idle.append(member)
        self._share_out()
        if not member.is_busy and self.is_idle:
            self._on_change(self)

    def _start_loader(self) -> None:
        ours, theirs = socket.socketpair()
        control, their_control = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        member = self._member(ours)
        forker = Forker(
            control,
            on_gone=lambda: None,
            on_news=lambda news: self._hear(member, forker, news),
        )
        self._loaders[member] = forker
        child = self._nursery.fork(
            self._order,
            theirs,
            their_control,
            on_death=lambda death: self._loader_died(member, forker, death),
        )
        member.kill = partial(self._nursery.kill, child)

    def _hear(self, member: Member, forker: Forker, news: Mapping[str, Any]) -> None:
        """From a loader: how it went."""
        if news["say"] == "failed":
            member.failure = news
            return
        is_first = self.state == "loading"
        if news["shared"] and is_first:
            self._template = forker
            member.close()
        elif self.state in ("loading", "serving"):
            self._members.append(member)
        if is_first:
            self._loaded(news)

    def _loaded(self, news: Mapping[str, Any]) -> None:
        self.state = "serving"
        self._batch = news["batch"]
        self.report = news["report"]
        for _ in range(self._configuration.workers - len(self._members)):
            self._start_one()
        how = "shared by" if news["shared"] else "once for each of"
        _tell(f"the model is loaded, {how} {self._configuration.workers} worker(s)")
        self._on_change(self)

    def _start_one(self) -> None:
        if self.state != "serving":
            return
        if self._template is None:
            self._start_loader()
            return
        ours, theirs = socket.socketpair()
        member = self._member(ours)
        self._members.append(member)
        child = self._template.fork({}, theirs, on_death=lambda death: self._died(member, death))
        member.kill = partial(self._template.kill, child)

    def _member(self, ours: socket.socket) -> Member:
        return Member(ours, timeout_s=self._configuration.timeout_s, clock=self._clock, on_free=self._free)

    def _loader_died(self, member: Member, forker: Forker, death: Death) -> None:
        forker.drain()
        forker.close()
        self._loaders.pop(member, None)
        if self.state in ("failed", "closed"):
            return
        if forker is self._template:
            self._fail(Failure("model", f"the process that keeps the model for all workers was {death}"))
        elif self.state == "loading":
            self._fail(_load_failure(member, death))
        else:
            self._died(member, death)

    def _died(self, member: Member, death: Death) -> None:
        unanswered = member.bury()
        self._members = [one for one in self._members if one is not member]
        self._idle = [one for one in self._idle if one is not member]
        if self.state != "serving":
            return
        if not member.is_ready:
            self._stillborn += 1
        limit = f"over {member.limit} with a request and was ended"
        _tell(f"a worker was {limit if member.is_overdue else death}; another takes its place")
        self._settle(unanswered, member, death)
        if self._stillborn >= MOST_STILLBORN:
            self._fail(_load_failure(member, death))
        elif member.is_ready and not member.jobs and self._clock() - member.born < _SHORT_LIFE_S:
            asyncio.get_running_loop().call_later(_PAUSE_S, self._start_one)
        else:
            self._start_one()

    def _settle(self, unanswered: Sequence[Asked], member: Member, death: Death) -> None:
        """What a dead worker was at.

        Only handlers that answer the same however often they are asked take batches: so those of a batch are asked
        again, one by one, and only the one that did it fails. A request that was alone is never asked again, unless
        the worker was dead before it had read it.
        """
        still_there = [asked for asked in unanswered if not asked.is_gone]
        if len(unanswered) > 1 or not member.has_read:
            for asked in still_there:
                asked.alone = member.has_read
                asked.since = inf  # it has waited its time
            self._line.put_back(still_there)
            self._share_out()
            return
        for asked in still_there:
            if asked.has_begun:
                asked.reply.break_off()
            elif member.is_overdue:
                asked.reply.answer(_timed_out(min(self._configuration.timeout_s, asked.patience_s)))
            else:
                message = f"the worker that had this request was {death}; it was not tried again"
                asked.reply.answer(refusal(500, "WorkerDied", message))

    def _fail(self, failure: Failure) -> None:
        self.state = "failed"
        self.failure = failure
        for member in self._members:
            member.kill()
            for asked in member.bury():
                if asked.has_begun:
                    asked.reply.break_off()
                elif not asked.is_gone:
                    asked.reply.answer(failure.response())
        self._members, self._idle = [], []
        for asked in self._line.take_all():
            asked.reply.answer(failure.response())
        self._on_change(self)


def _load_failure(member: Member, death: Death) -> Failure:
    if member.failure is not None:
        return Failure(member.failure["kind"], member.failure["message"], member.failure["traceback"])
    return Failure("model", f"the process that loaded the model was {death}")


def _queue_full(line: Line) -> Response:
    message = (
        f"{len(line)} requests of {line.bytes >> 20} MB wait already, as many as {QUEUE} allows (and at most "
        f"{QUEUED_BYTES >> 20} MB): send this one later, or to another instance"
    )
    return turned_away("queue", "QueueFull", message)


def _waited(timeout_s: float, length: int, state: str) -> Response:
    why = "while the model was loaded" if state == "loading" else f"in a queue of {length + 1}"
    message = (
        f"no worker took this request in {timeout_s:g} s ({TIMEOUT}, or what its client waits), {why}; "
        "nothing was done for it"
    )
    return turned_away("queue", "QueueTimeout", message)


def _timed_out(timeout_s: float) -> Response:
    message = (
        f"the model gave no answer in {timeout_s:g} s and its worker was ended; {TIMEOUT}, in the model's Environment, "
        "sets how many seconds it may take"
    )
    return refusal(504, "ModelTimeout", message)


def _tell(line: str) -> None:
    print(f"clary: {line}", file=sys.stderr, flush=True)
