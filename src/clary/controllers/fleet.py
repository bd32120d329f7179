"""The instances of an endpoint, each a row of its own that the job controller places, launches and follows."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Literal

from clary.agent import contract
from clary.domain import jobs
from clary.domain.async_inference import ASYNC_ENVIRONMENT
from clary.domain.endpoints import variant_of
from clary.domain.kinds import ENDPOINT, ENDPOINT_INSTANCE
from clary.domain.names import Account
from clary.store.base import AlreadyExists, Page, Resource, Store, Where

KIND = ENDPOINT_INSTANCE.name
READY = "InService"
ENDED_FROM_OUTSIDE = (
    "InternalServerError: something on this machine ended the instance (its agent got SIGTERM)."
)
MOST_REMEMBERED = 20  # instances of an endpoint that have ended: their logs can still be read
REMEMBERED_S = 7 * 86_400.0  # so long are instances of a deleted endpoint
ENDED = tuple(status for status in ENDPOINT_INSTANCE.moves if ENDPOINT_INSTANCE.is_final(status))

Phase = Literal["waiting", "starting", "ready", "stopping", "ended"]


@dataclass(frozen=True, slots=True)
class Replica:
    """One instance. waiting: for memory or a GPU. ready: its server answers."""

    id: str
    generation: str
    variant: str
    phase: Phase
    row: Resource

    @property
    def is_up(self) -> bool:
        """True of one that answers, or is on its way there."""
        return self.phase in {"waiting", "starting", "ready"}

    @property
    def was_asked_to_stop(self) -> bool:
        return any(entry["Status"] == "Stopping" for entry in self.row.state["transitions"])

    @property
    def failure(self) -> str | None:
        """Why it ended, where nobody had asked it to."""
        if self.phase != "ended" or self.was_asked_to_stop:
            return None
        if self.row.status == "Stopped":
            return ENDED_FROM_OUTSIDE
        return str(self.row.state.get("reason") or "The server program ended by itself.")

    @property
    def served_s(self) -> float:
        """How long an instance that has ended had answered."""
        since = [entry["StartTime"] for entry in self.row.state["transitions"] if entry["Status"] == READY]
        return self.row.modified - float(since[0]) if since else 0.0

    @property
    def was_interrupted(self) -> bool:
        """True when it failed through no fault of its own."""
        return (self.failure or "").startswith("InternalServerError")


@dataclass(frozen=True, slots=True)
class Fleets:
    store: Store
    account: Account
    jobs: Path
    new_id: Callable[[int], str]

    def look(self, endpoint: str) -> Sequence[Replica]:
        """All of an endpoint's instances that there are, oldest first; those that have ended too."""
        return [_replica(row) for row in self._rows(Where(name_prefix=f"{endpoint}."))]

    def alive(self, owner: str) -> Mapping[str, Mapping[str, int]]:
        """Versions of the rows of all instances that the job controller of `owner` works on, by endpoint and name."""
        found: dict[str, dict[str, int]] = {}
        for name, version in self.store.held(KIND, owner=owner).items():
            found.setdefault(name.partition(".")[0], {})[name] = version
        return found

    def make(self, endpoint: Resource, generation: str, variant: str, now: float) -> None:
        """One more instance. What it needs to know is copied into its row."""
        wanted = endpoint.state["generations"][generation]
        config = variant_of(wanted, variant)
        spec = {
            "EndpointName": endpoint.name,
            "VariantName": variant,
            "Generation": generation,
            "Model": wanted["models"][config["ModelName"]],
            "InstanceType": config.get("InstanceType", "serverless"),
            **_given(config, "ServerlessConfig"),
            **_given(config, "ContainerStartupHealthCheckTimeoutInSeconds", "StartupTimeoutInSeconds"),
            **_given(config, "ModelDataDownloadTimeoutInSeconds", "DownloadTimeoutInSeconds"),
            **({"Environment": ASYNC_ENVIRONMENT} if "AsyncInferenceConfig" in wanted["config"] else {}),
        }
        name = f"{endpoint.name}.{self.new_id(8)}"
        row = jobs.beginning(
            ENDPOINT_INSTANCE, self.account, name, spec, message="Starting the instance", now=now
        )
        try:
            self.store.create(Resource(**row))
        except AlreadyExists:
            return  # an id that is taken: the next turn draws another

    def stop(self, replica: Replica, now: float) -> None:
        """Ask it to finish what it works on, and to end."""

        def ask(row: Resource) -> Resource:
            changes = jobs.stopping(
                ENDPOINT_INSTANCE, row.status, row.state, message="Stopping the instance", now=now
            )
            return replace(row, **changes)

        self.store.update(KIND, replica.row.name, ask)

    def told(self, replica: Replica) -> dict[str, Any]:
        """What a ready one wrote down: its `address`, and its server's `report`."""
        path = self.jobs / str(replica.row.state["folder"]) / contract.SERVING
        document: dict[str, Any] = json.loads(path.read_text("utf-8"))
        return document

    def forget(self, replicas: Sequence[Replica], *, most: int = MOST_REMEMBERED) -> bool:
        """The oldest of those that have ended, with their logs, beyond so many. False if there are none such."""
        ended = sorted((one for one in replicas if one.phase == "ended"), key=lambda one: one.row.modified)
        too_many = ended[: max(0, len(ended) - most)]
        for replica in too_many:
            self._forget(replica.row)
        return bool(too_many)

    def sweep(self, now: float) -> None:
        """Forget, with their logs, what deleted endpoints left long ago."""
        where = Where(statuses=ENDED, modified_before=now - REMEMBERED_S)
        old = list(self._rows(where))
        there = {head.name for head in self.store.heads(ENDPOINT.name)} if old else set()
        for row in old:
            if row.name.partition(".")[0] not in there:
                self._forget(row)

    def _forget(self, row: Resource) -> None:
        if folder := row.state.get("folder"):
            shutil.rmtree(self.jobs / str(folder), ignore_errors=True)
        self.store.delete(KIND, row.name)

    def _rows(self, where: Where) -> Iterator[Resource]:
        token: str | None = None
        while True:
            rows, token = self.store.list(KIND, where, Page(sort="created", limit=500, after=token))
            yield from rows
            if token is None:
                return


def are_news(replicas: Sequence[Replica], alive: Mapping[str, int]) -> bool:
    """Whether an endpoint's rows have changed since they were read. `alive`: its part of what `Fleets.alive` gives."""
    return {one.row.name: one.row.version for one in replicas if one.phase != "ended"} != alive


def _replica(row: Resource) -> Replica:
    return Replica(
        id=row.name.rpartition(".")[2],
        generation=str(row.spec["Generation"]),
        variant=str(row.spec["VariantName"]),
        phase=_phase(row),
        row=row,
    )


def _phase(row: Resource) -> Phase:
    if ENDPOINT_INSTANCE.is_final(row.status):
        return "ended"
    if row.status == "Stopping":
        return "stopping"
    if row.state["secondary"] == READY:
        return "ready"
    return "waiting" if row.state["secondary"] == "Pending" else "starting"


def _given(config: Any, name: str, called: str = "") -> dict[str, Any]:
    return {called or name: config[name]} if name in config else {}
