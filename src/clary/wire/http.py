"""What a request and a response are between the ASGI edge and the services."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Protocol


class Body(Protocol):
    """A request's body, read once from front to back. Blocking; called from a worker thread.

    Laws: `read(n)` gives at most n bytes (n > 0) and b"" only at the end, then for ever; `read()` gives all that is
    left. A layer that checks the bytes (length, hash, chunk signature) raises its Fault from the read
    that meets the end at the latest, never later: who has seen b"" has seen a sound body.
    """

    def read(self, size: int = -1, /) -> bytes: ...


class Headers(Mapping[str, str]):
    """Case-insensitive, in the order sent. A repeated header's values are joined with a comma."""

    def __init__(self, pairs: Iterable[tuple[str, str]] = ()) -> None:
        self._values: dict[str, str] = {}
        for name, value in pairs:
            key = name.lower()
            self._values[key] = f"{self._values[key]},{value}" if key in self._values else value

    def __getitem__(self, name: str) -> str:
        return self._values[name.lower()]

    def __iter__(self) -> Iterator[str]:
        return iter(self._values)

    def __len__(self) -> int:
        return len(self._values)

    def __contains__(self, name: object) -> bool:
        return isinstance(name, str) and name.lower() in self._values


class Hangup:
    """Tells those who work for a client that it has gone. May be used by many threads at once."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._told: list[Callable[[], None]] = []
        self._has_come = False

    @property
    def has_come(self) -> bool:
        return self._has_come

    def tell(self, listener: Callable[[], None]) -> None:
        """Call it when the client hangs up; at once, if it has. It must not block."""
        with self._lock:
            if not self._has_come:
                self._told.append(listener)
                return
        listener()

    def spare(self, listener: Callable[[], None]) -> None:
        """It need not be told any more."""
        with self._lock:
            if listener in self._told:
                self._told.remove(listener)

    def come(self) -> None:
        with self._lock:
            self._has_come = True
            told, self._told = self._told, []
        for listener in told:
            listener()


@dataclass(frozen=True, slots=True)
class HttpRequest:
    """`path` and `query` are as sent on the wire, still percent-encoded; `query` has no leading '?'.

    `came`: `time.perf_counter()` when it came in, where somebody looked.
    """

    method: str
    path: str
    query: str
    headers: Headers
    body: Body
    secure: bool = False
    hangup: Hangup = field(default_factory=Hangup, compare=False, repr=False)
    came: float | None = field(default=None, compare=False)


@dataclass(frozen=True, slots=True)
class FileBody:
    """A response body that is a stretch of a file.

    The file is opened by the service (`fd`), so that a later overwrite or delete of the object cannot change
    an answer under way; who sends it closes it.
    """

    fd: int
    offset: int
    length: int
    path: Path | None = None


@dataclass(frozen=True, slots=True)
class HttpResponse:
    status: int
    headers: list[tuple[str, str]] = field(default_factory=list)
    body: bytes | FileBody | Iterable[bytes] = b""
