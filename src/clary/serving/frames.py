"""Messages between the processes of a model server: a JSON head and bodies of bytes, with their lengths before them.

4 bytes    length of the head
8 bytes    length of all bodies together
head       JSON, an object; "sizes" are the lengths of the bodies
bodies     one after another
"""

from __future__ import annotations

import json
import socket
import struct
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

_LENGTHS = struct.Struct("!IQ")


@dataclass(frozen=True, slots=True)
class Frame:
    head: Mapping[str, Any]
    bodies: Sequence[bytes]


def encode(head: Mapping[str, Any], bodies: Sequence[bytes] = ()) -> bytes:
    sizes = [len(body) for body in bodies]
    text = json.dumps({**head, "sizes": sizes}, separators=(",", ":")).encode()
    return b"".join([_LENGTHS.pack(len(text), sum(sizes)), text, *bodies])


def receive(channel: socket.socket) -> Frame | None:
    """The next message of a blocking socket; None when the other side has closed it."""
    lengths = _exactly(channel, _LENGTHS.size)
    if lengths is None:
        return None
    head_length, bodies_length = _LENGTHS.unpack(lengths)
    rest = _exactly(channel, head_length + bodies_length)
    return None if rest is None else _frame(rest, head_length)


def _exactly(channel: socket.socket, length: int) -> memoryview | None:
    data = memoryview(bytearray(length))
    done = 0
    while done < length:
        try:
            count = channel.recv_into(data[done:])
        except ConnectionResetError:
            return None
        if not count:
            return None
        done += count
    return data


class Decoder:
    """Makes messages of what comes in pieces."""

    def __init__(self) -> None:
        self._buffer = bytearray()

    def feed(self, data: bytes) -> list[Frame]:
        """The messages that `data` completes."""
        self._buffer += data
        frames = []
        while (frame := self._next()) is not None:
            frames.append(frame)
        return frames

    def _next(self) -> Frame | None:
        buffer = self._buffer
        if len(buffer) < _LENGTHS.size:
            return None
        head_length, bodies_length = _LENGTHS.unpack_from(buffer)
        end = _LENGTHS.size + head_length + bodies_length
        if len(buffer) < end:
            return None
        with memoryview(buffer) as whole:
            frame = _frame(whole[_LENGTHS.size : end], head_length)
        del buffer[:end]
        return frame


def _frame(data: memoryview, head_length: int) -> Frame:
    with data:
        head = json.loads(bytes(data[:head_length]))
        bodies, start = [], head_length
        for size in head["sizes"]:
            bodies.append(bytes(data[start : start + size]))
            start += size
    return Frame(head, bodies)
