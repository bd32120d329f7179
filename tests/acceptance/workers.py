"""Worker processes of model servers, as a test finds them to do them harm."""

from __future__ import annotations

import os
import signal
from pathlib import Path


def kill_a_worker(home: Path) -> int:
    """Kills one worker of some endpoint of the server at `home`, as a kernel short of memory does. Gives its pid."""
    worker = worker_pids(home)[0]
    os.kill(worker, signal.SIGKILL)
    return worker


def worker_pids(home: Path) -> list[int]:
    """Forked without an exec, with the command line of their parent, and parents of nobody."""
    marked = _marked(home)
    parents = {_parent(pid) for pid in marked}
    forked = [pid for pid in marked if _command(pid) and _command(pid) == _command(_parent(pid))]
    found = [pid for pid in forked if pid not in parents]
    assert found, "no worker runs"
    return sorted(found)


def _marked(home: Path) -> list[int]:
    marks = {
        f"CLARY_JOB={folder.name}".encode() for folder in (home / "jobs" / "endpoint-instance").iterdir()
    }
    return [pid for pid in _pids() if marks & set(_read(pid, "environ").split(b"\0"))]


def _pids() -> list[int]:
    return [int(entry.name) for entry in Path("/proc").iterdir() if entry.name.isdigit()]


def _read(pid: int, name: str) -> bytes:
    try:
        return Path(f"/proc/{pid}/{name}").read_bytes()
    except OSError:
        return b""


def _command(pid: int) -> bytes:
    return _read(pid, "cmdline")


def _parent(pid: int) -> int:
    stat = _read(pid, "stat")
    return int(stat.rpartition(b")")[2].split()[1]) if stat else 0
