"""Bodies across the edge between the event loop and the worker threads, in both directions."""

from __future__ import annotations

import asyncio
import os
from collections.abc import AsyncGenerator, Awaitable, Callable, Iterable, MutableMapping
from contextlib import aclosing
from typing import Any

import anyio.from_thread
import anyio.to_thread

from clary.errors import ClientFault
from clary.wire.http import FileBody

Message = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[Message]]

PIECE = 256 * 1024


class IncompleteBody(ClientFault):
    """You did not provide the number of bytes specified by the Content-Length HTTP header."""

    code = "IncompleteBody"


class ReceivedBody:
    """A request's body, pulled from the event loop by the worker thread that reads it."""

    def __init__(self, receive: Receive) -> None:
        self._receive = receive
        self._kept = bytearray()
        self._more = True
        self._begun = False
        self._ended = asyncio.Event()

    @property
    def begun(self) -> bool:
        """True once somebody asked for it: only then is a waiting client told to go on."""
        return self._begun

    @property
    def complete(self) -> bool:
        """True once everything has come in from the client, read or not."""
        return not self._more

    async def drain(self, most: int) -> bool:
        """Take in, and drop, what the client is still sending, up to so many bytes; True if that was all."""
        while self._more and most > 0:
            message = await self._receive()
            if message["type"] == "http.disconnect":
                return False
            most -= len(message.get("body", b""))
            self._more = message.get("more_body", False)
        return not self._more

    def read(self, size: int = -1, /) -> bytes:
        while self._more and (size < 0 or not self._kept):
            self._pull()
        count = len(self._kept) if size < 0 else size
        piece = bytes(self._kept[:count])
        del self._kept[:count]
        return piece

    def _pull(self) -> None:
        self._keep(anyio.from_thread.run(self._next))

    def _keep(self, message: Message) -> None:
        self._begun = True
        if message["type"] == "http.disconnect":
            raise IncompleteBody
        self._kept += message.get("body", b"")
        self._more = message.get("more_body", False)

    async def take(self) -> None:
        """Take in all of it, on the event loop, before anybody reads. Raises IncompleteBody."""
        while self._more:
            self._keep(await self._next())

    async def ended(self) -> None:
        """Until nothing of it is still to come, or its sender has gone."""
        await self._ended.wait()

    async def _next(self) -> Message:
        message = await self._receive()
        if message["type"] == "http.disconnect" or not message.get("more_body", False):
            self._ended.set()
        return message


async def pieces(
    body: FileBody | Iterable[bytes], limiter: anyio.CapacityLimiter | None = None
) -> AsyncGenerator[bytes]:
    """A response's body in pieces; closes what it came from. `limiter`: the threads that may wait for pieces."""
    if isinstance(body, FileBody):
        async with aclosing(_pieces_of_file(body)) as parts:
            async for piece in parts:
                yield piece
    else:
        iterator = iter(body)
        try:
            while piece := await anyio.to_thread.run_sync(lambda: next(iterator, b""), limiter=limiter):
                yield piece
        finally:
            discard(body)


def discard(body: bytes | FileBody | Iterable[bytes]) -> None:
    """Let go of a body that nobody will read, or read further."""
    if isinstance(body, FileBody):
        os.close(body.fd)
    elif not isinstance(body, bytes) and (close := getattr(body, "close", None)):
        close()


async def _pieces_of_file(body: FileBody) -> AsyncGenerator[bytes]:
    try:
        offset, left = body.offset, body.length
        while left > 0:
            piece = await anyio.to_thread.run_sync(os.pread, body.fd, min(PIECE, left), offset)
            if not piece:
                raise OSError(f"a stored object ends {left} bytes early")
            offset, left = offset + len(piece), left - len(piece)
            yield piece
    finally:
        os.close(body.fd)
