"""Which Python environment a job's program runs in.

Today every image runs in the one environment the server was started with. This is the seam for more: an
`Environments` that reads framework and Python versions from the image's URI can lock an environment to them and
answer with its interpreter; nothing else of Clary looks at the URI to choose packages.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Protocol


@dataclass(frozen=True, slots=True)
class Environment:
    """`python` is the path of the interpreter whose packages the program sees."""

    python: str


class Environments(Protocol):
    """Laws: any URI is accepted, one nobody knows included; the same URI gives an equal answer."""

    def find(self, image_uri: str) -> Environment: ...


class OneEnvironment:
    """The same environment for every image."""

    def __init__(self, python: str) -> None:
        self._environment = Environment(python)

    def find(self, image_uri: str) -> Environment:  # noqa: ARG002  see the module's docstring
        return self._environment
