"""Whatever is asked of an endpoint, and whatever dies meanwhile: it keeps its laws, and comes to be as was asked."""

from __future__ import annotations

import random
from collections.abc import Iterator, Mapping
from functools import partial
from pathlib import Path
from typing import Any

import pytest

from clary.controllers.endpoints import LEAVE_S
from clary.domain.endpoints import deleting, generation_of, rescaled, routes, updating
from clary.domain.kinds import ENDPOINT
from clary.store.base import Resource
from tests.unit.controllers.bench import opened
from tests.unit.controllers.test_endpoints import MODELS, House, config

SIZE = {"Type": "CAPACITY_PERCENT", "Value": 30}
CANARY = {"Type": "CANARY", "WaitIntervalInSeconds": 3, "CanarySize": SIZE}
LINEAR = {"Type": "LINEAR", "WaitIntervalInSeconds": 2, "LinearStepSize": SIZE}
DEPLOYMENTS: tuple[Mapping[str, Any] | None, ...] = (
    None,
    {"BlueGreenUpdatePolicy": {"TrafficRoutingConfiguration": CANARY, "TerminationWaitInSeconds": 2}},
    {"BlueGreenUpdatePolicy": {"TrafficRoutingConfiguration": LINEAR}},
    {
        "RollingUpdatePolicy": {
            "MaximumBatchSize": {"Type": "INSTANCE_COUNT", "Value": 1},
            "WaitIntervalInSeconds": 1,
        }
    },
)
ENDINGS = (("Failed", "AlgorithmError: x"), ("Failed", "InternalServerError: y"), ("Stopped", None))
ANSWERING = {"InService", "Updating", "RollingBack", "UpdateRollbackFailed"}


class Chance:
    """Things that happen to an endpoint; `calm` is how many moments ago one of its instances died."""

    def __init__(self, house: House, draw: random.Random) -> None:
        self.house = house
        self.draw = draw
        self.generations: Iterator[int] = iter(range(100_000))
        self.last: Resource | None = None
        self.left: dict[str, float] = {}
        self.calm = 0

    @property
    def row(self) -> Resource | None:
        return self.house.store.get("endpoint", "e")

    def happen(self) -> None:
        self.calm += 1
        row, draw = self.row, self.draw
        if row is None:
            self.house.create(draw.randrange(1, 4))
        elif draw.random() < 0.25:
            draw.choice((self.update, self.scale, self.delete, self.end_one, self.end_one, self.restart))(row)
        if draw.random() < 0.6:
            self.house.serve()
        for _ in range(draw.randrange(1, 4)):
            if draw.random() < 0.7:
                self.house.endpoints.step(self.house.clock.advance(draw.choice((0.05, 0.2, 0.5, 1.0))))
                self.check()
            if draw.random() < 0.7:
                self.house.jobs.step(self.house.clock.advance(0.01))

    def update(self, row: Resource) -> None:
        if row.status in {"InService", "UpdateRollbackFailed"}:
            now, deployment = self.house.clock.now, self.draw.choice(DEPLOYMENTS)
            wanted = generation_of(
                "c", config(self.draw.randrange(1, 4)), MODELS, now=now, deployment=deployment
            )
            name = f"g{next(self.generations)}"
            self.house.change(lambda row: updating(row.state, name, wanted, now=now))

    def scale(self, row: Resource) -> None:
        if row.status == "InService":
            changes = {"main": {"count": self.draw.randrange(1, 4)}}
            self.house.change(lambda row: rescaled(row.state, changes, now=self.house.clock.now))

    def delete(self, row: Resource) -> None:
        if self.draw.random() < 0.2:
            self.house.change(lambda row: deleting(now=self.house.clock.now))

    def end_one(self, row: Resource) -> None:
        placed = [one for one in self.house.rows("InProgress") if "folder" in one.state]
        if placed:
            status, reason = self.draw.choice(ENDINGS)
            self.house.runner.end(self.house.folder(self.draw.choice(placed)), status, reason=reason)
            self.calm = 0

    def restart(self, row: Resource) -> None:
        self.house.start()

    def check(self) -> None:
        """The laws that hold at every moment."""
        before, row = self.last, self.row
        self.last = row
        if row is None:
            assert not self.house.rows("InProgress", "Stopping")
            return
        if before is not None and before.created == row.created:
            # a status may have come and gone between two looks
            steps = ENDPOINT.moves[before.status]
            further = {end for step in steps for end in ENDPOINT.moves[step]}
            assert row.status in {before.status, *steps, *further}
        self._check_instances(row)
        shares = {part["generation"]: part["share"] for part in row.state["traffic"]}
        assert shares.keys() <= row.state["generations"].keys()
        assert not shares or sum(shares.values()) == pytest.approx(1.0)
        if row.status in ANSWERING and before is not None and before.state["instances"] and self.calm > 8:
            assert any(route.instances for route in routes(row.state))

    def _check_instances(self, row: Resource) -> None:
        """None is asked to end while it may be asked, or has been a moment ago."""
        now, asked = self.house.clock.now, {one["id"] for one in row.state["instances"]}
        for one in self.house.rows("InProgress", "Stopping"):
            name = one.name.rpartition(".")[2]
            if name in asked:
                assert one.status == "InProgress"
                self.left[name] = now
            elif one.status == "Stopping" and name in self.left:
                stopped = next(each for each in one.state["transitions"] if each["Status"] == "Stopping")
                assert stopped["StartTime"] - self.left[name] >= LEAVE_S - 1e-6

    def settle(self) -> None:
        """Nothing happens any more, and all comes to be as was asked."""
        for _ in range(300):
            self.house.serve()
            self.house.step(1.0, turns=1)
            self.check()
            if self.is_settled():
                return
        raise AssertionError(self.row, self.house.rows("InProgress", "Stopping"))

    def is_settled(self) -> bool:
        row, running = self.row, self.house.rows("InProgress", "Stopping")
        if row is None or row.status == "Failed":
            return not running
        count = row.state["generations"][row.state["target"]]["variants"]["main"]["count"]
        is_right = len(running) == len(row.state["instances"]) == count
        return row.status == "InService" and is_right


def live(home: Path, seed: int, moments: int) -> None:
    # a machine with room for three instances and hardly more
    with opened(partial(House, memory_gib=5.0), home) as house:
        chance = Chance(house, random.Random(seed))
        for _ in range(moments):
            chance.happen()
        chance.settle()


@pytest.mark.parametrize("seed", range(3))
def test_an_endpoint_keeps_its_laws(tmp_path: Path, seed: int) -> None:
    live(tmp_path, seed, moments=40)


@pytest.mark.slow
@pytest.mark.timeout(600)
@pytest.mark.parametrize("seed", range(100, 120))
def test_an_endpoint_keeps_its_laws_for_long(tmp_path: Path, seed: int) -> None:
    live(tmp_path, seed, moments=120)
