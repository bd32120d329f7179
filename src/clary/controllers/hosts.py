"""The hosts of a job: where each lives, and how their outcomes become the job's. Pure."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from clary.agent.contract import Outcome, host_folder
from clary.store.base import Resource

LONGEST_REASON = 1024
MESSAGE_BYTES = 1024


@dataclass(frozen=True, slots=True)
class Host:
    """`folder` has the host's files; `prefix` goes before their names where the job notes how far it has read them."""

    name: str
    folder: Path
    prefix: str


def host_names(count: int) -> list[str]:
    return [f"algo-{number}" for number in range(1, count + 1)]


def hosts_of(job: Resource, jobs: Path) -> Sequence[Host]:
    """Of a job that has its place; `jobs` is the folder of all jobs. None of one that waits."""
    if "folder" not in job.state:
        return ()
    names = job.state.get("hosts", host_names(1))
    folder = jobs / job.state["folder"]
    return [
        Host(name, host_folder(folder, name, names), f"{name}/" if len(names) > 1 else "") for name in names
    ]


def together(outcomes: Mapping[str, Outcome]) -> Outcome:
    """The job's outcome, of those of all its hosts: completed only if every host did.

    Otherwise the first host that failed says why; those that were stopped for its sake do not count.
    """
    if len(outcomes) == 1:
        return next(iter(outcomes.values()))
    name, decisive = _decisive(outcomes)
    reason = decisive.reason
    if reason is not None:
        told = f" (on {name} of {len(outcomes)} hosts)"
        reason = reason[: LONGEST_REASON - len(told)] + told
    all_of_them = list(outcomes.values())
    started = [outcome.started for outcome in all_of_them if outcome.started is not None]
    ended = [outcome.ended for outcome in all_of_them if outcome.ended is not None]
    return replace(
        decisive,
        at=max(outcome.at for outcome in all_of_them),
        reason=reason,
        started=min(started, default=None),
        ended=max(ended, default=None),
        artifacts=next((outcome.artifacts for outcome in all_of_them if outcome.artifacts), None),
        message=_joined(outcome.message for outcome in all_of_them if outcome.message),
        notes=tuple(dict.fromkeys(note for outcome in all_of_them for note in outcome.notes)),
    )


def _decisive(outcomes: Mapping[str, Outcome]) -> tuple[str, Outcome]:
    """The gravest ending; of several such the first."""
    return min(outcomes.items(), key=lambda pair: (_gravity(pair[1]), pair[1].at))


def _gravity(outcome: Outcome) -> int:
    if outcome.status == "Failed":
        return 0
    if outcome.status == "Stopped":
        return 1 if outcome.secondary == "MaxRuntimeExceeded" else 2
    return 3


def _joined(messages: Iterator[str]) -> str | None:
    """The first KB of all of them."""
    text = "\n".join(messages).encode()[:MESSAGE_BYTES].decode("utf-8", "ignore")
    return text or None
