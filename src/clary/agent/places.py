"""Where things lie: on this machine's disk, and as the program sees them."""

from __future__ import annotations

import os
from dataclasses import dataclass
from pathlib import Path, PurePosixPath

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

    def make(self) -> None:
        for name in (
            "input/config",
            "input/data",
            "model",
            "output/data",
            "output/metrics/sagemaker",
            "output/intermediate",
            "code",
            "checkpoints",
        ):
            (self.ml / name).mkdir(parents=True, exist_ok=True)
        for path in (self.env, self.folder / "tmp", self.folder / contract.LOGS):
            path.mkdir(parents=True, exist_ok=True)
