"""What answers: a model, with everything between a request's bytes and a response's. The HTTP side sees only this."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Protocol


@dataclass(frozen=True, slots=True)
class Request:
    """One invocation. `content_type` and `accept` as sent, "" where they were not; `headers` have lower-case names."""

    body: bytes
    content_type: str
    accept: str
    headers: Mapping[str, str]


@dataclass(frozen=True, slots=True)
class Response:
    """Its answer. An error is a JSON body {"code": status, "type": ..., "message": ...}."""

    body: bytes
    content_type: str
    status: int = 200
    headers: Mapping[str, str] = field(default_factory=dict)


class Handler(Protocol):
    """A loaded model.

    shared: loaded once, workers are forked from the process that loaded it; otherwise each worker loads for itself.
    batch: how many waiting requests one call may take (1: batching does not win).
    report: what /ping says of it: "way", "precision", "device", "task" and more.
    """

    @property
    def shared(self) -> bool: ...

    @property
    def batch(self) -> int: ...

    @property
    def report(self) -> Mapping[str, Any]: ...

    def answer(self, requests: Sequence[Request]) -> Sequence[Response]:
        """One response each, in order, errors too: a bad request fails alone. Never raises."""
        ...

    def stream(self, request: Request) -> Iterator[bytes | Response]:
        """Pieces of text as they are made, or one error Response. Closing the iterator ends the work."""
        ...
