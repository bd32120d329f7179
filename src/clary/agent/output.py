"""What the program prints: two pipes become one log of whole, timed lines.

- `\\r` ends a line too, but progress bars may redraw themselves often: of the lines that end so, at most one a second
  and stream is kept, and always the last.
- A line longer than 262,144 bytes (CloudWatch's limit) is cut into pieces.
- A line without an end is written after a second; what follows it later becomes a line of its own. Metrics are
  searched for in the whole line all the same.
- What is not UTF-8 is replaced.
"""

from __future__ import annotations

import re
import threading
from collections import deque
from collections.abc import Callable

from clary.agent.story import Clock, Lines

LONGEST_LINE = 262_144
_PATIENCE_S = 1.0
_TAIL_LINES = 200
_MATCHED = 4096
_END = re.compile(rb"\r\n|\n|\r(?=[^\n])")

Search = Callable[[str, float], None]
"""Called with the beginning of each line (4,096 characters) and its time in seconds."""


class Log:
    """The log file of one host. May be written by several threads."""

    def __init__(self, lines: Lines, clock: Clock, search: Search, *, keep: int | None = None) -> None:
        """`keep`: bytes of the log that stay at least, of a program that never ends; all for None."""
        self._lines = lines
        self._clock = clock
        self._search = search
        self._keep = keep
        self._grown = 0
        self._latest_ms = 0
        self._lock = threading.Lock()

    def write(self, pieces: list[bytes]) -> None:
        with self._lock:
            ms = self._now()
            if pieces:
                data = b"".join(b"%d\t%s\n" % (ms, _clean(piece)) for piece in pieces)
                self._lines.append(data)
                self._bound(len(data))

    def _bound(self, grown: int) -> None:
        self._grown += grown
        if self._keep is not None and self._grown > self._keep:
            self._lines.drop(keep=self._keep)
            self._grown = 0

    def search(self, line: bytes) -> None:
        self._search(line[: 4 * _MATCHED].decode("utf-8", "replace")[:_MATCHED], self._now() / 1000)

    def _now(self) -> int:
        self._latest_ms = max(self._latest_ms, int(self._clock() * 1000))
        return self._latest_ms


class Stream:
    """One of the two pipes. `tick` is to be called now and then, `close` at the end; times are monotonic seconds."""

    def __init__(self, log: Log) -> None:
        self._log = log
        self._rest = b""
        self._rest_at = 0.0
        self._flushed = b""
        self._bar: bytes | None = None
        self._bar_at = float("-inf")
        self._pieces: list[bytes] = []
        self._lines: list[bytes] = []
        self.tail: deque[bytes] = deque(maxlen=_TAIL_LINES)

    def feed(self, data: bytes, now: float) -> None:
        text = self._rest + data
        position = 0
        for end in _END.finditer(text):
            part = text[position : end.start()]
            if end[0] == b"\r":
                self._draw(part, now)
            else:
                self._end_line(part, now)
            position = end.end()
        if position or not self._rest:
            self._rest_at = now
        self._rest = self._cut(text[position:])
        self._write()

    def tick(self, now: float) -> None:
        if self._bar is not None and now - self._bar_at >= _PATIENCE_S:
            self._settle(now)
        if self._rest and now - self._rest_at >= _PATIENCE_S:
            self._pieces.append(self._rest.rstrip(b"\r"))
            self._remember(self._rest)
            self._rest = b""
        self._write()

    def close(self, now: float) -> None:
        rest, self._rest = self._rest.rstrip(b"\r"), b""
        if rest or self._flushed:
            self._end_line(rest, now)
        self._settle(now)
        self._write()

    def _end_line(self, text: bytes, now: float) -> None:
        self._settle(now)
        text = self._cut(text)
        if text or not self._flushed:
            self._pieces.append(text)
        self._lines.append(self._flushed + text)
        self._flushed = b""

    def _draw(self, bar: bytes, now: float) -> None:
        self._flushed = b""
        if bar.strip():
            self._bar = bar
            if now - self._bar_at >= _PATIENCE_S:
                self._settle(now)

    def _settle(self, now: float) -> None:
        if self._bar is not None:
            self._pieces.append(self._bar[:LONGEST_LINE])
            self._lines.append(self._bar)
            self._bar = None
            self._bar_at = now

    def _cut(self, text: bytes) -> bytes:
        """Lets go of what is too long for one line; returns the rest."""
        while len(text) > LONGEST_LINE:
            self._pieces.append(text[:LONGEST_LINE])
            self._remember(text)
            text = text[LONGEST_LINE:]
        return text

    def _remember(self, text: bytes) -> None:
        self._flushed = (self._flushed + text.rstrip(b"\r"))[: 4 * _MATCHED]

    def _write(self) -> None:
        if self._pieces:
            self._log.write(self._pieces)
            self._pieces = []
        for line in self._lines:
            self.tail.append(line[:_MATCHED])
            self._log.search(line)
        self._lines.clear()


def _clean(piece: bytes) -> bytes:
    return piece.decode("utf-8", "replace").encode()
