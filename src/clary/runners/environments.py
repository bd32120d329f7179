"""Which Python environment a job's program runs in, and which program serves the models of an image.

Every image runs in the one environment the server was started with, unless `images.toml` names another for it (see
`runners.images`). This is the seam for more: an `Environments` that reads framework and Python versions from the URI of
an image can lock an environment to them and answer with its interpreter; nothing else of Clary looks at the URI to
choose packages.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Protocol


class Environments(Protocol):
    """Laws: any URI is accepted, one nobody knows included; the same URI gives the same answer.

    `python` answers with the path of the interpreter whose packages the program sees; `serve` with the command that
    serves the image's models over HTTP, empty for Clary's model server.
    """

    def python(self, image_uri: str) -> str: ...
    def serve(self, image_uri: str) -> Sequence[str]: ...


class OneEnvironment:
    """The same environment for every image, and no program for any."""

    def __init__(self, python: str) -> None:
        self._python = python

    def python(self, image_uri: str) -> str:  # noqa: ARG002  see the module's docstring
        return self._python

    def serve(self, image_uri: str) -> Sequence[str]:  # noqa: ARG002
        return ()
