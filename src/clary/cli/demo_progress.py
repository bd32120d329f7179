"""Showing how the demo's program gets on: its lines as they come and, on a terminal, a bar with the time left."""

from __future__ import annotations

import re
from collections import deque
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Protocol

from rich.console import Console
from rich.progress import (
    BarColumn,
    Progress,
    TaskProgressColumn,
    TextColumn,
    TimeElapsedColumn,
    TimeRemainingColumn,
)
from rich.text import Text

TAIL_LINES = 20

_STATUS = re.compile(
    r" (Starting|Pending|Downloading|Training|Uploading|Stopping|Completed|Failed|Stopped) - "
)
_ENDPOINT = "Creating endpoint with name"
_ANSWER = re.compile(r"\bpredicted: (.+)")
_EPOCH = re.compile(r"'epoch': '?([0-9.]+)")
_ESCAPE = re.compile(r"\x1b\[[0-9;]*m")
# What the clients say of themselves, sometimes behind a status that has no newline yet.
_NOISE = re.compile(r"(?:INFO:botocore|INFO:sagemaker\.image_uris|sagemaker\.config INFO)\b.*$")


def readable(line: str) -> str | None:
    """The line without colours; None for one that tells the reader nothing."""
    text = _ESCAPE.sub("", line)
    found = _NOISE.search(text)
    if found is None:
        return text
    return text[: found.start()] or None


def answer_in(line: str) -> str | None:
    """What the deployed model answered, if the line tells it."""
    found = _ANSWER.search(line)
    return found[1] if found else None


class Display(Protocol):
    """Takes the program's output, a line at a time. `tail` are the last lines it was shown."""

    tail: deque[str]

    def show(self, line: str) -> None: ...


class Lines:
    """Plain lines: for pipes and files."""

    def __init__(self, console: Console) -> None:
        self.tail: deque[str] = deque(maxlen=TAIL_LINES)
        self._console = console

    def show(self, line: str) -> None:
        text = readable(line)
        if text is None:
            return
        self.tail.append(text)
        self._console.print(Text(text), soft_wrap=True)


class Bar:
    """The lines, and below them how far the training is."""

    def __init__(self, progress: Progress, epochs: float) -> None:
        self.tail: deque[str] = deque(maxlen=TAIL_LINES)
        self._progress = progress
        self._task = progress.add_task("Preparing", total=epochs, start=False)

    def show(self, line: str) -> None:
        text = readable(line)
        if text is None:
            return
        self.tail.append(text)
        self._progress.console.print(Text(text, style="dim"), soft_wrap=True)
        if status := _STATUS.search(text):
            self._progress.update(self._task, description=status[1])
            if status[1] == "Training":
                self._progress.start_task(self._task)
        if _ENDPOINT in text:
            self._progress.update(self._task, description="Deploying")
        if epoch := _EPOCH.search(text):
            self._progress.update(self._task, completed=float(epoch[1]))


@contextmanager
def display(console: Console, epochs: float) -> Iterator[Display]:
    """A bar on a terminal, plain lines elsewhere."""
    if not console.is_terminal:
        yield Lines(console)
        return
    columns = (
        TextColumn("[bold]{task.description}"),
        BarColumn(),
        TaskProgressColumn(),
        TimeElapsedColumn(),
        TextColumn("left"),
        TimeRemainingColumn(),
    )
    # A job may log once a minute: rich forgets older steps than this when it reckons the time left.
    with Progress(*columns, console=console, transient=True, speed_estimate_period=600) as progress:
        yield Bar(progress, epochs)
