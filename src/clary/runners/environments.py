"""Which Python environment a job's program runs in.

Today every image runs in the one environment the server was started with. This is the seam for more: an
`Environments` that reads framework and Python versions from the image's URI can lock an environment to them and
answer with its interpreter; nothing else of Clary looks at the URI to choose packages.
"""

from __future__ import annotations

from typing import Protocol


class Environments(Protocol):
    """Laws: any URI is accepted, one nobody knows included; the same URI gives the same answer.

    `python` answers with the path of the interpreter whose packages the program sees.
    """

    def python(self, image_uri: str) -> str: ...


class OneEnvironment:
    """The same environment for every image."""

    def __init__(self, python: str) -> None:
        self._python = python

    def python(self, image_uri: str) -> str:  # noqa: ARG002  see the module's docstring
        return self._python
