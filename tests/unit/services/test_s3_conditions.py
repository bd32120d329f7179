"""Conditional requests."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

import pytest

from clary.errors import S3Fault
from clary.objects.base import Meta, NoSuchKey, Object, Segment, unconditional
from clary.services.s3_conditions import check_copy_source, is_unmodified, write_condition

FOUND = Object("b", "k", 1, "abc", 1000.7, Meta(), (Segment("x", 1),))


@pytest.mark.parametrize(
    "request_",
    [
        {},
        {"IfMatch": '"abc"'},
        {"IfMatch": "abc"},
        {"IfMatch": '"x", W/"abc"'},
        {"IfMatch": "*"},
        {"IfUnmodifiedSince": 1000.0},
        {"IfUnmodifiedSince": datetime.fromtimestamp(1000, UTC)},
        {"IfMatch": '"abc"', "IfUnmodifiedSince": 10.0},
        {"IfNoneMatch": '"x"'},
        {"IfModifiedSince": 999.0},
        {"IfNoneMatch": '"x"', "IfModifiedSince": 2000.0},
    ],
)
def test_the_object_is_sent(request_: dict[str, Any]) -> None:
    assert is_unmodified(request_, FOUND) is False


@pytest.mark.parametrize(
    "request_",
    [
        {"IfNoneMatch": '"abc"'},
        {"IfNoneMatch": "*"},
        {"IfModifiedSince": 1000.0},
        {"IfMatch": "*", "IfNoneMatch": "abc"},
    ],
)
def test_nothing_new(request_: dict[str, Any]) -> None:
    assert is_unmodified(request_, FOUND) is True


@pytest.mark.parametrize(
    ("request_", "header"),
    [({"IfMatch": '"x"'}, "If-Match"), ({"IfUnmodifiedSince": 999.0}, "If-Unmodified-Since")],
)
def test_refused(request_: dict[str, Any], header: str) -> None:
    with pytest.raises(S3Fault) as caught:
        is_unmodified(request_, FOUND)
    assert (caught.value.code, caught.value.status) == ("PreconditionFailed", 412)
    assert caught.value.extra == {"Condition": header}


def test_the_source_of_a_copy() -> None:
    check_copy_source({"CopySourceIfMatch": "abc", "CopySourceIfModifiedSince": 1.0}, FOUND)
    for request in (
        {"CopySourceIfNoneMatch": "abc"},
        {"CopySourceIfMatch": "x"},
        {"CopySourceIfModifiedSince": 2000.0},
    ):
        with pytest.raises(S3Fault) as caught:
            check_copy_source(request, FOUND)
        assert caught.value.status == 412


def test_conditions_of_a_write() -> None:
    assert write_condition({}) is unconditional
    write_condition({"IfNoneMatch": "*"})(None)
    write_condition({"IfMatch": '"abc"'})(FOUND)
    for request, current in (({"IfNoneMatch": "*"}, FOUND), ({"IfMatch": "x"}, FOUND)):
        with pytest.raises(S3Fault) as caught:
            write_condition(request)(current)
        assert caught.value.status == 412
    with pytest.raises(NoSuchKey):
        write_condition({"IfMatch": "abc", "Key": "k"})(None)
    with pytest.raises(S3Fault) as caught:
        write_condition({"IfNoneMatch": '"abc"'})
    assert caught.value.code == "NotImplemented"
