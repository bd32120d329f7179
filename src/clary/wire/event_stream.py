"""Answers that come as events: application/vnd.amazon.eventstream.

A message is

    length of all, length of headers, CRC-32 of these 8 bytes      4 bytes each, big endian
    headers     each: 1 byte length of name, name, 1 byte type (7: string), 2 bytes length of value, value
    payload
    CRC-32 of all before it                                        4 bytes
"""

from __future__ import annotations

import struct
from collections.abc import Iterator, Mapping
from typing import Any, Protocol
from zlib import crc32

from botocore.model import StructureShape

from clary.errors import InternalFailure
from clary.wire.encode_json import dump_json, structure_data

MEDIA_TYPE = "application/vnd.amazon.eventstream"

_STRING = 7
_PRELUDE = struct.Struct(">II")
_CRC = struct.Struct(">I")


class Events(Protocol):
    """What happens, one after the other, each as {name of the event: its members}. Closed by who sends it."""

    def __iter__(self) -> Iterator[Mapping[str, Any]]: ...
    def __next__(self) -> Mapping[str, Any]: ...
    def close(self) -> None: ...


class EncodedEvents:
    """Events as the bytes of their messages. `shape` is the stream's, a union of its events."""

    def __init__(self, events: Events, shape: StructureShape) -> None:
        self._events = events
        self._shape = shape

    def __iter__(self) -> Iterator[bytes]:
        return self

    def __next__(self) -> bytes:
        ((name, members),) = next(self._events).items()
        return encode_event(name, members, self._shape)

    def close(self) -> None:
        self._events.close()


def encode_event(name: str, members: Mapping[str, Any], stream: StructureShape) -> bytes:
    """The message of an event or, where its shape is one, of an exception. Raises InternalFailure for other names."""
    shape = stream.members.get(name)
    if not isinstance(shape, StructureShape):
        raise InternalFailure(f"{stream.name} has no event {name}")
    if shape.metadata.get("exception"):
        kind = {":message-type": "exception", ":exception-type": name, ":content-type": "application/json"}
        return message(kind, dump_json(structure_data(members, shape)))
    kind = {":message-type": "event", ":event-type": name}
    blob = next((key for key, part in shape.members.items() if part.serialization.get("eventpayload")), None)
    if blob is not None:
        return message({**kind, ":content-type": "application/octet-stream"}, members[blob])
    return message({**kind, ":content-type": "application/json"}, dump_json(structure_data(members, shape)))


def message(headers: Mapping[str, str], payload: bytes) -> bytes:
    """One message whose headers are all strings."""
    head = b"".join(_header(name.encode(), value.encode()) for name, value in headers.items())
    prelude = _PRELUDE.pack(len(head) + len(payload) + 16, len(head))
    begun = prelude + _CRC.pack(crc32(prelude)) + head + payload
    return begun + _CRC.pack(crc32(begun))


def _header(name: bytes, value: bytes) -> bytes:
    return struct.pack(">B", len(name)) + name + struct.pack(">BH", _STRING, len(value)) + value
