"""The request's word counts first, then the container's, then the default."""

from __future__ import annotations

from typing import Any

import pytest

from clary.agent.contract import Transform
from clary.agent.transform_pace import MIB, Pace, settle

CONTAINER = {"MaxConcurrentTransforms": 4, "BatchStrategy": "MULTI_RECORD", "MaxPayloadInMB": 2}


def wanted(**changes: Any) -> Transform:
    return Transform("s3://in", "s3://out", **{"split": "Line", **changes})


@pytest.mark.parametrize(
    ("transform", "container", "pace"),
    [
        (wanted(), {}, Pace(1, 6 * MIB, False)),
        (wanted(), CONTAINER, Pace(4, 2 * MIB, False)),
        (wanted(max_concurrent=0), CONTAINER, Pace(4, 2 * MIB, False)),
        (wanted(max_concurrent=2, max_payload_mib=1, strategy="SingleRecord"), CONTAINER, Pace(2, MIB, True)),
        (wanted(max_payload_mib=100), CONTAINER, Pace(1, 100 * MIB, False)),
        (wanted(), {"MaxConcurrentTransforms": 8, "MaxPayloadInMB": 100}, Pace(8, 12 * MIB, False)),
        (wanted(max_concurrent=50), {"MaxPayloadInMB": 100}, Pace(50, 2 * MIB, False)),
        (wanted(), {"MaxConcurrentTransforms": 100}, Pace(100, MIB, False)),
        (wanted(max_payload_mib=30), {"MaxConcurrentTransforms": 50}, Pace(3, 30 * MIB, False)),
        (wanted(), {"BatchStrategy": "SINGLE_RECORD"}, Pace(1, 6 * MIB, True)),
        (wanted(split="None"), CONTAINER, Pace(4, 2 * MIB, True)),
        (wanted(split="None", max_payload_mib=0), {}, Pace(1, 0, True)),
        (wanted(split="None"), {"MaxPayloadInMB": 0}, Pace(1, 0, True)),
        (wanted(), {"MaxPayloadInMB": 0}, Pace(1, 6 * MIB, False)),
        (wanted(split="None", join="Input"), {"MaxPayloadInMB": 0}, Pace(1, 6 * MIB, True)),
        (wanted(content_type="application/json; charset=utf-8"), {}, Pace(1, 6 * MIB, True)),
        (wanted(content_type="application/json"), CONTAINER, Pace(4, 2 * MIB, False)),
        (wanted(content_type="application/json", strategy="MultiRecord"), {}, Pace(1, 6 * MIB, False)),
        (wanted(), {"MaxPayloadInMB": "3", "MaxConcurrentTransforms": -1}, Pace(1, 3 * MIB, False)),
        (wanted(), {"MaxPayloadInMB": 1e9, "MaxConcurrentTransforms": True}, Pace(1, 6 * MIB, False)),
    ],
)
def test_pace(transform: Transform, container: dict[str, Any], pace: Pace) -> None:
    assert settle(transform, container) == pace


def test_it_is_told_in_words() -> None:
    assert str(Pace(1, 6 * MIB, True)) == "1 request at a time, each one record of at most 6 MB"
    assert str(Pace(2, MIB, False)) == "2 requests at a time, each as many records as fit into 1 MB"
    assert str(Pace(1, 0, True)) == "1 request at a time, each a stream of a whole object"
