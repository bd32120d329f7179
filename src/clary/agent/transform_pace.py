"""How a transform job asks its model: the request's word counts first, then the container's, then the default. Pure."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from clary.agent.contract import Transform
from clary.agent.transform_join import format_of

MIB = 1 << 20
DEFAULT_MIB = 6
MOST_MIB = 100
"""Of all requests together that are on their way at one time."""


@dataclass(frozen=True, slots=True)
class Pace:
    """`limit` is in bytes; 0: each object is one stream of any length. `single`: a record in each request."""

    concurrent: int
    limit: int
    single: bool

    def __str__(self) -> str:
        together = f"{self.concurrent} request{'s' * (self.concurrent != 1)} at a time"
        if not self.limit:
            return f"{together}, each a stream of a whole object"
        kind = "one record" if self.single else "as many records as fit into"
        return f"{together}, each {kind}{' of at most' * self.single} {self.limit / MIB:g} MB"


def settle(transform: Transform, container: Mapping[str, Any]) -> Pace:
    """`container` is its answer to GET /execution-parameters; what makes no sense in it counts as not said."""
    mib, concurrent = transform.max_payload_mib, transform.max_concurrent
    wanted_mib = _whole(container.get("MaxPayloadInMB"), most=MOST_MIB)
    wanted_concurrent = _whole(container.get("MaxConcurrentTransforms"), most=MOST_MIB) or 1
    if mib is None:
        streams = wanted_mib == 0 and may_stream(transform)
        # what the container can do at most, of both, may be more than goes together
        most = max(1, MOST_MIB // (concurrent or wanted_concurrent))
        mib = 0 if streams else min(wanted_mib or DEFAULT_MIB, most)
    concurrent = concurrent or min(wanted_concurrent, MOST_MIB // max(mib, 1))
    return Pace(concurrent, mib * MIB, _is_single(transform, container.get("BatchStrategy")))


def may_stream(transform: Transform) -> bool:
    """Whether nothing that is asked for needs a look into the objects."""
    filters = (transform.input_filter, transform.output_filter)
    return transform.split == "None" and transform.join == "None" and filters == ("$", "$")


def _is_single(transform: Transform, wanted: object) -> bool:
    if transform.split == "None":
        return True
    if transform.strategy is None and wanted not in ("SINGLE_RECORD", "MULTI_RECORD"):
        # several documents in one body are no document
        return format_of(transform.content_type) == "json"
    return transform.strategy == "SingleRecord" or (transform.strategy is None and wanted == "SINGLE_RECORD")


def _whole(value: object, *, most: int) -> int | None:
    if isinstance(value, str) and value.isdecimal():
        value = int(value)
    if isinstance(value, bool) or not isinstance(value, int) or not 0 <= value <= most:
        return None
    return value
