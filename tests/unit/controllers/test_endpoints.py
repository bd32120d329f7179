from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import Any

import pytest

from clary.agent import contract
from clary.controllers.endpoints import LEAVE_S, Endpoints, Means
from clary.controllers.fleet import KIND as INSTANCE
from clary.controllers.fleet import MOST_REMEMBERED, REMEMBERED_S, Fleets
from clary.domain import jobs
from clary.domain.endpoints import beginning, deleting, generation_of, rescaled, routes, updating
from clary.domain.kinds import ENDPOINT_INSTANCE
from clary.routing.flights import Flights
from clary.store.base import Resource
from tests.unit.controllers.bench import ACCOUNT, Bench, Parts, opened


def config(count: int = 1, **variant: Any) -> dict[str, Any]:
    main = {
        "VariantName": "main",
        "ModelName": "m",
        "InitialInstanceCount": count,
        "InstanceType": "ml.small",
    }
    return {"EndpointConfigName": "c", "ProductionVariants": [{**main, **variant}]}


MODELS = {
    "m": {"ModelName": "m", "PrimaryContainer": {"Image": "image", "ModelDataUrl": "s3://b/model.tar.gz"}}
}


@dataclass
class House(Parts):
    """An endpoint controller and a job controller on one store, and the test's hand on both."""

    def __post_init__(self) -> None:
        super().__post_init__()
        self.flights = Flights()
        self.start()

    def start(self) -> None:
        """Controllers of this owner begin, or take over."""
        self.jobs = self.controller()
        fleets = Fleets(self.store, ACCOUNT, self.settings.jobs, self._id)
        self.endpoints = Endpoints(
            Means(self.store, fleets, self.flights, self.settings, "home-1", lambda: None)
        )
        self.jobs.resume(self.clock.now)
        self.endpoints.resume(self.clock.now)

    def _id(self, digits: int) -> str:
        return f"{next(self.ids):0{digits}x}"

    def create(self, count: int = 1, **variant: Any) -> None:
        wanted = generation_of("c", config(count, **variant), MODELS, now=self.clock.now)
        self.store.create(Resource(**beginning(ACCOUNT, "e", "one", wanted, now=self.clock.now)))

    def update(self, deployment: Mapping[str, Any] | None = None, **given: Any) -> None:
        wanted = generation_of("c2", config(**given), MODELS, now=self.clock.now, deployment=deployment)
        self.change(lambda row: updating(row.state, "two", wanted, now=self.clock.now))

    def change(self, fields: Any) -> None:
        assert self.store.update("endpoint", "e", lambda row: replace(row, **fields(row)))

    def step(self, seconds: float = 0.2, turns: int = 2) -> None:
        for _ in range(turns):
            self.endpoints.step(self.clock.advance(seconds))
            self.jobs.step(self.clock.advance(0.01))

    @property
    def endpoint(self) -> Resource:
        found = self.store.get("endpoint", "e")
        assert found is not None
        return found

    def rows(self, *statuses: str) -> list[Resource]:
        rows, _ = self.store.list(INSTANCE)
        return [row for row in rows if not statuses or row.status in statuses]

    def folder(self, row: Resource) -> Path:
        return self.settings.jobs / str(row.state["folder"])

    def serve(self, **report: Any) -> None:
        """Every instance that is on its way answers from now on."""
        for number, row in enumerate(self.rows("InProgress")):
            if row.state["secondary"] != "InService" and "folder" in row.state:
                folder = self.folder(row)
                told = {"address": f"127.0.0.1:{5000 + number}", "report": report}
                contract.write_document(folder / contract.SERVING, told)
                self.runner.tell(folder, "InService", "answers")
        self.jobs.step(self.clock.advance(0.01))

    def in_service(self, count: int = 1, **variant: Any) -> None:
        self.create(count, **variant)
        self.step()
        self.serve()
        self.step()
        assert self.endpoint.status == "InService"


@pytest.fixture
def house(tmp_path: Path) -> Iterator[House]:
    with opened(House, tmp_path) as house:
        yield house


def test_an_endpoint_gets_its_instances_and_says_where_they_are(house: House) -> None:
    house.create(2)
    house.step()
    rows = house.rows()
    assert len(rows) == 2
    assert {row.spec["VariantName"] for row in rows} == {"main"}
    plan = contract.read_plan(house.folder(rows[0]))
    assert plan.work == "serving"
    assert plan.model is not None and plan.model.data_url == "s3://b/model.tar.gz"
    house.serve(way="padding-free")
    house.step()
    endpoint = house.endpoint
    assert endpoint.status == "InService"
    (route,) = routes(endpoint.state)
    assert {one.address for one in route.instances} == {"127.0.0.1:5000", "127.0.0.1:5001"}
    assert endpoint.state["reports"] == {"main": {"way": "padding-free"}}


def test_an_instance_takes_no_cpu_and_is_not_held_up_by_jobs(house: House) -> None:
    house.in_service(3)  # a machine of two CPUs
    assert [row.state["slots"][0]["cpus"] for row in house.rows()] == [0, 0, 0]
    assert [contract.read_plan(house.folder(row)).cpus for row in house.rows()] == [1, 1, 1]


def test_a_model_that_cannot_be_loaded_fails_the_endpoint_with_its_reason(house: House) -> None:
    house.create(2)
    house.step()
    house.runner.end(house.folder(house.rows()[0]), "Failed", reason="AlgorithmError: KeyError: 'x-42'")
    house.step(turns=4)
    endpoint = house.endpoint
    assert endpoint.status == "Failed"
    assert "x-42" in endpoint.state["reason"]
    assert house.rows("InProgress", "Stopping") == []
    assert endpoint.due is None


def test_a_lost_instance_leaves_the_row_at_once_and_is_replaced(house: House) -> None:
    house.in_service(2)
    lost = house.rows()[0]
    house.runner.end(house.folder(lost), "Failed", reason="AlgorithmError: exit code 137")
    house.step()
    assert len(house.endpoint.state["instances"]) == 1
    assert len(house.rows("InProgress")) == 2
    house.serve()
    house.step()
    assert len(house.endpoint.state["instances"]) == 2
    assert house.endpoint.status == "InService"


def test_an_instance_that_dies_again_and_again_is_replaced_more_and_more_rarely(house: House) -> None:
    house.in_service()
    for _ in range(200):
        for row in house.rows("InProgress"):
            if "folder" in row.state:
                house.runner.end(house.folder(row), "Failed", reason="AlgorithmError: again")
        house.step(0.5, turns=1)
    # 100 s: at once, then after 1, 2, 4, 8, 16, 32 and 60 s
    assert 6 <= len(house.rows()) <= 10


def test_an_update_never_takes_an_instance_away_that_is_asked(house: House) -> None:
    house.in_service()
    old = house.endpoint.state["instances"][0]["id"]
    (route,) = routes(house.endpoint.state)
    boarded = house.flights.board(route.instances)
    assert boarded is not None and boarded.id == old
    house.update(count=1)
    house.step()
    house.serve()
    house.step()
    assert house.endpoint.status == "InService"
    assert [one["generation"] for one in house.endpoint.state["instances"]] == ["two"]
    house.step(LEAVE_S, turns=5)
    assert any(row.name.endswith(old) for row in house.rows("InProgress"))
    house.flights.land(old)
    house.step(turns=4)
    assert not any(row.name.endswith(old) for row in house.rows("InProgress"))


def test_an_instance_that_left_is_not_ended_within_the_second_of_late_readers(house: House) -> None:
    house.in_service(2)
    house.change(lambda row: rescaled(row.state, {"main": {"count": 1}}, now=house.clock.now))
    house.step(0.2)
    assert len(house.endpoint.state["instances"]) == 1
    assert len(house.rows("InProgress")) == 2
    house.step(LEAVE_S)
    assert len(house.rows("InProgress")) == 1


def test_a_failed_update_is_rolled_back_and_says_why(house: House) -> None:
    house.in_service()
    house.update(count=1)
    house.step()
    (new,) = [row for row in house.rows("InProgress") if row.spec["Generation"] == "two"]
    house.runner.end(house.folder(new), "Failed", reason="AlgorithmError: no such task")
    house.step(turns=4)
    endpoint = house.endpoint
    assert endpoint.status == "InService"
    assert "no such task" in endpoint.state["reason"]
    assert [part["generation"] for part in endpoint.state["traffic"]] == ["one"]
    assert list(endpoint.state["generations"]) == ["one"]


def test_a_controller_that_starts_again_goes_on_in_the_middle_of_an_update(house: House) -> None:
    house.in_service()
    house.update(count=1)
    house.step()
    house.start()
    house.step()
    assert len(house.rows("InProgress")) == 2
    house.serve()
    house.start()
    house.step()
    assert house.endpoint.status == "InService"
    assert house.endpoint.state["live"] == "two"
    house.step(LEAVE_S, turns=4)
    assert len(house.rows("InProgress")) == 1


def test_deleting_ends_all_instances_and_then_the_row(house: House) -> None:
    house.in_service(2)
    house.change(lambda row: deleting(now=house.clock.now))
    house.step()
    assert house.endpoint.state["instances"] == []
    house.step(LEAVE_S, turns=4)
    assert house.store.get("endpoint", "e") is None
    assert house.rows("InProgress", "Stopping") == []


def test_a_failed_endpoint_can_be_deleted(house: House) -> None:
    house.create()
    house.step()
    house.runner.end(house.folder(house.rows()[0]), "Failed", reason="broken")
    house.step(turns=4)
    house.change(lambda row: deleting(now=house.clock.now))
    house.step(turns=3)
    assert house.store.get("endpoint", "e") is None


def test_a_serverless_variant_sleeps_and_wakes_when_somebody_knocks(house: House) -> None:
    house.create(0, ServerlessConfig={"MemorySizeInMB": 2048, "MaxConcurrency": 5})
    house.step()
    house.serve()
    house.step()
    assert house.endpoint.status == "InService"
    assert len(house.endpoint.state["instances"]) == 1
    house.step(house.settings.serverless_idle_s / 2, turns=6)
    assert house.endpoint.state["instances"] == []
    assert house.rows("InProgress") == []
    with house.flights.knock("e", "main"):
        house.step()
        assert len(house.rows("InProgress")) == 1
        house.serve()
        house.step()
    assert len(house.endpoint.state["instances"]) == 1


def test_the_memory_class_of_a_serverless_variant_is_what_it_takes(house: House) -> None:
    house.create(0, ServerlessConfig={"MemorySizeInMB": 3072, "MaxConcurrency": 5})
    house.step()
    (row,) = house.rows()
    assert row.state["slots"][0]["memory_gib"] == 3.0


def test_logs_of_the_latest_ended_instances_stay_and_older_ones_go(house: House) -> None:
    house.in_service()
    for _ in range(MOST_REMEMBERED + 5):
        for row in house.rows("InProgress"):
            if "folder" in row.state:
                house.runner.end(house.folder(row), "Failed", reason="again")
        house.step(70.0, turns=2)
    house.step()
    ended = house.rows("Failed")
    assert len(ended) == MOST_REMEMBERED
    assert len(list((house.settings.jobs / INSTANCE).iterdir())) <= MOST_REMEMBERED + 1


@pytest.mark.parametrize(("is_asynchronous", "patience_s"), [(False, 600), (True, 3600)])
def test_what_takes_long_is_not_cut_short(house: House, is_asynchronous: bool, patience_s: int) -> None:
    wanted = generation_of(
        "c",
        {**config(), **({"AsyncInferenceConfig": {}} if is_asynchronous else {})},
        MODELS,
        now=house.clock.now,
    )
    house.create()
    state = house.endpoint.state
    house.change(lambda row: {"state": {**state, "generations": {"one": wanted}}})
    house.step()
    house.serve()
    house.step()
    (route,) = routes(house.endpoint.state)
    assert house.flights.board(route.instances)
    house.change(lambda row: rescaled(row.state, {"main": {"count": 0}}, now=house.clock.now))
    house.step(LEAVE_S, turns=3)
    house.step(patience_s - 10.0, turns=1)
    assert [row.status for row in house.rows()] == ["InProgress"]
    house.step(10.0, turns=1)
    assert [row.status for row in house.rows()] == ["Stopped"]


def test_an_instance_that_somebody_else_ended_is_replaced_and_fails_nothing(house: House) -> None:
    house.create()
    house.step()
    house.runner.end(house.folder(house.rows()[0]), "Stopped")
    house.step()
    assert house.endpoint.status == "Creating"
    (row,) = house.rows("InProgress")
    house.step()
    house.serve()
    house.step()
    assert house.endpoint.status == "InService"
    for _ in range(100):  # 50 s in which it is ended again and again
        for row in house.rows("InProgress"):
            if "folder" in row.state:
                house.runner.end(house.folder(row), "Stopped")
        house.step(0.5, turns=1)
    assert len(house.rows()) < 12


def test_a_clock_set_back_keeps_no_instance_that_has_to_go(house: House) -> None:
    house.in_service(2)
    house.change(lambda row: rescaled(row.state, {"main": {"count": 1}}, now=house.clock.now))
    house.step(0.2)
    for seconds in (-3600.0, -3600.0 + LEAVE_S):
        house.endpoints.step(house.clock.now + seconds)
    house.jobs.step(house.clock.advance(0.1))
    assert len(house.rows("InProgress")) == 1


def test_who_asks_again_to_delete_as_it_goes_does_not_keep_it(
    house: House, monkeypatch: pytest.MonkeyPatch
) -> None:
    house.in_service()
    house.change(lambda row: deleting(now=house.clock.now))
    house.step()
    delete = house.store.delete

    def late(kind: str, name: str, **options: Any) -> bool:
        if kind == "endpoint" and "asked again" not in house.news:
            house.news.append("asked again")  # type: ignore[arg-type]
            house.change(lambda row: {"modified": house.clock.now})
        return delete(kind, name, **options)

    monkeypatch.setattr(house.store, "delete", late)
    house.step(LEAVE_S, turns=4)
    assert house.store.get("endpoint", "e") is None


def test_an_idle_turn_reads_no_row_that_has_not_changed(
    house: House, monkeypatch: pytest.MonkeyPatch
) -> None:
    house.in_service(2)
    house.step(turns=4)
    listed: list[str] = []
    rows = house.store.list
    monkeypatch.setattr(house.store, "list", lambda kind, *how: (listed.append(kind), rows(kind, *how))[1])
    house.step(turns=5)
    assert listed == []
    house.runner.end(house.folder(house.rows()[0]), "Failed", reason="again")
    listed.clear()
    house.step()
    assert len(house.endpoint.state["instances"]) == 1
    assert listed


def test_what_deleted_endpoints_left_is_forgotten_after_a_while(house: House) -> None:
    house.in_service()
    house.runner.end(house.folder(house.rows()[0]), "Failed", reason="again")
    house.step()
    house.step(REMEMBERED_S + 1, turns=1)
    assert house.rows("Failed")  # its endpoint is there
    house.change(lambda row: deleting(now=house.clock.now))
    house.step(LEAVE_S, turns=4)
    assert house.store.get("endpoint", "e") is None
    assert len(house.rows("Failed", "Stopped")) == 2
    house.step(REMEMBERED_S - 3600.0, turns=1)
    assert len(house.rows()) == 1  # that which ended just now
    house.step(2 * 3600.0, turns=1)
    assert house.rows() == []
    assert list((house.settings.jobs / INSTANCE).iterdir()) == []


def test_an_endpoint_in_trouble_is_looked_at_more_and_more_rarely(house: House) -> None:
    house.in_service()
    (row,) = house.rows()
    house.start()
    (house.folder(row) / contract.SERVING).unlink()
    house.step(0.2, turns=300)  # 60 s
    assert 3 < house.endpoints._held["e"].faults < 15


@pytest.mark.parametrize(("timeout_s", "patience_s"), [(60.0, 120.0), (900.0, 900.0)])
def test_who_deletes_waits_for_answers_but_not_for_ever(
    house: House, timeout_s: float, patience_s: float
) -> None:
    house.settings = replace(house.settings, invocation_timeout_s=timeout_s)
    house.start()
    house.in_service()
    (route,) = routes(house.endpoint.state)
    assert house.flights.board(route.instances)
    house.change(lambda row: deleting(now=house.clock.now))
    house.step()
    house.step(patience_s - 5.0, turns=1)
    assert [row.status for row in house.rows()] == ["InProgress"]
    house.step(10.0, turns=3)
    assert house.store.get("endpoint", "e") is None


def test_an_instance_gets_free_memory_before_jobs_that_wait_in_line(tmp_path: Path) -> None:
    with opened(partial(Bench, memory_gib=2.0), tmp_path) as bench:
        bench.create("first", instance="ml.big")
        bench.create("second", instance="ml.big")
        bench.step()
        spec = {"EndpointName": "e", "VariantName": "main", "Generation": "one", "InstanceType": "ml.small"}
        spec |= {"Model": MODELS["m"]}
        row = jobs.beginning(
            ENDPOINT_INSTANCE, ACCOUNT, "e.1", spec, message="Starting", now=bench.clock.advance(1)
        )
        bench.store.create(Resource(**row))
        bench.step()
        assert bench.job("e.1", INSTANCE).state["secondary"] == "Pending"
        bench.runner.end(bench.folder("first"), "Completed")
        bench.step()
        bench.step()
        assert "folder" in bench.job("e.1", INSTANCE).state
        assert "folder" not in bench.job("second").state
