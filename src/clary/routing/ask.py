"""What is asked of an endpoint, what comes back, and why nothing does."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Literal

from clary.wire.http import Hangup

REFUSED = "x-clary-refused"
"""A header with which an instance says that it did not begin the request, and why."""

WhyNot = Literal[
    "timeout", "died", "refused", "throttled", "not ready", "no variant", "too large", "gone", "left"
]


@dataclass(frozen=True, slots=True)
class Ask:
    """One invocation.

    headers       those that go to the model's server
    variant       the one asked for; None lets the weights decide
    timeout_s     how long the model's server may take to answer
    stream        the answer is wanted piece by piece
    asynchronous  from the queue of an asynchronous endpoint: nothing is captured, and an answer may be larger
    hangup        tells that the client has gone
    came          `time.perf_counter()` when the request came in; None: when `invoke` was called
    """

    body: bytes
    headers: Mapping[str, str]
    variant: str | None
    timeout_s: float
    stream: bool = False
    asynchronous: bool = False
    hangup: Hangup | None = None
    came: float | None = None


@dataclass(frozen=True, slots=True)
class Answer:
    """What the model's server said, errors too. Header names are lower case.

    A body that is an iterator must be used up or closed (`close()`): it holds a connection until then. It raises
    NoAnswer when the rest of it does not come.
    """

    status: int
    headers: Mapping[str, str]
    body: bytes | Iterator[bytes]
    variant: str
    instance: str


class NoAnswer(Exception):
    """No model's server answered.

    timeout      it was asked, and did not answer in time
    died         it was asked, and its connection ended, or what came was no HTTP
    refused      none could be asked
    throttled    a serverless variant answers as many requests as it may
    not ready    a serverless variant, or one scaled to zero, did not start in time
    no variant   the endpoint has none of the name asked for
    too large    the answer is larger than answers may be
    gone         the endpoint was deleted or failed while the request waited
    left         the client hung up
    """

    def __init__(self, kind: WhyNot, message: str, *, variant: str = "", instance: str = "") -> None:
        super().__init__(message)
        self.kind = kind
        self.message = message
        self.variant = variant
        self.instance = instance
