"""Between ASGI and the gateway."""

from __future__ import annotations

import asyncio
import os
import threading
import time
from pathlib import Path
from typing import Any

import pytest

from clary.server import app
from clary.server.app import transmit
from clary.server.bodies import PIECE
from clary.wire.http import FileBody, Hangup, HttpRequest, HttpResponse


def is_open(descriptor: int) -> bool:
    try:
        os.fstat(descriptor)
    except OSError:
        return False
    return True


@pytest.mark.parametrize("goes_after", [1, None])
def test_a_file_is_read_for_as_long_as_somebody_listens(tmp_path: Path, goes_after: int | None) -> None:
    path = tmp_path / "large"
    path.write_bytes(b"x" * (50 * PIECE))
    descriptor = os.open(path, os.O_RDONLY)

    async def scene() -> list[bytes]:
        gone = asyncio.Event()
        sent: list[bytes] = []

        async def receive() -> dict[str, Any]:
            await gone.wait()
            return {"type": "http.disconnect"}

        async def send(message: Any) -> None:
            sent.append(message.get("body", b""))
            if len(sent) - 1 == goes_after:
                gone.set()
            await asyncio.sleep(0)

        response = HttpResponse(200, [], FileBody(descriptor, 0, 50 * PIECE, path))
        await transmit(response, receive, send, head=False)
        return sent

    sent = asyncio.run(scene())
    assert not is_open(descriptor)
    if goes_after is None:
        assert b"".join(sent) == path.read_bytes()
    else:
        assert len(sent) < 10


class Stage:
    """An ASGI server's side of one request."""

    def __init__(self, path: str, body: bytes = b"", *, length: int | None = None) -> None:
        self.gone = asyncio.Event()
        self.sent: list[dict[str, Any]] = []
        self.asked = 0
        self._parts = [{"type": "http.request", "body": body}]
        said = len(body) if length is None else length
        self.scope = {
            "method": "POST",
            "raw_path": path.encode(),
            "query_string": b"",
            "headers": [(b"content-length", str(said).encode())],
            "scheme": "http",
        }

    async def receive(self) -> dict[str, Any]:
        self.asked += 1
        if self._parts:
            return self._parts.pop(0)
        await self.gone.wait()
        return {"type": "http.disconnect"}

    async def send(self, message: Any) -> None:
        self.sent.append(message)

    @property
    def status(self) -> int:
        return int(self.sent[0]["status"])


class Waiting:
    """A gateway whose invocations wait until they are let go, or their client has gone."""

    def __init__(self) -> None:
        self.free = threading.Event()
        self.bodies: list[bytes] = []

    def answer(self, request: HttpRequest) -> HttpResponse:
        if request.path.startswith("/endpoints/"):
            self.bodies.append(request.body.read())
            left = threading.Event()
            request.hangup.tell(left.set)
            while not (self.free.is_set() or left.is_set()):
                time.sleep(0.005)
        return HttpResponse(204)


def test_invocations_wait_on_threads_of_their_own(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(app, "INVOCATIONS", 3)
    gateway = Waiting()
    edge = app.Edge(gateway)  # type: ignore[arg-type]

    async def scene() -> None:
        waiting = [Stage("/endpoints/e/invocations", b"x") for _ in range(3)]
        tasks = [asyncio.create_task(edge(one.scope, one.receive, one.send)) for one in waiting]  # type: ignore[arg-type]
        while len(gateway.bodies) < 3:
            await asyncio.sleep(0.01)
        beyond, other = Stage("/endpoints/e/invocations", b"x"), Stage("/bucket/endpoints/e/invocations")
        await edge(beyond.scope, beyond.receive, beyond.send)  # type: ignore[arg-type]
        assert beyond.status == 503
        assert b"ServiceUnavailable" in beyond.sent[1]["body"]
        await edge(other.scope, other.receive, other.send)  # type: ignore[arg-type]
        assert other.status == 204
        waiting[0].gone.set()
        await tasks[0]
        again = Stage("/endpoints/e/invocations", b"again")
        tasks[0] = asyncio.create_task(edge(again.scope, again.receive, again.send))  # type: ignore[arg-type]
        while len(gateway.bodies) < 4:
            await asyncio.sleep(0.01)
        gateway.free.set()
        await asyncio.gather(*tasks)
        assert [one.status for one in (*waiting[1:], again)] == [204, 204, 204]

    asyncio.run(asyncio.wait_for(scene(), 60))


def test_none_waits_for_a_thread_that_came_in_when_there_were_some(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(app, "INVOCATIONS", 3)
    gateway = Waiting()
    edge = app.Edge(gateway)  # type: ignore[arg-type]

    async def scene() -> None:
        stages = [Stage("/endpoints/e/invocations", b"x") for _ in range(8)]
        tasks = [asyncio.create_task(edge(one.scope, one.receive, one.send)) for one in stages]  # type: ignore[arg-type]
        while len(gateway.bodies) < 3 or sum(bool(one.sent) for one in stages) < 5:
            await asyncio.sleep(0.01)
        gateway.free.set()
        await asyncio.gather(*tasks)
        assert sorted(one.status for one in stages) == [204] * 3 + [503] * 5

    asyncio.run(asyncio.wait_for(scene(), 20))


def test_a_client_that_goes_within_its_request_takes_no_thread() -> None:
    gateway = Waiting()
    edge = app.Edge(gateway)  # type: ignore[arg-type]

    async def scene() -> None:
        stage = Stage("/endpoints/e/invocations", b"half", length=8)
        stage._parts = [{"type": "http.request", "body": b"half", "more_body": True}]
        stage.gone.set()
        await edge(stage.scope, stage.receive, stage.send)  # type: ignore[arg-type]
        assert stage.sent == []

    asyncio.run(asyncio.wait_for(scene(), 60))
    assert gateway.bodies == []


def test_what_is_sent_in_pieces_is_closed_when_the_client_goes() -> None:
    class Endless:
        def __init__(self, hangup: Hangup) -> None:
            self.closed = 0
            self._left = threading.Event()
            hangup.tell(self._left.set)

        def __iter__(self) -> Endless:
            return self

        def __next__(self) -> bytes:
            if self._left.wait(0.005):
                raise StopIteration
            return b"x"

        def close(self) -> None:
            self.closed += 1

    async def scene() -> Endless:
        hangup = Hangup()
        stage, body = Stage("/endpoints/e/invocations-response-stream"), Endless(hangup)
        stage._parts = []
        response = HttpResponse(200, [], body)
        task = asyncio.create_task(
            transmit(response, stage.receive, stage.send, head=False, hangup=hangup)  # type: ignore[arg-type]
        )
        while len(stage.sent) < 5:
            await asyncio.sleep(0.01)
        stage.gone.set()
        await task
        return body

    assert asyncio.run(asyncio.wait_for(scene(), 60)).closed == 1
