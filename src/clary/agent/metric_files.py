"""Ships the metrics that a program writes into files below /opt/ml/output/metrics/sagemaker, as smexperiments does.

Each file has a JSON document a line: MetricName, Value, and Timestamp and IterationNumber where there are any. The
files are read while the program runs and once more when it has ended. They are the program's, so nothing of them is
trusted: only plain files are read, so many of them and so much, and a line that is no metric is told of once.
"""

from __future__ import annotations

import json
import math
import os
import threading
from collections.abc import Callable, Mapping
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from clary.agent.places import Places, is_text, open_own
from clary.agent.story import Clock, Lines

FOLDER = "output/metrics/sagemaker"
MARK = {"of": "run"}

PERIOD_S = 1.0
MOST_FILES = 100
MOST_BYTES = 256 * 1024 * 1024
LONGEST_LINE = 64 * 1024
_AT_ONCE = 1024 * 1024
_LONGEST_NAME = 255
_LAST_STEP = 2**63
_LAST_TIME = 253_402_300_800.0  # the year 10000
_SHOWN = 80


class NoMetric(Exception):
    """A line is none; the message says why."""


@dataclass(slots=True)
class _Tail:
    """How far a file was read; `rest` is a line whose end was not seen yet."""

    offset: int = 0
    rest: bytes = b""


class MetricFiles:
    """Reads in a thread of its own between `start` and `finish`; `finish` reads what is left."""

    def __init__(self, places: Places, lines: Lines, note: Callable[[str], None], *, clock: Clock) -> None:
        self._places = places
        self._lines = lines
        self._note = note
        self._clock = clock
        self._tails: dict[str, _Tail] = {}
        self._budget = MOST_BYTES
        self._told: set[str] = set()
        self._over = threading.Event()
        self._thread = threading.Thread(target=self._work, name="metric-files", daemon=True)

    def start(self) -> None:
        self._thread.start()

    def finish(self) -> None:
        """To be called when the program has ended: a last line without an end counts then."""
        self._over.set()
        self._thread.join()
        self.read(to_end=True)

    def _work(self) -> None:
        while not self._over.wait(PERIOD_S):
            self.read()

    def read(self, *, to_end: bool = False) -> None:
        """What is new in each file, at most a piece of it unless `to_end`."""
        folder = self._places.left(FOLDER)
        if folder is None:
            return
        with suppress(OSError):  # the program may remove the folder at any moment
            for path in sorted(folder.glob("*.json")):
                if is_text(path.name) and self._is_known(path.name):
                    self._read_file(path, self._tails[path.name], to_end)

    def _is_known(self, name: str) -> bool:
        if name not in self._tails:
            if len(self._tails) >= MOST_FILES:
                self._tell("files", f"more than {MOST_FILES} files: the metrics of the others are left out")
                return False
            self._tails[name] = _Tail()
        return True

    def _read_file(self, path: Path, tail: _Tail, to_end: bool) -> None:
        try:
            with open_own(path) as file:
                if os.fstat(file.fileno()).st_size < tail.offset:  # it was begun anew
                    tail.offset, tail.rest = 0, b""
                file.seek(tail.offset)
                while piece := file.read(min(_AT_ONCE, self._budget)):
                    self._budget -= len(piece)
                    tail.offset += len(piece)
                    self._take(path.name, tail, piece)
                    if not to_end:
                        break
        except OSError as error:
            self._tell("unreadable", f"{path.name!r} cannot be read: {error.strerror}")
        if self._budget <= 0:
            self._tell("bytes", f"more than {MOST_BYTES >> 20} MiB: the metrics behind that are left out")
        if to_end and tail.rest:
            self._ship(path.name, [tail.rest])
            tail.rest = b""

    def _take(self, name: str, tail: _Tail, piece: bytes) -> None:
        *lines, rest = (tail.rest + piece).split(b"\n")
        # the end of an overlong line is cut off as often as it takes to see where it stops
        tail.rest = rest[: LONGEST_LINE + 1]
        self._ship(name, lines)

    def _ship(self, name: str, lines: list[bytes]) -> None:
        for line in lines:
            if not line.strip():
                continue
            try:
                self._lines.append_document({**_entry(line, self._clock), **MARK})
            except NoMetric as why:
                self._tell("lines", f"a line of {name!r} is no metric and was left out: {why}")

    def _tell(self, about: str, text: str) -> None:
        """Once for each sort of trouble."""
        if about not in self._told:
            self._told.add(about)
            self._note(f"Metrics below /opt/ml/{FOLDER}: {text}")


def _entry(line: bytes, clock: Clock) -> dict[str, Any]:
    """The line as metrics.jsonl has it. Raises NoMetric."""
    if len(line) > LONGEST_LINE:
        raise NoMetric(f"it is longer than {LONGEST_LINE:,} bytes")
    try:
        document = json.loads(line)
    except (ValueError, RecursionError):
        raise NoMetric(f"{line[:_SHOWN]!r} is not JSON") from None
    if not isinstance(document, dict):
        raise NoMetric(f"{line[:_SHOWN]!r} is not a JSON object")
    value = _number(document, "Value")
    at = _number(document, "Timestamp") if document.get("Timestamp") is not None else clock()
    if not 0 <= at < _LAST_TIME:
        raise NoMetric(f"Timestamp {at} is not a time in seconds")
    step = _step(document)
    entry = {"at": at, "name": _name(document), "value": value if math.isfinite(value) else str(value)}
    return entry if step is None else {**entry, "step": step}


def _name(document: Mapping[str, Any]) -> str:
    name = document.get("MetricName")
    if not isinstance(name, str) or not name.strip() or len(name) > _LONGEST_NAME:
        raise NoMetric(f"MetricName must be a text of 1 to {_LONGEST_NAME} characters")
    return name


def _number(document: Mapping[str, Any], key: str) -> float:
    value = document.get(key)
    if isinstance(value, bool) or not isinstance(value, int | float):
        raise NoMetric(f"{key} must be a number")
    try:
        return float(value)
    except OverflowError:
        raise NoMetric(f"{key} is out of the range of a double") from None


def _step(document: Mapping[str, Any]) -> int | None:
    step = document.get("IterationNumber")
    if step is None:
        return None
    if isinstance(step, bool) or not isinstance(step, int) or not 0 <= step < _LAST_STEP:
        raise NoMetric("IterationNumber must be a whole number from 0")
    return step
