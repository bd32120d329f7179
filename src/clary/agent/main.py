"""The agent's process: one for a job folder, whatever happens it leaves an outcome."""

from __future__ import annotations

import errno
import fcntl
import os
import signal
import sys
import time
from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path
from typing import IO

from clary.agent import contract, tree
from clary.agent.contract import Outcome
from clary.agent.faults import clip


def main(arguments: Sequence[str]) -> int:
    """`arguments` is the job folder. Returns 0 also for a job that failed: the outcome says how it went."""
    if len(arguments) != 1:
        print("usage: python -m clary.agent FOLDER", file=sys.stderr)
        return 2
    folder = Path(arguments[0]).absolute()
    lock = _lock(folder)
    if lock is None or (folder / contract.OUTCOME).exists():
        return 0
    with lock:
        stop = _StopRequest(folder)
        if (folder / contract.AGENT).exists():
            _leave(
                folder, _failed("the agent of this job ended unexpectedly; its program is not started twice")
            )
            return 0
        contract.write_document(folder / contract.AGENT, tree.identity())
        _leave(folder, _live(folder, stop))
    return 0


def _live(folder: Path, stop: _StopRequest) -> Outcome:
    try:
        from clary.agent.life import Life

        tree.become_reaper()
        plan = contract.read_plan(folder)
        return Life(folder, plan, stop_asked=stop.is_asked).live()
    except Exception as fault:  # noqa: BLE001 - the boundary of the process: every end needs an outcome
        import traceback

        with suppress(OSError):  # its own log may lie on the full disk that this is about
            traceback.print_exc()
        return _failed(f"the job's agent failed: {type(fault).__name__}: {fault}")


def _failed(text: str) -> Outcome:
    return Outcome("Failed", "Failed", time.time(), reason=clip(f"InternalServerError: {text}"))


def _leave(folder: Path, outcome: Outcome) -> None:
    """A full disk may pass: the outcome is tried for a minute, after room was made where the job itself filled it."""
    for _ in range(60):
        try:
            contract.write_outcome(folder, outcome)
            return
        except OSError as fault:
            if not folder.is_dir():
                return  # nobody is left to read it
            if fault.errno == errno.ENOSPC:
                _make_room(folder)
        time.sleep(1)
    contract.write_outcome(folder, outcome)


def _make_room(folder: Path) -> None:
    """Nobody needs the program's files any more: it is gone, and what could be saved has been."""
    import shutil

    for name in ("tmp", contract.ML):
        shutil.rmtree(folder / name, ignore_errors=True)


def _lock(folder: Path) -> IO[bytes] | None:
    """The lock of the folder, held until closed; None when another agent has it."""
    descriptor = os.open(folder / contract.LOCK, os.O_RDWR | os.O_CREAT, 0o600)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        os.close(descriptor)
        return None
    return os.fdopen(descriptor, "rb")


class _StopRequest:
    """The folder's stop file or a SIGTERM, whichever comes."""

    def __init__(self, folder: Path) -> None:
        self._file = folder / contract.STOP
        self._signalled = False
        signal.signal(signal.SIGTERM, self._receive)
        for number in (signal.SIGINT, signal.SIGHUP):
            signal.signal(number, signal.SIG_IGN)

    def is_asked(self) -> bool:
        return self._signalled or self._file.exists()

    def _receive(self, *_: object) -> None:
        self._signalled = True
