"""The front's view of a worker, with a socket in the worker's place."""

from __future__ import annotations

import asyncio
import socket
from collections.abc import Callable
from typing import Any

import pytest

from clary.serving.frames import encode, receive
from clary.serving.handler import Request, Response
from clary.serving.member import LEAST_S, Member
from clary.serving.waiting import Asked


class Told:
    """A `Reply` that keeps what it is told."""

    def __init__(self, *, is_slow: bool = False) -> None:
        self.is_slow = is_slow
        self.answers: list[bytes] = []
        self.pieces: list[bytes] = []
        self.has_ended = False

    def answer(self, response: Response) -> None:
        self.answers.append(response.body)

    def piece(self, data: bytes) -> None:
        self.pieces.append(data)

    def end(self) -> None:
        self.has_ended = True

    def break_off(self) -> None:
        raise AssertionError("nothing was to be broken off")


class Stage:
    """A member; `worker` is the other end of its socket, `now` what its clock shows."""

    def __init__(self, timeout_s: float = 10.0) -> None:
        ours, self.worker = socket.socketpair()
        self.now = 0.0
        self.free: list[Member] = []
        self.kills = 0
        self.member = Member(ours, timeout_s=timeout_s, clock=lambda: self.now, on_free=self.free.append)
        self.member.kill = self._kill

    def _kill(self) -> None:
        self.kills += 1

    def give(self, reply: Told, **changes: Any) -> Asked:
        asked = Asked(Request(b"hello", "", "", {}), reply, self.now, **changes)
        self.member.give([asked])
        assert receive(self.worker) is not None
        return asked

    def says(self, *frames: bytes) -> None:
        self.worker.sendall(b"".join(frames))


def answers(job: int, body: bytes) -> bytes:
    return encode({"do": "answers", "job": job, "responses": [[200, "text/plain", {}]]}, [body])


def staged(play: Callable[[Stage], Any]) -> None:
    async def run() -> None:
        stage = Stage()
        try:
            await play(stage)
        finally:
            stage.member.close()
            stage.worker.close()

    asyncio.run(run())


async def until(is_so: Callable[[], Any]) -> None:
    for _ in range(500):
        if is_so():
            return
        await asyncio.sleep(0.002)
    raise AssertionError("it never came to that")


def test_a_stream_that_ends_while_its_client_is_slow_does_not_hold_up_the_next_request() -> None:
    async def play(stage: Stage) -> None:
        stage.says(encode({"do": "ready"}))
        await until(lambda: stage.free)
        slow, next_one = Told(is_slow=True), Told()
        stage.give(slow, streams=True)
        stage.says(encode({"do": "piece", "job": 1}, [b"a"]), encode({"do": "end", "job": 1}))
        await until(lambda: slow.has_ended)
        stage.give(next_one)
        stage.says(answers(2, b"b"))
        await until(lambda: next_one.answers == [b"b"])
        stage.now = 9.0
        stage.member.check(stage.now)
        assert stage.kills == 0

    staged(play)


@pytest.mark.parametrize(
    ("patience_s", "waits"),
    [(8.0, 8.0), (1.0, LEAST_S), (30.0, 10.0)],
)
def test_a_worker_has_the_time_that_its_client_waits(patience_s: float, waits: float) -> None:
    async def play(stage: Stage) -> None:
        stage.give(Told(), patience_s=patience_s)
        stage.member.check(waits - 0.1)
        assert stage.kills == 0
        stage.member.check(waits + 0.1)
        assert stage.kills == 1

    staged(play)


def test_a_batch_has_the_time_of_the_one_that_waits_longest() -> None:
    async def play(stage: Stage) -> None:
        batch = [Asked(Request(b"", "", "", {}), Told(), 0.0, patience_s=seconds) for seconds in (6.0, 8.0)]
        stage.member.give(batch)
        stage.member.check(7.9)
        assert stage.kills == 0
        stage.member.check(8.1)
        assert stage.kills == 1

    staged(play)


def test_a_stream_has_it_for_each_piece() -> None:
    async def play(stage: Stage) -> None:
        told = Told()
        stage.give(told, streams=True, patience_s=8.0)
        stage.now = 7.0
        stage.says(encode({"do": "piece", "job": 1}, [b"a"]))
        await until(lambda: told.pieces)
        stage.member.check(14.9)
        assert stage.kills == 0
        stage.member.check(15.1)
        assert stage.kills == 1

    staged(play)


def test_one_that_is_to_be_killed_gets_nothing_more_to_do() -> None:
    async def play(stage: Stage) -> None:
        stage.says(encode({"do": "ready"}))
        await until(lambda: stage.free)
        late = Told()
        stage.give(late)
        stage.now = 11.0
        stage.member.check(stage.now)
        assert stage.kills == 1
        stage.says(answers(1, b"at the last moment"))
        await until(lambda: late.answers)
        assert late.answers == [b"at the last moment"]
        assert len(stage.free) == 1

    staged(play)
