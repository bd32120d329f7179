"""`images.toml` in Clary's home: which environment an image stands for, and which program serves its models.

    [images]
    "*/my-classifier:*" = { serve = ["python", "/srv/classifier/serve.py"] }
    "*pytorch-inference:1.13*" = { python = "/srv/envs/torch-1.13/bin/python" }

Keys are patterns of image URIs (* any text, ? one character, [ab] one of these); the first that matches counts. `serve`
is a command: in its words, {port} stands for the port it has to listen on and {model_dir} for the model's folder.
"""

from __future__ import annotations

import os
from collections.abc import Sequence
from dataclasses import dataclass
from fnmatch import fnmatchcase
from pathlib import Path

from clary.runners.tables import TableFault, read_text, rows_of

TABLE = "images.toml"
_FIELDS = ("serve", "python")


@dataclass(frozen=True, slots=True)
class Image:
    """One row. Without `serve` Clary's model server serves the models; without `python` it is the one environment."""

    pattern: str
    serve: tuple[str, ...] = ()
    python: str = ""


class Images:
    """`Environments` by a table; what no row names runs in the environment of `python`."""

    def __init__(self, rows: Sequence[Image], python: str) -> None:
        self._rows = tuple(rows)
        self._python = python

    @classmethod
    def read(cls, home: Path, python: str) -> Images:
        """The rows of `<home>/images.toml`, if there is one. Raises TableFault."""
        path = home / TABLE
        return cls(parse_images(read_text(path), str(path)) if path.exists() else (), python)

    def python(self, image_uri: str) -> str:
        return self._row(image_uri).python or self._python

    def serve(self, image_uri: str) -> Sequence[str]:
        return self._row(image_uri).serve

    def _row(self, image_uri: str) -> Image:
        matching = (row for row in self._rows if fnmatchcase(image_uri, row.pattern))
        return next(matching, Image(""))


def parse_images(text: str, source: str) -> list[Image]:
    """Rows in the order of the file. Raises TableFault; `source` is the file's name in its message."""
    return [_image(pattern, row, where) for pattern, row, where in rows_of(text, "images", source)]


def _image(pattern: str, row: object, where: str) -> Image:
    if not isinstance(row, dict) or not row:
        raise TableFault(f'{where}: say {{ serve = ["python", "/srv/serve.py"] }}, or python, or both')
    for name in row:
        if name not in _FIELDS:
            raise TableFault(f"{where}: unknown field {name!r}; there are {', '.join(_FIELDS)}")
    serve = row.get("serve", [])
    if not isinstance(serve, list) or ("serve" in row and not serve):
        raise TableFault(f'{where}: serve = {serve!r}: say a command as a list, ["python", "/srv/serve.py"]')
    if not all(isinstance(word, str) and word and "\0" not in word for word in serve):
        raise TableFault(f"{where}: serve = {serve!r}: every word of the command is a text that is not empty")
    return Image(pattern, tuple(serve), _interpreter(row, where))


def _interpreter(row: dict[str, object], where: str) -> str:
    python = row.get("python", "")
    if not isinstance(python, str) or ("python" in row and not Path(python).is_absolute()):
        raise TableFault(f"{where}: python = {python!r}: say the whole path of an environment's interpreter")
    if python and not (Path(python).is_file() and os.access(python, os.X_OK)):
        raise TableFault(f"{where}: python = {python!r}: there is no such program")
    return python
