"""Why a program failed, in at most 1,024 characters: its own words first, with the line that failed."""

from __future__ import annotations

import re
import shlex
from collections.abc import Sequence
from itertools import pairwise
from pathlib import Path

from clary.agent.faults import REASON_LENGTH, clip
from clary.agent.places import open_own

_COMMAND_LENGTH = 200
_TRACEBACK = "Traceback (most recent call last):"
_DRIVER_REPORT = "Command failed with exit code "
_DRIVERS = "/sm_drivers/"
_FRAME = re.compile(r'\s+File "')
_RANK = re.compile(r"^\[(rank|default)\d+\]:\s?")
_NOT_OWN = ("/site-packages/", "/dist-packages/", "/lib/python", "/sm_drivers/", "<frozen ")
_KILLED = 137


def explain(
    *, error: str, argv: Sequence[str], exit_code: int, errors: Sequence[str], written: str = ""
) -> tuple[str, str]:
    """The FailureReason, and what the toolkit would write to /opt/ml/output/failure.

    `error` is the toolkit's class of the failure, empty for a container entry point; `errors` the last lines of stderr
    (or of stdout, where that is empty), oldest first; `written` what the program left in the failure file.
    """
    suffix = f", exit code: {exit_code}"
    room = REASON_LENGTH - len("AlgorithmError: ") - len(suffix)
    if written.strip():
        text = _with_errors(clip(written.strip(), room), errors, room)
    else:
        text = _toolkit_text(error, argv, exit_code, errors, room)
    return f"AlgorithmError: {text}{suffix}", text


def _with_errors(written: str, errors: Sequence[str], room: int) -> str:
    """A failure file may say only that something failed (the SDK's scripts do): the program's own words follow it."""
    if _DRIVERS in written:  # the traceback is the driver's own, and only its last line is about the program
        written = written.rpartition("\n")[2]
    left = room - len(written) - len('\nErrorMessage ""')
    message = excerpt(errors, left) if left > 80 else ""
    last = message.rstrip().rpartition("\n")[2]
    if not message or last in written:
        return written
    return f'{written}\nErrorMessage "{message}"'


def _toolkit_text(error: str, argv: Sequence[str], exit_code: int, errors: Sequence[str], room: int) -> str:
    head = f"{error}:\nExitCode {exit_code}\n" if error else f"ExitCode {exit_code}\n"
    extra = _extra(exit_code)
    if extra:
        extra = f'ExtraInfo "{extra}"\n'
    command = f'Command "{clip(shlex.join(argv), _COMMAND_LENGTH)}"'
    left = room - len(head) - len(extra) - len(command) - len('ErrorMessage ""\n')
    return f'{head}ErrorMessage "{excerpt(errors, left)}"\n{extra}{command}'


def _extra(exit_code: int) -> str:
    if exit_code == _KILLED:
        return "OutOfMemory: Process killed by SIGKILL (often the machine ran out of memory)"
    signals = {132: "SIGILL", 134: "SIGABRT", 135: "SIGBUS", 136: "SIGFPE", 139: "SIGSEGV", 143: "SIGTERM"}
    return f"Process killed by {signals[exit_code]}" if exit_code in signals else ""


def own_words(output: Sequence[str], errors: Sequence[str]) -> list[str]:
    """The lines, of stdout or of stderr, that tell best why a program failed: stderr as a rule.

    Where it is silent, or has no traceback while stdout has one, it is stdout. The drivers of version 3 of the SDK
    send both streams of the user's script to stdout, and report themselves after it: that report is cut off.
    """
    if any(_TRACEBACK in line for line in errors) or not any(line.strip() == _TRACEBACK for line in output):
        return list(errors if any(line.strip() for line in errors) else output)
    report = next((i for i, line in enumerate(output) if line.startswith(_DRIVER_REPORT)), len(output))
    return list(output[:report])


def excerpt(lines: Sequence[str], room: int) -> str:
    """The end of an error output, fitted into `room` characters.

    Where there are Python tracebacks it is the last one through the user's code (launchers add their own). One that is
    too long is cut to the last frame of the user's code, the frame that raised, and the exception.
    """
    kept = [_RANK.sub("", line.rstrip()) for line in lines if line.strip()]
    if traceback := _find_traceback(kept):
        return _fit_traceback(traceback, room)
    text = ""
    for line in reversed(kept):
        longer = f"{line}\n{text}" if text else line
        if len(longer) > room:
            break
        text = longer
    return text or (clip(kept[-1], room) if kept else "")


def _find_traceback(lines: Sequence[str]) -> Sequence[str]:
    starts = [number for number, line in enumerate(lines) if line.endswith(_TRACEBACK)]
    blocks = [lines[start:end] for start, end in pairwise([*starts, len(lines)])]
    own = [block for block in blocks if any(_is_own(line) for line in block)]
    return (own or blocks or [[]])[-1]


def _fit_traceback(lines: Sequence[str], room: int) -> str:
    end = 1
    while end < len(lines) and lines[end].startswith(" "):
        end += 1
    frames: list[list[str]] = []
    for line in lines[1:end]:
        if _FRAME.match(line):
            frames.append([line])
        elif frames:
            frames[-1].append(line)
    message = "\n".join(lines[end:])
    for words in (message, clip(message, max(room // 2, 40))):
        for chosen in _choices(frames):
            text = "\n".join([_TRACEBACK, *chosen, words])
            if len(text) <= room:
                return text
    return clip(message, room)


def _is_own(line: str) -> bool:
    return bool(_FRAME.match(line)) and not any(part in line for part in _NOT_OWN)


def _choices(frames: Sequence[Sequence[str]]) -> list[list[str]]:
    """From everything to the least that still shows the failing line."""
    if not frames:
        return [[]]
    own = [frame for frame in frames if _is_own(frame[0])]
    last, mine = list(frames[-1]), list(own[-1]) if own else []
    both = last if mine == last else [*mine, *last]
    return [
        [line for frame in frames for line in frame],
        both,
        [line for frame in ([mine, last] if mine != last else [last]) for line in frame[:2]],
        mine[:2] or last[:2],
    ]


def read_failure_file(path: Path) -> str:
    """The first 1,024 characters; empty when there is none, or something that is no file."""
    try:
        with open_own(path.parent.resolve() / path.name) as file:
            return file.read(4 * REASON_LENGTH).decode("utf-8", "replace")[:REASON_LENGTH]
    except OSError:
        return ""
