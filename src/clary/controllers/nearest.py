"""For a metric's regular expression that matched nothing: the lines of the log that look most like what it seeks."""

from __future__ import annotations

import re
from difflib import SequenceMatcher
from pathlib import Path

MOST_BYTES = 256 * 1024
LONGEST_LINE = 160
SHOWN = 3
NOTE = "clary: "  # begins what the agent adds to a job's log


def explain(logs: Path, metric: str, regex: str) -> str:
    """A sentence for people. `logs` is the folder of a job's log files (`<epoch ms>\\t<text>` lines)."""
    lines = _lines(logs)
    said = next((line for line in lines if line.startswith(f"{NOTE}The regex of metric {metric!r} ")), None)
    if said is not None:
        # it did match, or took too long: the agent says at the log's end what was wrong with that
        fault = said.removeprefix(NOTE)
        return f"The objective metric {metric!r} has no value. Its regex is {regex!r}. {fault}"
    found = nearest(regex, lines, metric=metric)
    told = (
        f"The regex {regex!r} of the objective metric {metric!r} matched no line of the training job's log."
    )
    if not found:
        return f"{told} The log is empty: print the objective to stdout or stderr."
    shown = "; ".join(repr(line) for line in found)
    return f"{told} The nearest lines are: {shown}"


def nearest(regex: str, lines: list[str], *, metric: str) -> list[str]:
    """Up to SHOWN different lines, the most similar first."""
    sought = [text.lower() for text in (literal(regex), metric) if text]
    digits = re.compile(r"\d")

    def likeness(line: str) -> tuple[float, bool]:
        return max((_overlap(text, line.lower()) for text in sought), default=0.0), bool(digits.search(line))

    different = list(dict.fromkeys(line.strip()[:LONGEST_LINE] for line in reversed(lines) if line.strip()))
    return sorted(different, key=likeness, reverse=True)[:SHOWN]


def literal(regex: str) -> str:
    """What of an expression stands for itself, roughly: `'f1': ([0-9.]+)` gives `'f1': `."""
    without_groups = re.sub(r"\((?:[^()\\]|\\.)*\)|\[(?:[^\]\\]|\\.)*\]|\\[sSdDwWbB]", "", regex)
    return re.sub(r"\\(.)", r"\1", re.sub(r"(?<!\\)[.^$*+?{}|()]", "", without_groups))


def _overlap(text: str, line: str) -> float:
    """The share of `text` that is found in one piece in `line`, and a little for the rest."""
    matcher = SequenceMatcher(None, text, line, autojunk=False)
    return matcher.find_longest_match().size / len(text) + 0.1 * matcher.ratio()


def _lines(logs: Path) -> list[str]:
    found: list[str] = []
    for path in sorted(logs.glob("*.log")):
        with path.open("rb") as file:
            size = file.seek(0, 2)
            file.seek(max(0, size - MOST_BYTES))
            text = file.read().decode("utf-8", "replace")
        found += [line.partition("\t")[2] for line in text.splitlines()]
    return found
