"""The instances of an endpoint, each a row of its own that the job controller places, launches and follows."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Literal

from clary.agent import contract
from clary.domain import jobs
from clary.domain.async_inference import ASYNC_ENVIRONMENT
from clary.domain.endpoints import variant_of
from clary.domain.kinds import ENDPOINT_INSTANCE
from clary.domain.names import Account
from clary.store.base import AlreadyExists, Page, Resource, Store, Where

KIND = ENDPOINT_INSTANCE.name
MOST_REMEMBERED = 20  # instances of an endpoint that have ended: their logs can still be read

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
    def failure(self) -> str | None:
        """Why it ended, where nobody had asked it to."""
        if self.row.status not in {"Failed", "Completed"}:
            return None
        return str(self.row.state.get("reason") or "The server program ended by itself.")

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
        rows: list[Resource] = []
        token: str | None = None
        while True:
            page = Page(sort="created", limit=500, after=token)
            found, token = self.store.list(KIND, Where(name_prefix=f"{endpoint}."), page)
            rows += found
            if token is None:
                return [_replica(row) for row in rows]

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

    def forget(self, replicas: Sequence[Replica], *, most: int = MOST_REMEMBERED) -> None:
        """The oldest of those that have ended, with their logs, beyond so many."""
        ended = sorted((one for one in replicas if one.phase == "ended"), key=lambda one: one.row.modified)
        for replica in ended[: max(0, len(ended) - most)]:
            if folder := replica.row.state.get("folder"):
                shutil.rmtree(self.jobs / str(folder), ignore_errors=True)
            self.store.delete(KIND, replica.row.name)


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
    if row.state["secondary"] == "InService":
        return "ready"
    return "waiting" if row.state["secondary"] == "Pending" else "starting"


def _given(config: Any, name: str, called: str = "") -> dict[str, Any]:
    return {called or name: config[name]} if name in config else {}
