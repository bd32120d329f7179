"""Files of the job folder that grow by whole lines."""

from __future__ import annotations

import json
import os
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from clary.agent import contract

# of <linux/falloc.h>
_KEEP_SIZE, _PUNCH_HOLE = 1, 2

Clock = Callable[[], float]


class Lines:
    """Appends whole lines, each in one write, so that a reader never meets half of one followed by another."""

    def __init__(self, path: Path) -> None:
        path.parent.mkdir(parents=True, exist_ok=True)
        self._descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600)

    def append(self, data: bytes) -> None:
        view = memoryview(data)
        while view:
            view = view[os.write(self._descriptor, view) :]

    def drop(self, *, keep: int) -> None:
        """Give the disk back what lies before the last `keep` bytes. Offsets stay: it reads as zeros from now on.

        Where a file system cannot do that, nothing happens.
        """
        import ctypes

        end = os.fstat(self._descriptor).st_size - keep
        if end > 0:
            libc = ctypes.CDLL(None)
            allocate = getattr(libc, "fallocate64", libc.fallocate)
            allocate(self._descriptor, _PUNCH_HOLE | _KEEP_SIZE, ctypes.c_int64(0), ctypes.c_int64(end))

    def append_document(self, document: Mapping[str, Any]) -> None:
        self.append(json.dumps(document).encode() + b"\n")

    def close(self) -> None:
        os.close(self._descriptor)


class Story:
    """Tells what the job is doing, in SageMaker's words."""

    def __init__(self, folder: Path, clock: Clock) -> None:
        self._lines = Lines(folder / contract.STORY)
        self._clock = clock
        self.notes: list[str] = []

    def tell(self, status: str, message: str) -> None:
        self._lines.append_document({"at": self._clock(), "status": status, "message": message})

    def note(self, text: str) -> None:
        """Something worth knowing that does not end the job; goes into the outcome, each text once."""
        if text not in self.notes:
            self.notes.append(text)

    def close(self) -> None:
        self._lines.close()
