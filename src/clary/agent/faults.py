"""What can end a job before or beside the user's program, each with the word SageMaker puts before the reason."""

from __future__ import annotations

REASON_LENGTH = 1024


class Fault(Exception):
    """Ends the job as Failed. The message names the thing at fault and what to do; it never holds a secret."""

    kind = "InternalServerError"

    @property
    def reason(self) -> str:
        return clip(f"{self.kind}: {self}")


class ClientFault(Fault):
    """Something the user gave is wrong: a data location, an archive, a missing program."""

    kind = "ClientError"


class AlgorithmFault(Fault):
    """The user's program, or what it asked to be installed, failed."""

    kind = "AlgorithmError"


class PlatformFault(Fault):
    """Clary or the machine is at fault."""


class Interrupted(Exception):
    """The job was asked to stop while the agent was waiting or copying."""


def clip(text: str, length: int = REASON_LENGTH) -> str:
    return text if len(text) <= length else text[: length - 3] + "..."
