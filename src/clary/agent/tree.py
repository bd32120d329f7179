"""The processes of a job: finding them in /proc, telling the user's program from what only launches it, ending them."""

from __future__ import annotations

import ctypes
import os
import signal
import time
from collections.abc import Iterator, Mapping
from contextlib import suppress
from dataclasses import dataclass

_SHELLS = frozenset({"sh", "bash", "dash", "ash", "zsh", "ksh", "busybox"})
_CONFINEMENT = "bwrap"
_DRIVERS = b"/input/data/sm_drivers/"
_PR_SET_PDEATHSIG = 1
_PR_SET_CHILD_SUBREAPER = 36


@dataclass(frozen=True, slots=True)
class Process:
    """`cpu_s` is what it has used so far; `memory` its resident bytes; `started` clock ticks since boot."""

    pid: int
    parent: int
    cpu_s: float
    memory: int
    started: int


def become_reaper() -> None:
    """From now on, processes below whose parents are gone become children of this one instead of the machine's init."""
    _prctl(_PR_SET_CHILD_SUBREAPER, 1)


def die_with(parent: int) -> None:
    """In a new child: the kernel kills this process when its parent dies."""
    _prctl(_PR_SET_PDEATHSIG, signal.SIGKILL)
    if os.getppid() != parent:
        os.kill(os.getpid(), signal.SIGKILL)


def _prctl(option: int, value: int) -> None:
    prctl = getattr(_LIBC, "prctl", None)
    if prctl is not None:
        prctl(option, value, 0, 0, 0)


_LIBC = ctypes.CDLL(None)


def identity() -> dict[str, object]:
    """Who this process is, as agent.json has it."""
    stat = _fields("self")
    with open("/proc/sys/kernel/random/boot_id", encoding="ascii") as file:
        boot = file.read().strip()
    return {"pid": os.getpid(), "started": int(stat[19]) if stat else 0, "boot": boot}


def descendants(root: int) -> dict[int, Process]:
    """All processes below `root`, without it."""
    everything = dict(_running())
    found: dict[int, Process] = {}
    edge = {root}
    while edge:
        new = {pid for pid, process in everything.items() if process.parent in edge and pid not in found}
        found |= {pid: everything[pid] for pid in new}
        edge = new
    return found


def ask_to_end(root: int, told: set[tuple[int, int]]) -> None:
    """Sends SIGTERM to the user's programs below (and including) `root`, once to each; `told` remembers whom.

    Confinement, shells without a trap and the SDK's launch scripts are passed over while they have something running:
    ending them would cut the user's handler short. A shell that waits for nothing is itself the program.
    """
    family = descendants(root)
    own = _read(root)
    if own:
        family[root] = own
    children: dict[int, list[int]] = {}
    for process in family.values():
        children.setdefault(process.parent, []).append(process.pid)
    for process in _programs(root, family, children):
        mark = (process.pid, process.started)
        if mark not in told:
            told.add(mark)
            with suppress(OSError):
                os.kill(process.pid, signal.SIGTERM)


def kill_below(*, program: int, patience_s: float = 10.0) -> None:
    """SIGKILL for everything below this process, until nothing is left or patience ends.

    Orphans that became this process's children are reaped; the exit status of `program` is left to who started it.
    """
    deadline = time.monotonic() + patience_s
    while (left := descendants(os.getpid())) and time.monotonic() < deadline:
        for pid in left:
            with suppress(OSError):
                os.kill(pid, signal.SIGKILL)
        time.sleep(0.002)
        for pid in left.keys() - {program}:
            with suppress(ChildProcessError):
                os.waitpid(pid, os.WNOHANG)


def _programs(
    pid: int, family: Mapping[int, Process], children: Mapping[int, list[int]]
) -> Iterator[Process]:
    process = family.get(pid)
    if process is None:
        return
    below = [child for child in children.get(pid, ()) if child in family]
    executable = _executable(pid)
    launches = executable in _SHELLS or _DRIVERS in _read_file(pid, "cmdline")
    if executable == _CONFINEMENT or (below and launches):
        for child in below:
            yield from _programs(child, family, children)
    if executable != _CONFINEMENT and (not (below and launches) or _catches_sigterm(pid)):
        yield process


def _executable(pid: int) -> str:
    """Its name; that of the interpreter for a script."""
    try:
        return os.readlink(f"/proc/{pid}/exe").rpartition("/")[2]  # noqa: PTH115 - no file need be there
    except OSError:
        return ""


def _catches_sigterm(pid: int) -> bool:
    for line in _read_file(pid, "status").splitlines():
        if line.startswith(b"SigCgt:"):
            return bool(int(line.split()[1], 16) >> (signal.SIGTERM - 1) & 1)
    return False


def _running() -> Iterator[tuple[int, Process]]:
    for name in os.listdir("/proc"):  # noqa: PTH208 - hot: no object for each of all processes
        if name.isdigit() and (process := _read(int(name))):
            yield process.pid, process


def _read(pid: int) -> Process | None:
    fields = _fields(pid)
    if not fields or fields[0] in b"ZX":
        return None
    return Process(
        pid=pid,
        parent=int(fields[1]),
        cpu_s=(int(fields[11]) + int(fields[12])) / _TICKS,
        memory=int(fields[21]) * _PAGE,
        started=int(fields[19]),
    )


def _fields(pid: int | str) -> list[bytes]:
    """What follows the name, which is in parentheses and may hold anything: state, parent, ..."""
    data = _read_file(pid, "stat")
    return data[data.rindex(b")") + 2 :].split() if data else []


def _read_file(pid: int | str, name: str) -> bytes:
    try:
        with open(f"/proc/{pid}/{name}", "rb") as file:
            return file.read()
    except OSError:
        return b""


_TICKS = os.sysconf("SC_CLK_TCK")
_PAGE = os.sysconf("SC_PAGE_SIZE")
