"""Streams of events, read by botocore's own parser, which checks every length and sum."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

import pytest
from botocore.eventstream import EventStream
from botocore.exceptions import EventStreamError
from botocore.parsers import create_parser
from hypothesis import given, settings
from hypothesis import strategies as st

from clary.errors import InternalFailure
from clary.wire.encode import encode
from clary.wire.event_stream import EncodedEvents, encode_event
from clary.wire.route import Route
from tests.unit.wire.botocore_peer import operation_of

OPERATION = operation_of("sagemaker-runtime", "InvokeEndpointWithResponseStream")
STREAM = OPERATION.output_shape.members["Body"]  # type: ignore[union-attr]


class Happening:
    def __init__(self, events: list[Mapping[str, Any]]) -> None:
        self._events = iter(events)
        self.is_closed = False

    def __iter__(self) -> Iterator[Mapping[str, Any]]:
        return self

    def __next__(self) -> Mapping[str, Any]:
        return next(self._events)

    def close(self) -> None:
        self.is_closed = True


class Raw:
    """The body as urllib3 gives it, cut anywhere."""

    def __init__(self, data: bytes, size: int) -> None:
        self._data, self._size = data, size

    def stream(self) -> Iterator[bytes]:
        for place in range(0, len(self._data), self._size):
            yield self._data[place : place + self._size]


def read(data: bytes, size: int = 1000) -> EventStream:
    parser = create_parser("rest-json")._event_stream_parser
    return EventStream(Raw(data, size), STREAM, parser, OPERATION.name)


def encoded(*events: Mapping[str, Any]) -> bytes:
    return b"".join(EncodedEvents(Happening(list(events)), STREAM))


@settings(deadline=None)
@given(pieces=st.lists(st.binary(max_size=200), max_size=5), size=st.integers(1, 300))
def test_botocore_reads_the_pieces_as_they_were(pieces: list[bytes], size: int) -> None:
    data = encoded(*({"PayloadPart": {"Bytes": piece}} for piece in pieces))
    assert [event["PayloadPart"]["Bytes"] for event in read(data, size)] == pieces


def test_a_fault_within_the_stream_is_raised_by_the_client() -> None:
    fault = {"ModelStreamError": {"Message": "it broke: ü", "ErrorCode": "StreamBroken"}}
    events = iter(read(encoded({"PayloadPart": {"Bytes": b"a"}}, fault)))
    assert next(events) == {"PayloadPart": {"Bytes": b"a"}}
    with pytest.raises(EventStreamError, match="it broke: ü") as caught:
        next(events)
    assert caught.value.response["Error"]["Code"] == "ModelStreamError"


def test_headers_travel_outside_the_stream_and_closing_reaches_the_source() -> None:
    happening = Happening([{"PayloadPart": {"Bytes": b"a"}}])
    result = {"Body": happening, "ContentType": "text/plain", "InvokedProductionVariant": "blue"}
    response = encode(Route("sagemaker-runtime", "rest-json", OPERATION), result)
    headers = dict(response.headers)
    assert headers["Content-Type"] == "application/vnd.amazon.eventstream"
    assert headers["X-Amzn-SageMaker-Content-Type"] == "text/plain"
    assert headers["x-Amzn-Invoked-Production-Variant"] == "blue"
    assert "Content-Length" not in headers
    response.body.close()  # type: ignore[union-attr]
    assert happening.is_closed


def test_an_event_the_stream_does_not_have_is_our_mistake() -> None:
    with pytest.raises(InternalFailure, match="no event Other"):
        encode_event("Other", {}, STREAM)
