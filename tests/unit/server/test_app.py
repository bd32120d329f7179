"""Between ASGI and the gateway."""

from __future__ import annotations

import asyncio
import os
from pathlib import Path
from typing import Any

import pytest

from clary.server.app import transmit
from clary.server.bodies import PIECE
from clary.wire.http import FileBody, HttpResponse


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
