"""What kinds of work there are for an agent: what each does before and after its program runs."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Protocol

from clary.agent.contract import Outcome
from clary.agent.run import Ended
from clary.agent.s3 import S3
from clary.agent.toolkit import Program, Step

DOWNLOADING = "Downloading input data"


class Work(Protocol):
    """In the order of the calls. `running` is the status while the program runs and `message` what is told of it;
    `uploading` is told afterwards (empty: nothing is), and `out_of_time` when the program is ended for its time;
    `variables` are the environment's own to the kind."""

    running: str
    message: str
    uploading: str
    out_of_time: str

    @property
    def variables(self) -> Mapping[str, str]: ...

    def stage(self, s3: S3) -> Program:
        """Brings what the program needs. Raises Fault, Interrupted."""
        ...

    def start(self) -> None:
        """The program is about to start: copy from now on what is to be copied while it runs."""
        ...

    def abandon(self) -> None:
        """The program could not be started. Raises Fault."""
        ...

    def is_done(self) -> bool:
        """Whether the program has served its end: then it is asked to end, as a stop does, and is judged.

        Looked at every tenth of a second while a program runs, in the thread that carries its output: never waits.
        """
        ...

    def judge(self, step: Step, ended: Ended) -> Outcome:
        """How a program that ended by itself did, or one that `is_done` ended (`ended.cause` is "work")."""
        ...

    def save(self, outcome: Outcome) -> Outcome:
        """Uploads what the program left, whatever its outcome. Raises Fault, OSError."""
        ...
