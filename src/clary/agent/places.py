"""Where things lie: on this machine's disk, and as the program sees them."""

from __future__ import annotations

import errno
import os
import stat
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import BinaryIO

from clary.agent import contract

OPT_ML = "/opt/ml"
OPT_ENV = "/opt/env"


@dataclass(frozen=True, slots=True)
class Places:
    """`folder` is the job folder. A confined program sees its `ml` as /opt/ml and its `env` as /opt/env."""

    folder: Path
    confined: bool

    @property
    def ml(self) -> Path:
        return self.folder / contract.ML

    @property
    def env(self) -> Path:
        return self.folder / "env"

    @property
    def seen_ml(self) -> str:
        return OPT_ML if self.confined else str(self.ml)

    @property
    def seen_env(self) -> str:
        return OPT_ENV if self.confined else str(self.env)

    @property
    def seen_tmp(self) -> str:
        return "/tmp" if self.confined else str(self.folder / "tmp")

    @property
    def owns_opt_ml(self) -> bool:
        """Whether a path below /opt/ml, taken literally by the program, leads into this job's folder."""
        return self.confined or os.path.realpath(OPT_ML) == os.path.realpath(self.ml)

    def on_disk(self, path: str) -> Path | None:
        """Where a path below /opt/ml lies on the disk; None for any other path or one that climbs out."""
        pure = PurePosixPath(path)
        if ".." in pure.parts or not pure.is_relative_to(OPT_ML):
            return None
        return self.ml / pure.relative_to(OPT_ML)

    def left(self, name: str) -> Path | None:
        """A path below /opt/ml as the program left it; None if there is nothing or a link stands in the way.

        A program may have put a link there that would lead the agent, which is not confined, anywhere on the machine.
        """
        path = self.ml / name
        straight = os.path.join(os.path.realpath(self.ml), name)  # noqa: PTH118 - compared as text
        return path if os.path.realpath(path) == straight and path.exists() else None

    def make(self, *names: str) -> None:
        """Makes the folders that every job has, and those below /opt/ml that are named."""
        for name in (*names, "output/metrics/sagemaker"):
            (self.ml / name).mkdir(parents=True, exist_ok=True)
        for path in (self.env, self.folder / "tmp", self.folder / contract.LOGS):
            path.mkdir(parents=True, exist_ok=True)


def open_own(path: Path) -> BinaryIO:
    """Opens a plain file for reading. Raises OSError for anything else, and where a link stands in the way.

    `path` is absolute, and real as far as the job's own folder. A program that still runs may exchange what was
    looked at a moment ago, so what counts is what was opened; and a pipe that nobody writes to must not hold the agent.
    """
    descriptor = os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC)
    try:
        opened = os.readlink(f"/proc/self/fd/{descriptor}")  # noqa: PTH115 - no file need be there
        if not stat.S_ISREG(os.fstat(descriptor).st_mode) or opened.removesuffix(" (deleted)") != str(path):
            raise OSError(errno.EINVAL, "not a plain file of the job", path.name)
        return os.fdopen(descriptor, "rb")
    except BaseException:
        os.close(descriptor)
        raise


def is_text(name: str) -> bool:
    """Whether a file's name is valid UTF-8, as the keys of S3 objects are."""
    try:
        name.encode()
    except UnicodeEncodeError:
        return False
    return True
