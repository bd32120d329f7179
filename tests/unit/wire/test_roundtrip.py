"""What botocore writes we read as it was meant, and what we write botocore reads as it was meant."""

from __future__ import annotations

import importlib
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from clary.server.wiring import SERVICES
from clary.services.operations import OPERATIONS
from clary.wire.decode import decode
from clary.wire.encode import encode
from clary.wire.route import Route, route, settle
from tests.unit.wire.botocore_peer import CASES, operation_of, plain, received, sent, values

_quick = settings(max_examples=15, deadline=None, suppress_health_check=list(HealthCheck))


@pytest.mark.parametrize(("service", "name", "protocol"), CASES)
@_quick
@given(data=st.data())
def test_decode_gives_what_botocore_was_given(
    data: st.DataObject, service: str, name: str, protocol: str
) -> None:
    operation = operation_of(service, name)
    shape = operation.input_shape
    params: dict[str, Any] = {} if shape is None else data.draw(values(shape))

    request = sent(operation, params, protocol)
    found, request = settle(route(request), request)

    assert (found.service, found.protocol) == (service, protocol)
    assert found.operation is not None
    assert found.operation.name == name
    got = decode(request, found)
    for member, value in got.items():
        if hasattr(value, "read"):
            got[member] = value.read()
    assert comparable(got, protocol) == comparable(params, protocol)


# a stream of events has tests of its own
WHOLE = [case for case in CASES if not operation_of(case[0], case[1]).has_event_stream_output]


@pytest.mark.parametrize(("service", "name", "protocol"), WHOLE)
@_quick
@given(data=st.data())
def test_botocore_parses_what_encode_was_given(
    data: st.DataObject, service: str, name: str, protocol: str
) -> None:
    operation = operation_of(service, name)
    shape = operation.output_shape
    result: dict[str, Any] = {} if shape is None else data.draw(values(shape))

    response = encode(Route(service, protocol, operation), plain(result), request_id="r-1")  # type: ignore[arg-type]

    got = received(operation, response, protocol)
    assert got.pop("ResponseMetadata")["HTTPStatusCode"] == response.status
    assert comparable(got, protocol) == comparable(result, protocol)


def test_no_operation_is_offered_without_these_round_trips() -> None:
    for name in SERVICES:
        importlib.import_module(f"clary.services.{name}")

    assert OPERATIONS
    assert OPERATIONS.keys() <= {(service, name) for service, name, _ in CASES}


def comparable(value: dict[str, Any], protocol: str) -> dict[str, Any]:
    """No payload and an empty payload are the same bytes; only JSON can tell empty from absent."""
    if "xml" in protocol or protocol == "query":
        value = plain(value, lossy=True)
    return {
        name: item
        for name, item in plain(value).items()
        if name != "ContentLength" and item not in (b"", None)
    }
