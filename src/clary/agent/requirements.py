"""Which line of a requirements.txt an installer complains about."""

from __future__ import annotations

import re
from collections.abc import Sequence
from pathlib import Path

_COMPLAINT = re.compile(r"(?:satisfies the requirement|distribution found for) ([A-Za-z0-9][\w.-]*)")
_NAME = re.compile(r"\s*([A-Za-z0-9][\w.-]*)")
_SHOWN = 120


def find_line(path: Path, errors: Sequence[str]) -> Sequence[str]:
    """`requirements.txt, line 3: <the line>`, for a package that cannot be had; empty when none can be told.

    `errors` is what pip wrote. It tells the package, which may as well be one that another package needs.
    """
    names = [_same(match[1]) for line in errors for match in _COMPLAINT.finditer(line)]
    if not names:
        return ()
    try:
        lines = path.read_text("utf-8", "replace").splitlines()
    except OSError:
        return ()
    for number, line in enumerate(lines, 1):
        match = _NAME.match(line)
        if match and _same(match[1]) == names[-1]:
            return (f"{path.name}, line {number}: {line.strip()[:_SHOWN]}",)
    return ()


def _same(name: str) -> str:
    return re.sub(r"[-_.]+", "-", name).strip("-").lower()
