"""Reads metrics off the program's lines with the user's regular expressions.

The first group of a match is the value, the whole match where there is none; blanks and quotes around it are dropped
(some libraries print figures as text), and what is no finite number is ignored. Only the beginning of a line is
searched (`output` says how much), and an expression that takes longer than a second for one line is given up for the
rest of the job: `re` looks for signals while it backtracks, so an alarm ends the search.
"""

from __future__ import annotations

import math
import re
import signal
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager

from clary.agent.contract import MetricDefinition
from clary.agent.story import Lines

_PATIENCE_S = 1.0
_QUOTES = " \t'\""


class _TooLong(Exception):
    pass


class Metrics:
    """To be used in the main thread only: signals reach no other."""

    def __init__(
        self, definitions: Sequence[MetricDefinition], lines: Lines, note: Callable[[str], None]
    ) -> None:
        """Raises `re.error` for an expression that does not compile; the service has refused those."""
        self._patterns = [(entry.name, re.compile(entry.regex)) for entry in definitions]
        self._lines = lines
        self._note = note

    def search(self, line: str, at: float) -> None:
        if not self._patterns:
            return
        for name, pattern in list(self._patterns):
            try:
                value = self._find(pattern, line)
            except _TooLong:
                self._patterns.remove((name, pattern))
                self._note(
                    f"The regex of metric {name!r} took over {_PATIENCE_S:.0f} s for one line and was given up."
                )
                continue
            if value is not None:
                self._lines.append_document({"at": at, "name": name, "value": value})

    @staticmethod
    def _find(pattern: re.Pattern[str], line: str) -> float | None:
        with _alarm():
            match = pattern.search(line)
        if match is None:
            return None
        text = match[1] if pattern.groups else match[0]
        try:
            value = float((text or "").strip(_QUOTES))
        except ValueError:
            return None
        return value if math.isfinite(value) else None


@contextmanager
def _alarm() -> Iterator[None]:
    def ring(*_: object) -> None:
        raise _TooLong

    before = signal.signal(signal.SIGALRM, ring)
    signal.setitimer(signal.ITIMER_REAL, _PATIENCE_S)
    try:
        yield
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)
        signal.signal(signal.SIGALRM, before)
