"""Processes as Linux shows them under /proc: who is who, who belongs to a job, and ending them for good."""

from __future__ import annotations

import os
import signal
from collections.abc import Iterator, Mapping
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

_PROC = Path("/proc")


@dataclass(frozen=True, slots=True)
class Identity:
    """One process, told apart from any other that ever had its pid. `started` is in clock ticks since boot."""

    pid: int
    started: int
    boot: str

    @classmethod
    def of(cls, pid: int) -> Identity | None:
        """None when no such process runs; a zombie does not run."""
        stat = _stat(pid)
        return Identity(pid, stat.started, boot_id()) if stat else None

    @classmethod
    def parse(cls, document: Mapping[str, object]) -> Identity:
        """From {"pid", "started", "boot"}. Raises KeyError, TypeError or ValueError for anything else."""
        return cls(int(str(document["pid"])), int(str(document["started"])), str(document["boot"]))

    def is_running(self) -> bool:
        return Identity.of(self.pid) == self

    def send(self, number: signal.Signals) -> bool:
        """Signal this very process, never one that inherited its pid. False when it is gone."""
        try:
            descriptor = os.pidfd_open(self.pid)
        except OSError:
            return False
        try:
            if not self.is_running():
                return False
            signal.pidfd_send_signal(descriptor, number)
            return True
        except ProcessLookupError:
            return False
        finally:
            os.close(descriptor)


@dataclass(frozen=True, slots=True)
class _Stat:
    parent: int
    session: int
    started: int


def boot_id() -> str:
    """Changes with every start of the machine."""
    return (_PROC / "sys/kernel/random/boot_id").read_text("ascii").strip()


def family(head: Identity | None, *, mark: bytes) -> set[Identity]:
    """Those that run of: `head` and its session, all with `mark` (NAME=value) in their environment, their descendants.

    A session is known by its head only while that runs: afterwards its number may come to name another.
    """
    found = dict(_running())
    members = {pid for pid in found if _is_marked(pid, mark)}
    if head and head.is_running():
        members |= {pid for pid, stat in found.items() if head.pid in (pid, stat.session)}
    grown = True
    while grown:
        children = {pid for pid, stat in found.items() if stat.parent in members} - members
        members |= children
        grown = bool(children)
    members.discard(os.getpid())
    boot = boot_id()
    return {Identity(pid, found[pid].started, boot) for pid in members}


def _running() -> Iterator[tuple[int, _Stat]]:
    for entry in _PROC.iterdir():
        if entry.name.isdigit() and (stat := _stat(int(entry.name))):
            yield int(entry.name), stat


def _stat(pid: int) -> _Stat | None:
    try:
        text = (_PROC / str(pid) / "stat").read_bytes()
    except OSError:  # it has gone, or is another user's where those are hidden
        return None
    # the command's name, in parentheses, may hold anything; what follows it is state, ppid, pgrp, session, ...
    words = text[text.rindex(b")") + 2 :].split()
    if words[0] in b"ZX":
        return None
    return _Stat(parent=int(words[1]), session=int(words[3]), started=int(words[19]))


def _is_marked(pid: int, mark: bytes) -> bool:
    with suppress(OSError):
        return mark in (_PROC / str(pid) / "environ").read_bytes().split(b"\0")
    return False
