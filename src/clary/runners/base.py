"""The runner's protocol and its laws.

A runner places one agent beside a job's program and reads the story the agent leaves in the job folder
(`clary.agent.contract` is its file format). The folder is on this machine's disk, whichever machine the agent runs on.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

from clary.agent.contract import Plan


@dataclass(frozen=True, slots=True)
class Launched:
    """`isolation` says how the program is confined, in words for Describe: `bubblewrap`, or `none: <why>`."""

    isolation: str


class Runner(Protocol):
    """Laws, each checked by `tests/contract/test_runner.py`:

    - `launch` is idempotent for a folder: however often it is called, by whichever process, at most one agent
      ever works there, and none starts in a folder that holds an outcome.
    - `launch` returns once the agent is sure to start or to leave an outcome; it does not wait for the program.
    - The agent outlives the process that launched it.
    - `is_alive` is False once the agent is gone, however it went; it never mistakes a reused pid for it.
    - `stop` asks the agent to end the program (SIGTERM, then SIGKILL after the plan's grace) and to leave its outcome;
      calling it twice, or after the end, does nothing more.
    - `clear` ends whatever process of the job is left, waits for that, and keeps the folder.
    """

    def launch(self, folder: Path, plan: Plan) -> Launched: ...
    def is_alive(self, folder: Path) -> bool: ...
    def stop(self, folder: Path) -> None: ...
    def clear(self, folder: Path) -> None: ...
