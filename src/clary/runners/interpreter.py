"""What of the disk an interpreter reads."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
from collections.abc import Iterable, Iterator
from pathlib import Path

_ASK = """
import json, sys
found = [sys.prefix, sys.base_prefix, sys.exec_prefix, sys.base_exec_prefix, *sys.path]
for name, module in list(sys.modules.items()):
    if name.startswith("__editable__"):
        found += list(getattr(module, "MAPPING", {}).values())
print(json.dumps(found))
"""


def interpreter_paths(python: str) -> tuple[Path, ...]:
    """The directories an interpreter reads: its prefixes, its import path with what `.pth` files and editable
    installs add, and the links that lead to its executable.

    Empty when it cannot be run: the program's own start will say why.
    """
    command = [python, "-E", "-c", _ASK]
    try:
        done = subprocess.run(command, cwd="/", stdin=subprocess.DEVNULL, capture_output=True, check=True)
    except (OSError, subprocess.CalledProcessError):
        return ()
    said = [Path(entry) for entry in json.loads(done.stdout) if Path(entry).is_absolute()]
    paths = {path for path in said if path.exists()}
    paths |= {Path(os.path.realpath(path)) for path in paths}
    for link in _links(Path(shutil.which(python) or python)):
        if not is_within(link, paths):
            paths.add(link.parent)
    return tuple(sorted(path for path in paths if not is_within(path, paths - {path})))


def _links(path: Path) -> Iterator[Path]:
    """A path and every path its links lead through."""
    for _ in range(40):
        yield path
        if not path.is_symlink():
            return
        path = Path(os.path.normpath(path.parent / path.readlink()))


def is_within(path: Path, roots: Iterable[Path]) -> bool:
    return any(path == root or root in path.parents for root in roots)
