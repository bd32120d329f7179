"""What is imported before the processes part, so that it is imported once, and lies in memory once."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import suppress
from importlib import import_module
from pathlib import Path

from clary.serving.configuration import configuration

_SLOW = ("torch", "transformers", "sklearn")


def prepare(folder: Path, environment: Mapping[str, str]) -> None:
    """Where several processes will each load a model: the slow packages that they will want.

    One model that Clary runs itself is loaded by one process, which imports what it needs and no more. Runs no code of
    the user's.
    """
    told = configuration(environment)
    if told.multi_model:
        names = ["torch", "clary.serving.loading", "clary.serving.predictors"]
    elif told.workers > 1:
        scripts = "\n".join(_scripts(folder / "code"))
        names = [name for name in _SLOW if name in scripts]
    else:
        names = []
    for name in names:
        with suppress(Exception):  # what is missing or broken is told by whoever needs it
            import_module(name)


def _scripts(code: Path) -> Iterator[str]:
    for path in sorted(code.glob("*.py")):
        with suppress(OSError):
            yield path.read_text("utf-8", "replace")
