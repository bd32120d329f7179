"""Copies what appears in a folder to S3: as it appears, or all at once when nobody writes any more."""

from __future__ import annotations

import os
import threading
from collections.abc import Callable, Mapping
from operator import itemgetter
from pathlib import Path, PurePosixPath
from stat import S_ISREG

from clary.agent.crew import work_off
from clary.agent.faults import ClientFault, Fault, Interrupted
from clary.agent.places import is_text
from clary.agent.s3 import S3, parse_uri
from clary.agent.upload import put

_PERIOD_S = 3.0
_KEY_BYTES = 1024  # of an S3 object's name

Mark = tuple[int, int]
"""When a file was last written (ns), and its size."""


class Mirror:
    """`open` before the program runs, `start` to copy while it does, and `finish` when nobody writes any more.

    Plain files only, each under its path below the folder; links are not followed. A file that is deleted stays in S3
    unless `deletes` says otherwise. `called` is what notes call a file; `threads` is how many are copied at a time: one
    keeps them in the order of their names.
    """

    called = "file"
    deletes = False
    threads = 1

    def __init__(
        self, s3: S3, uri: str, folder: Path, note: Callable[[str], None], *, period_s: float = _PERIOD_S
    ):
        self._s3 = s3
        self._place = parse_uri(uri.rstrip("/") + "/")
        self._folder = folder
        self._real = ""
        self._note = note
        self._period_s = period_s
        self._kept: dict[str, Mark] = {}
        self._before: dict[str, Mark] = {}
        self._unnameable: set[str] = set()
        self._over = threading.Event()
        self._thread = threading.Thread(target=self._work, name=self.called, daemon=True)

    def open(self) -> None:
        """Makes the folder. Raises OSError."""
        self._folder.mkdir(parents=True, exist_ok=True)
        self._real = os.path.realpath(self._folder)

    def start(self) -> None:
        self._thread.start()

    def finish(self) -> None:
        """Raises what `S3.ask` raises; ClientFault where S3 has no name for a file, when all others are copied."""
        self._over.set()
        if self._thread.ident is not None:
            self._thread.join()
        self._sync(self._scan())
        if self._unnameable:
            name = PurePosixPath(min(self._unnameable)).name
            raise ClientFault(
                f"{len(self._unnameable)} of the {self.called}s could not be copied, since an S3 key has at most "
                f"{_KEY_BYTES:,} bytes: shorten the path of {name[:80]!r}"
            )

    def _work(self) -> None:
        while not self._over.wait(self._period_s):
            now = self._scan()
            # a file that changed since the last look is still being written
            stable = {path: mark for path, mark in now.items() if self._before.get(path) == mark}
            self._before = now
            try:
                self._sync({path: stable.get(path) for path in now})
            except Interrupted:
                break
            except Fault as fault:
                self._note(f"A {self.called} could not be copied for a while: {fault}")
        self._s3.close()

    def _sync(self, present: Mapping[str, Mark | None]) -> None:
        """Makes S3 hold what is present, in these states; None leaves a file as S3 has it."""

        def copy(news: tuple[str, Mark]) -> None:
            if self._put(news[0]):
                self._kept[news[0]] = news[1]

        changed = [
            (path, mark)
            for path, mark in sorted(present.items(), key=itemgetter(0))
            if mark is not None and mark != self._kept.get(path)
        ]
        work_off(changed, copy, threads=min(self.threads, len(changed)), leave=self._s3.close)
        for path in sorted(self._kept.keys() - present.keys()):
            if self.deletes:
                self._s3.delete(self._place.below(path))
            del self._kept[path]

    def _put(self, path: str) -> bool:
        """Whether there was a file to copy; what is there and cannot be copied is noted."""
        try:
            put(self._s3, self._place.below(path), Path(self._real, path))
        except FileNotFoundError:
            return False
        except OSError as fault:
            self._note(f"The {self.called} {path!r} could not be read: {fault.strerror}")
            return False
        return True

    def _scan(self) -> dict[str, Mark]:
        found: dict[str, Mark] = {}
        self._unnameable.clear()
        # the program may have put a link there, which would lead this process anywhere
        if os.path.realpath(self._folder) != self._real:
            self._note(f"{self._folder.name} became a link: no {self.called} was copied from there.")
            return dict(self._kept)
        if not self._folder.is_dir():
            self._note(f"{self._folder.name} is no folder any more: no {self.called} was copied from there.")
            return dict(self._kept)
        for top, _, files in os.walk(self._folder):
            for name in files:
                path = Path(top) / name
                try:
                    status = path.lstat()
                except OSError:
                    continue
                if not is_text(relative := path.relative_to(self._folder).as_posix()):
                    self._note(
                        f"The {self.called} {relative!r} has a name that is not UTF-8 and was not copied."
                    )
                elif not S_ISREG(status.st_mode):
                    continue
                elif len(self._place.below(relative).key.encode()) > _KEY_BYTES:
                    self._unnameable.add(relative)
                else:
                    found[relative] = (status.st_mtime_ns, status.st_size)
        return found
