"""What is new in a job folder since one last looked."""

from __future__ import annotations

import json
import logging
import os
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from clary.agent import contract
from clary.controllers.hosts import Host
from clary.store.base import Point

log = logging.getLogger("clary.controllers.story")

FILES = (contract.STORY, contract.METRICS, contract.USAGE)
MOST_BYTES = 4 * 1024 * 1024
LAST_WORDS_BYTES = 600

Event = Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class News:
    """`read` are the offsets (bytes) up to which the files are now known; `complete` says nothing was left over.

    `has_moved` says that something was read, lines included that had to be dropped: they are not read again.
    """

    events: tuple[Event, ...]
    points: tuple[Point, ...]
    read: Mapping[str, int]
    complete: bool
    has_moved: bool

    def __bool__(self) -> bool:
        return self.has_moved


def read_all(hosts: Sequence[Host], read: Mapping[str, int], *, series: str, run: str) -> News:
    """What is new on every host. The events are the first host's: all of them go through the same.

    `run` is the series of what programs record as metrics of their run, see `read_news`.
    """
    events: tuple[Event, ...] = ()
    points: list[Point] = []
    offsets = dict(read)
    complete, has_moved = True, False
    for number, host in enumerate(hosts):
        own = {name: read.get(host.prefix + name, 0) for name in FILES}
        news = read_news(host.folder, own, series=series, run=run)
        events = events if number else news.events
        points += news.points
        offsets |= {host.prefix + name: offset for name, offset in news.read.items()}
        complete, has_moved = complete and news.complete, has_moved or news.has_moved
    return News(events, tuple(points), offsets, complete, has_moved)


def read_news(folder: Path, read: Mapping[str, int], *, series: str, run: str) -> News:
    """Whole lines after the offsets in `read`, a bounded number of bytes of each file.

    Metric points found in the log belong to `series`, those that the program wrote into files to `run`, a host's
    utilisation to `<series>/<host>`.
    """
    found: dict[str, list[Event]] = {}
    offsets: dict[str, int] = {}
    complete = True
    for name in FILES:
        lines, offsets[name], at_end = _lines(folder / name, read.get(name, 0))
        found[name] = list(_parsed(lines, folder / name))
        complete = complete and at_end
    points = [
        Point(
            run if entry.get("of") == "run" else series,
            entry["name"],
            entry["at"],
            float(entry["value"]),
            entry.get("step"),
        )
        for entry in found[contract.METRICS]
    ]
    points += [point for entry in found[contract.USAGE] for point in _usage(entry, series)]
    has_moved = any(offset != read.get(name, 0) for name, offset in offsets.items())
    return News(tuple(found[contract.STORY]), tuple(points), offsets, complete, has_moved)


def log_size(folder: Path) -> int:
    """Bytes of all a host's logs, to see whether they grew."""
    try:
        with os.scandir(folder / contract.LOGS) as entries:
            return sum(entry.stat().st_size for entry in entries)
    except FileNotFoundError:
        return 0


def last_words(folder: Path) -> str:
    """The end of what the agent itself wrote to stderr: nothing, unless it broke."""
    try:
        text = (folder / "agent.log").read_bytes()[-LAST_WORDS_BYTES:].decode("utf-8", "replace")
    except FileNotFoundError:
        return ""
    return text.strip()


def _lines(path: Path, offset: int) -> tuple[list[bytes], int, bool]:
    try:
        if path.stat().st_size <= offset:  # so it is nearly always
            return [], offset, True
        with path.open("rb") as file:
            file.seek(offset)
            piece = file.read(MOST_BYTES)
            at_end = not file.read(1)
    except FileNotFoundError:
        return [], offset, True
    whole = piece[: piece.rfind(b"\n") + 1]
    return whole.splitlines(), offset + len(whole), at_end


def _parsed(lines: Iterable[bytes], path: Path) -> Iterator[Event]:
    """A full disk can leave half a line with the next one behind it: that much is lost, and no more."""
    for line in lines:
        try:
            yield json.loads(line)
        except ValueError:
            log.warning("%s: dropped a line that is not JSON: %.80r", path, line)


def _usage(entry: Event, series: str) -> Iterator[Point]:
    for metric, value in entry.items():
        if metric not in {"at", "host"}:
            yield Point(f"{series}/{entry['host']}", metric, entry["at"], value)
