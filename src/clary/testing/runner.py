"""A runner without processes: the test tells what each job's agent and program do."""

from __future__ import annotations

import json
import os
import time
from collections.abc import Callable, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any, Literal

from clary.agent import contract
from clary.agent.contract import Outcome, Plan
from clary.runners.base import Launched

ISOLATION = "none: a fake runner runs nothing"
DEAD = "dead"

Status = Literal["Completed", "Failed", "Stopped"]


class FakeRunner:
    """Keeps every law of `Runner`. What it knows of a job lies in the job's folder, so that a second fake, of a
    server that was started again, finds the same agents.

    `launch`, `is_alive`, `stop` and `clear` are the runner's; the other methods are the test's hand. A job does
    nothing by itself, but a stop request ends it as Stopped unless `obeys_stop` is False.
    """

    def __init__(self, clock: Callable[[], float] = time.time, *, obeys_stop: bool = True) -> None:
        self._clock = clock
        self.obeys_stop = obeys_stop
        self.launched: list[Path] = []
        """Folders in which this runner started an agent, in order."""

    def launch(self, folder: Path, plan: Plan) -> Launched:
        folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        if (folder / contract.OUTCOME).exists() or not _create(folder / contract.AGENT, _agent()):
            return Launched(ISOLATION)
        contract.write_plan(folder, replace(plan, isolation=ISOLATION))
        self.launched.append(folder)
        self._heed_stop(folder)
        return Launched(ISOLATION)

    def is_alive(self, folder: Path) -> bool:
        ended = (folder / contract.OUTCOME).exists() or (folder / DEAD).exists()
        return (folder / contract.AGENT).exists() and not ended

    def stop(self, folder: Path) -> None:
        folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        if not (folder / contract.OUTCOME).exists() and _create(folder / contract.STOP, b""):
            self._heed_stop(folder)

    def clear(self, folder: Path) -> None:
        if self.is_alive(folder):
            self.kill(folder)

    def tell(self, folder: Path, status: str, message: str = "") -> None:
        """The agent goes on to a new secondary status."""
        _append(folder / contract.STORY, {"at": self._clock(), "status": status, "message": message})

    def log(self, folder: Path, text: str, *, host: str = "algo-1") -> None:
        """The program prints a line, or several."""
        path = folder / contract.LOGS / f"{host}.log"
        path.parent.mkdir(exist_ok=True)
        at_ms = int(self._clock() * 1000)
        with open(path, "a", encoding="utf-8") as file:
            file.write("".join(f"{at_ms}\t{line}\n" for line in text.splitlines()))

    def metric(self, folder: Path, name: str, value: float) -> None:
        """A metric definition matches."""
        _append(folder / contract.METRICS, {"at": self._clock(), "name": name, "value": value})

    def usage(self, folder: Path, values: Mapping[str, float], *, host: str = "algo-1") -> None:
        """The agent measures the job's utilisation."""
        _append(folder / contract.USAGE, {"at": self._clock(), "host": host, **values})

    def end(self, folder: Path, status: Status = "Completed", **facts: Any) -> Outcome:
        """The agent leaves its outcome; `facts` are further fields of `Outcome`. The first one stays."""
        facts = {"secondary": status, "at": self._clock(), **facts}
        if self.is_alive(folder):
            contract.write_outcome(folder, Outcome(status, **facts))
        outcome = contract.read_outcome(folder)
        if outcome is None:
            raise ValueError(f"{folder.name}: no agent is alive that could leave an outcome")
        return outcome

    def kill(self, folder: Path) -> None:
        """The agent is gone without a word."""
        _create(folder / DEAD, b"")

    def _heed_stop(self, folder: Path) -> None:
        if self.obeys_stop and (folder / contract.STOP).exists() and self.is_alive(folder):
            self.end(folder, "Stopped")


def _agent() -> bytes:
    return json.dumps({"pid": 0, "started": 0, "boot": "fake"}).encode()


def _create(path: Path, content: bytes) -> bool:
    """False when it was there."""
    try:
        descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    except FileExistsError:
        return False
    with open(descriptor, "wb") as file:
        file.write(content)
    return True


def _append(path: Path, document: Mapping[str, Any]) -> None:
    with open(path, "a", encoding="utf-8") as file:
        file.write(json.dumps(document) + "\n")
