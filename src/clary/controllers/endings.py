"""How a job's row changes as its story is told and when it ends. Pure, but for tidying the folder."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from dataclasses import replace
from math import isfinite
from pathlib import Path

from clary.agent import contract
from clary.agent.contract import Outcome
from clary.controllers.hosts import LONGEST_REASON
from clary.controllers.story import News
from clary.controllers.work import WORK
from clary.domain.transitions import close, enter
from clary.store.base import Page, Resource, Store

GIVEN_UP = frozenset({"folder", "slots", "hosts", "read", "started", "streams"})


def told(job: Resource, news: News, *, now: float) -> Resource:
    """The row with what its folder newly says. A job being stopped stays Stopping whatever its agent does."""
    state = dict(job.state)
    for event in news.events:
        if event["status"] == WORK[job.kind].running or "started" in event:
            state.setdefault("started", event.get("started", event["at"]))
        if job.status != "Stopping":
            state = enter(state, event["status"], event["message"], at=event["at"])
    finals = dict(state.get("final_metrics", {}))
    series = f"{job.kind}/{job.name}"
    # no document can hold nan: None says that the last value was no finite number
    finals.update(
        {
            point.metric: [point.value if isfinite(point.value) else None, point.at]
            for point in news.points
            if point.series == series
        }
    )
    state = {**state, "final_metrics": finals, "read": dict(news.read)}
    return replace(job, state=state, modified=now if news.events else job.modified)


def ended(job: Resource, outcome: Outcome, *, now: float) -> Resource:
    """The row in its final status, with times, reason, artifacts and message."""
    work = WORK[job.kind]
    if not work.kind.may_move(job.status, outcome.status):
        outcome = replace(outcome, status="Stopped", secondary="Stopped")  # the stop came as it completed
    state = dict(job.state)
    if outcome.status == "Stopped" and outcome.secondary != "Stopped":
        state = enter(state, "Stopping", f"Stopping the {work.noun}", at=min(outcome.at, now))
    reason = outcome.reason[:LONGEST_REASON] if outcome.reason else None
    message = reason if outcome.status == "Failed" and reason else work.message(outcome.secondary)
    state = close(enter(state, outcome.secondary, message, at=now), at=now)
    facts = {
        "started": outcome.started,
        "ended": outcome.ended if outcome.started is not None else None,
        "reason": reason if outcome.status == "Failed" else None,
        "artifacts": outcome.artifacts,
        "exit_code": outcome.exit_code,
        "exit_message": outcome.message,
    }
    state.update({key: value for key, value in facts.items() if value is not None})
    if "started" in state:
        state.setdefault("ended", now)
    state.pop("slots", None)
    return replace(job, status=outcome.status, state=state, modified=now, due=None)


def lost(now: float, *, last_words: str = "") -> Outcome:
    """The outcome of a job whose agent is gone and left none; `last_words` is what it wrote to its own log."""
    reason = (
        "InternalServerError: the process that supervised this job ended without an outcome: it was killed "
        "from outside, ran out of memory, or the machine restarted. No process of the job is left. Start the "
        "job again, or give it a RetryStrategy."
    )
    if last_words:
        reason += f" Its last words: {last_words}"
    return Outcome("Failed", "Failed", now, reason=reason)


def broken(error: Exception | None, now: float) -> Outcome:
    """The outcome of a job whose handling failed here again and again."""
    return Outcome("Failed", "Failed", now, reason=f"InternalServerError: {type(error).__name__}: {error}")


def is_to_be_retried(job: Resource, outcome: Outcome) -> bool:
    """Only the platform's own faults are retried, never the user's, and never a job being stopped."""
    most = job.spec.get("RetryStrategy", {}).get("MaximumRetryAttempts", 0)
    ours = outcome.status == "Failed" and (outcome.reason or "").startswith("InternalServerError")
    return ours and job.status == "InProgress" and int(job.state.get("attempts", 0)) < most


def retried(job: Resource, outcome: Outcome, *, now: float) -> Resource:
    """The row as one that waits again; its metrics so far stay."""
    state = {key: value for key, value in job.state.items() if key not in GIVEN_UP}
    state["attempts"] = int(state.get("attempts", 0)) + 1
    state = enter(state, "Restarting", outcome.reason or "", at=now)
    again = f"Starting the {WORK[job.kind].noun} again"
    return replace(job, state=enter(state, "Starting", again, at=now), modified=now)


def tidy(folder: Path) -> None:
    """Remove what only a running job needs: its data, environment and the plan with its key."""
    for host in (folder, *folder.glob("algo-*")):
        for name in (contract.ML, "env", "tmp", "home", "nothing", "transform"):
            shutil.rmtree(host / name, ignore_errors=True)
        for name in (contract.PLAN, contract.STOP):
            (host / name).unlink(missing_ok=True)


def sweep(store: Store, jobs: Path) -> None:
    """What a server that died between two steps left: folders of jobs that are gone, working files of ended ones."""
    wanted = {str(row.state["folder"]): row for kind in WORK for row in _placed(store, kind)}
    for folder in jobs.glob("*/*"):
        row = wanted.get(f"{folder.parent.name}/{folder.name}")
        if row is None:
            shutil.rmtree(folder, ignore_errors=True)
        elif WORK[row.kind].kind.is_final(row.status) and _is_untidy(folder):
            tidy(folder)


def _placed(store: Store, kind: str) -> Iterator[Resource]:
    after: str | None = None
    while True:
        rows, after = store.list(kind, page=Page(sort="name", limit=1000, after=after))
        yield from (row for row in rows if "folder" in row.state)
        if after is None:
            return


def _is_untidy(folder: Path) -> bool:
    return any((host / contract.PLAN).exists() for host in (folder, *folder.glob("algo-*")))
