"""Reads metrics off the program's lines with the user's regular expressions.

The first group of a match is the value, the whole match where there is none; blanks and quotes around it are dropped
(some libraries print figures as text), and what is no number is left out and told of once. `nan` and `inf` are written
like any value, as text, for JSON has no word for them: that a metric ended in one is the news of a training that
diverged. They are told of once too. Only the beginning of a line is searched (`output` says how much), and an
expression that takes longer than a second for one line is given up for the rest of the job: `re` looks for signals
while it backtracks, so an alarm ends the search.
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
_SHOWN = 80


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
        self._told: set[tuple[str, bool]] = set()

    def search(self, line: str, at: float) -> None:
        if not self._patterns:
            return
        for name, pattern in list(self._patterns):
            try:
                found = self._find(pattern, line)
            except _TooLong:
                self._patterns.remove((name, pattern))
                self._note(
                    f"The regex of metric {name!r} took over {_PATIENCE_S:.0f} s for one line and was given up."
                )
                continue
            if found is None:
                continue
            value = _number(found)
            if value is not None:
                shown = value if math.isfinite(value) else str(value)
                self._lines.append_document({"at": at, "name": name, "value": shown})
            if value is None or not math.isfinite(value):
                self._tell(name, found[:_SHOWN], is_number=value is not None)

    def _tell(self, name: str, found: str, *, is_number: bool) -> None:
        """Once for each metric and kind of fault."""
        if (name, is_number) in self._told:
            return
        self._told.add((name, is_number))
        if is_number:
            self._note(
                f"Metric {name!r} was {found!r}, which is no finite number: "
                "if it stays so to the end, the job has no final value of it."
            )
        else:
            self._note(
                f"The regex of metric {name!r} found {found!r}, which is no number: such values are left out."
            )

    @staticmethod
    def _find(pattern: re.Pattern[str], line: str) -> str | None:
        with _alarm():
            match = pattern.search(line)
        if match is None:
            return None
        return (match[1] if pattern.groups else match[0]) or ""


def _number(text: str) -> float | None:
    try:
        return float(text.strip(_QUOTES))
    except ValueError:
        return None


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
