from __future__ import annotations

import json
import threading
from base64 import b64encode
from collections.abc import Callable, Iterator
from contextlib import closing
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import pytest

from clary.controllers.async_inference import AsyncInference, Means, in_a_thread
from clary.controllers.async_request import FAULT_REST_S, Invoke, Room, World
from clary.domain.async_inference import beginning
from clary.objects.base import Bucket, Meta, NoSuchKey
from clary.objects.disk import DiskObjects
from clary.routing.ask import Answer, Ask, NoAnswer, WhyNot
from clary.settings import Settings
from clary.store.base import Resource
from clary.store.sql import SqlStore, open_store
from clary.testing import SteppedClock
from tests.unit.hosted import ACCOUNT, ASYNC, add_endpoint, set_instances

KIND = "async-invocation"


@dataclass
class Model:
    """Stands in for the router: what was asked, and what it answers or raises next."""

    asked: list[Ask] = field(default_factory=list)
    says: list[Answer | NoAnswer | Exception] = field(default_factory=list)

    def __call__(self, endpoint: Resource, ask: Ask) -> Answer:
        self.asked.append(ask)
        said = self.says.pop(0) if self.says else said_well(ask.body.upper())
        if isinstance(said, Exception):
            raise said
        return said


def said_well(body: bytes) -> Answer:
    return Answer(200, {"content-type": "text/plain"}, body, "AllTraffic", "i1")


def said_badly(status: int, body: bytes, **headers: str) -> Answer:
    return Answer(status, {"content-type": "application/json", **headers}, body, "AllTraffic", "i1")


def silence(kind: WhyNot, message: str = "silence") -> NoAnswer:
    return NoAnswer(kind, message, variant="AllTraffic")


@dataclass
class Bench:
    """The controller on a real store and real objects; work that it begins is done when the test says so."""

    store: SqlStore
    objects: DiskObjects
    clock: SteppedClock
    home: Path
    model: Invoke = field(default_factory=Model)

    def __post_init__(self) -> None:
        self.begun: list[Callable[[], None]] = []
        self.controller = self.new_controller()

    def new_controller(self, owner: str = "home-1") -> AsyncInference:
        world = World(self.objects, ACCOUNT, lambda endpoint, ask: self.model(endpoint, ask), self.clock)
        settings = Settings(home=self.home)
        nothing = lambda: None  # noqa: E731
        return AsyncInference(Means(self.store, world, settings, owner, nothing, nothing, self.begun.append))

    def endpoint(self, name: str = "e", instances: int = 1, **client: int) -> Resource:
        config = {**ASYNC, "ClientConfig": client} if client else ASYNC
        return add_endpoint(
            self.store, name, now=self.clock(), instances=instances, AsyncInferenceConfig=config
        )

    def send(self, id: str, body: bytes = b"hello", endpoint: str = "e", **given: Any) -> None:  # noqa: A002
        made = self.store.get("endpoint", endpoint)
        state = {
            "content_type": "text/plain",
            "output": f"s3://data/out/{id}.out",
            "failure": f"s3://data/failures/{id}-error.out",
            "endpoint": made.created if made else 0.0,
        }
        spec = {"EndpointName": endpoint, "InferenceId": f"i-{id}", **given}
        if "InputLocation" not in given:
            spec["Body"] = b64encode(body).decode()
        self.store.create(Resource(**beginning(ACCOUNT, id, spec, state, now=self.clock())))

    def step(self, seconds: float = 1.0) -> float:
        """A turn, the requests it begins, and the turn after."""
        self.clock.advance(seconds)
        self.controller.step(self.clock())
        self.finish()
        return self.controller.step(self.clock())

    def finish(self) -> None:
        while self.begun:
            self.begun.pop(0)()

    def left(self) -> list[str]:
        return [head.name for head in self.store.heads(KIND)]

    def read(self, key: str) -> bytes | None:
        try:
            with self.objects.open("data", key) as opened:
                return b"".join(opened.chunks(0, opened.object.size))
        except NoSuchKey:
            return None

    def output(self, id: str) -> bytes | None:  # noqa: A002
        return self.read(f"out/{id}.out")

    def failure(self, id: str) -> Any:  # noqa: A002
        found = self.read(f"failures/{id}-error.out")
        return None if found is None else json.loads(found)

    def put(self, key: str, body: bytes) -> None:
        with self.objects.stage() as staged:
            staged.write(body)
            self.objects.put("data", key, staged, etag="e", modified=1.0, meta=Meta())

    def metric(self, name: str, endpoint: str = "e") -> list[float]:
        return [point.value for point in self.store.points(f"endpoint/{endpoint}", name)]


@pytest.fixture
def bench(tmp_path: Path) -> Iterator[Bench]:
    ids = iter(range(1_000_000))
    with closing(open_store(f"sqlite:///{tmp_path / 'clary.db'}")) as store:
        objects = DiskObjects(
            store.engine, tmp_path / "objects", new_id=lambda digits: f"{next(ids):0{digits}x}"
        )
        objects.create_bucket(Bucket("data", 1.0))
        yield Bench(store, objects, SteppedClock(), tmp_path)


def test_a_request_is_answered_and_its_row_is_gone(bench: Bench) -> None:
    model = bench.model = Model()
    bench.endpoint()
    bench.send("1", Accept="text/plain", CustomAttributes="c=1")
    bench.send("2", b"inline", InvocationTimeoutSeconds=7)
    bench.step()
    assert (bench.output("1"), bench.output("2")) == (b"HELLO", b"INLINE")
    assert bench.left() == []
    assert bench.failure("1") is None
    first, second = model.asked
    assert dict(first.headers) == {
        "Content-Type": "text/plain",
        "Accept": "text/plain",
        "X-Amzn-SageMaker-Custom-Attributes": "c=1",
        "X-Amzn-SageMaker-Inference-Id": "i-1",
    }
    assert (first.timeout_s, second.timeout_s) == (900.0, 7.0)
    assert first.asynchronous
    found = bench.objects.head("data", "out/1.out")
    assert found.meta.headers["ContentType"] == "text/plain"
    assert found.etag == "eb61eead90e3b899c6bcbe27ac581660"


def test_an_input_is_read_from_its_place(bench: Bench) -> None:
    bench.endpoint()
    bench.put("in/a", b"from s3")
    bench.send("1", InputLocation="s3://data/in/a")
    bench.step()
    assert bench.output("1") == b"FROM S3"


def test_an_input_that_is_gone_is_a_failure(bench: Bench) -> None:
    bench.endpoint()
    bench.send("1", InputLocation="s3://data/in/a")
    bench.step()
    told = bench.failure("1")
    assert told["failureReason"].startswith("ClientError: InputLocation s3://data/in/a is gone")
    assert told["requestParameters"] == {"endpointName": "e", "inputLocation": "s3://data/in/a"}
    assert bench.left() == []


def test_a_models_error_is_told_and_not_tried_again(bench: Bench) -> None:
    model = bench.model = Model(says=[said_badly(400, b'{"message": "no text"}'), said_badly(500, b"\xff")])
    bench.endpoint()
    bench.send("1")
    bench.send("2")
    bench.step()
    told = bench.failure("1")
    assert told["invocationStatus"] == "Failed"
    assert told["inferenceId"] == "i-1"
    assert (told["originalStatusCode"], told["originalMessage"]) == (400, '{"message": "no text"}')
    assert told["failureReason"] == (
        'ModelError: Received client error (400) from AllTraffic with message "{"message": "no text"}"'
    )
    assert "server error (500)" in bench.failure("2")["failureReason"]
    assert (bench.output("1"), bench.left(), len(model.asked)) == (None, [], 2)


def test_a_request_whose_instance_died_is_tried_once_more(bench: Bench) -> None:
    model = bench.model = Model(says=[silence("died")])
    bench.endpoint()
    bench.send("1")
    bench.step()
    bench.step()
    assert (bench.output("1"), len(model.asked)) == (b"HELLO", 2)


def test_a_request_that_kills_instances_fails(bench: Bench) -> None:
    model = bench.model = Model(says=[silence("died"), silence("died")])
    bench.endpoint()
    bench.send("1")
    bench.step()
    assert bench.left() == ["e.1"]
    bench.step()
    assert bench.failure("1")["failureReason"].endswith("the request was tried 2 times")
    assert (bench.left(), len(model.asked)) == ([], 2)


def test_a_time_out_is_a_failure(bench: Bench) -> None:
    bench.model = Model(says=[silence("timeout", "no answer within 900 s")])
    bench.endpoint()
    bench.send("1")
    bench.step()
    assert bench.failure("1")["failureReason"] == "ModelError: no answer within 900 s"


@pytest.mark.parametrize(
    "busy", [silence("refused"), silence("throttled"), said_badly(503, b"", **{"x-clary-refused": "queue"})]
)
def test_an_instance_that_is_busy_is_asked_again(bench: Bench, busy: Any) -> None:
    bench.model = Model(says=[busy] * 5)
    bench.endpoint()
    bench.send("1")
    for _ in range(5):
        bench.step()
        assert (bench.output("1"), bench.left()) == (None, ["e.1"])
    bench.step()
    assert (bench.output("1"), bench.left()) == (b"HELLO", [])


def test_a_fault_of_ours_is_tried_again_and_told_in_the_end(bench: Bench) -> None:
    bench.model = Model(says=[RuntimeError("odd")] * 5)
    bench.endpoint()
    bench.send("1")
    for _ in range(4):
        bench.step(6)
        assert bench.left() == ["e.1"]
    bench.step(6)
    assert bench.failure("1")["failureReason"] == "InternalServerError: RuntimeError: odd"
    assert bench.left() == []


def test_only_so_many_are_asked_at_once_and_the_oldest_first(bench: Bench) -> None:
    bench.endpoint("e", instances=2, MaxConcurrentInvocationsPerInstance=3)
    bench.endpoint("f", instances=1)
    for number in range(9):
        bench.clock.advance(1)
        bench.send(f"{9 - number}")
        bench.send(f"{9 - number}", endpoint="f")
    bench.controller.step(bench.clock())
    assert len(bench.begun) == 6 + 4
    bench.controller.step(bench.clock())
    assert len(bench.begun) == 6 + 4
    bench.finish()
    bench.controller.step(bench.clock())
    assert len(bench.begun) == 3 + 4
    assert {name for name in bench.left() if name.startswith("e.")} == {"e.1", "e.2", "e.3"}


def test_a_request_waits_for_an_instance(bench: Bench) -> None:
    bench.endpoint(instances=0)
    bench.send("1")
    bench.step()
    assert bench.left() == ["e.1"]
    set_instances(bench.store, "e", 1)
    bench.step()
    assert bench.output("1") == b"HELLO"


def test_a_request_that_waited_too_long_fails(bench: Bench) -> None:
    model = bench.model = Model()
    bench.endpoint(instances=0)
    bench.send("1", RequestTTLSeconds=60)
    bench.send("2", RequestTTLSeconds=120)
    bench.step(59)
    assert len(bench.left()) == 2
    bench.step(20)
    assert bench.left() == ["e.2"]
    assert bench.failure("1")["failureReason"] == (
        "ExpiredRequest: the request waited for more than its RequestTTLSeconds (60) and was not begun"
    )
    bench.step(60)
    assert (bench.left(), model.asked) == ([], [])
    bench.step(60)
    assert sum(bench.metric("ExpiredRequests")) == 2


def test_what_was_sent_to_a_deleted_endpoint_fails(bench: Bench) -> None:
    bench.endpoint(instances=0)
    for number in range(20):
        bench.send(f"{number}")
    bench.store.delete("endpoint", "e")
    for _ in range(3):
        bench.step()
    assert bench.left() == []
    assert all("endpoint was deleted" in bench.failure(f"{n}")["failureReason"] for n in range(20))


def test_a_new_endpoint_does_not_answer_for_an_old_one_of_its_name(bench: Bench) -> None:
    bench.endpoint(instances=0)
    bench.send("1")
    bench.store.delete("endpoint", "e")
    bench.clock.advance(1)
    bench.endpoint()
    bench.step()
    assert "endpoint was deleted" in bench.failure("1")["failureReason"]


class TestDeath:
    def test_what_was_asked_when_the_server_died_is_asked_again(self, bench: Bench) -> None:
        bench.endpoint()
        bench.send("1")
        bench.controller.step(bench.clock())
        bench.begun.clear()  # the server is killed: the thread with it
        bench.controller = bench.new_controller()
        bench.controller.resume(bench.clock())
        bench.step()
        assert (bench.output("1"), bench.left()) == (b"HELLO", [])

    def test_an_answer_that_is_there_stays_and_the_model_is_not_asked(self, bench: Bench) -> None:
        model = bench.model = Model()
        bench.endpoint()
        bench.send("1")
        bench.controller.step(bench.clock())
        bench.finish()  # the output is written, and the server is killed before the row is removed
        bench.controller = bench.new_controller()
        bench.controller.resume(bench.clock())
        model.says = [said_well(b"something else")]
        bench.step()
        assert (bench.output("1"), bench.left(), len(model.asked)) == (b"HELLO", [], 1)

    def test_a_failure_that_is_there_stays(self, bench: Bench) -> None:
        bench.model = Model(says=[said_badly(400, b"bad")])
        bench.endpoint()
        bench.send("1")
        bench.controller.step(bench.clock())
        bench.finish()
        bench.controller = bench.new_controller()
        bench.controller.resume(bench.clock())
        bench.step()
        assert (bench.output("1"), bench.failure("1")["originalStatusCode"], bench.left()) == (None, 400, [])

    def test_an_older_object_of_a_chosen_name_is_replaced(self, bench: Bench) -> None:
        bench.put("out/1.out", b"of another request")
        bench.endpoint()
        bench.send("1")
        bench.step()
        assert bench.output("1") == b"HELLO"

    def test_another_server_asks_when_the_lease_has_run_out(self, bench: Bench) -> None:
        bench.endpoint()
        bench.send("1")
        bench.controller.step(bench.clock())
        other = bench.new_controller("home-2")
        first = bench.begun.pop()
        bench.clock.advance(29)
        other.step(bench.clock())
        assert not bench.begun
        bench.clock.advance(2)
        other.step(bench.clock())
        bench.finish()
        first()  # the first server's thread comes late, with its own answer
        other.step(bench.clock())
        bench.controller.step(bench.clock())
        assert (bench.output("1"), bench.left()) == (b"HELLO", [])

    def test_a_request_under_way_stays_claimed(self, bench: Bench) -> None:
        bench.endpoint()
        bench.send("1")
        bench.controller.step(bench.clock())
        other = bench.new_controller("home-2")
        for _ in range(20):
            bench.clock.advance(9)
            bench.controller.step(bench.clock())
            other.step(bench.clock())
        assert len(bench.begun) == 1


class TestMetrics:
    def test_the_backlog_is_told(self, bench: Bench) -> None:
        bench.endpoint(instances=0)
        for number in range(6):
            bench.send(f"{number}")
        bench.step(10)
        assert bench.metric("ApproximateBacklogSize")[-1] == 6
        assert bench.metric("HasBacklogWithoutCapacity")[-1] == 1
        assert bench.metric("ApproximateBacklogSizePerInstance") == []
        assert bench.metric("ApproximateAgeOfOldestRequest")[-1] == pytest.approx(10)
        set_instances(bench.store, "e", 2)
        bench.clock.advance(10)
        bench.controller.step(bench.clock())
        assert bench.metric("ApproximateBacklogSizePerInstance")[-1] == 3
        assert bench.metric("HasBacklogWithoutCapacity")[-1] == 0
        bench.finish()
        bench.step(10)
        assert bench.metric("ApproximateBacklogSize")[-1] == 0
        assert sum(bench.metric("InvocationsProcesssed")) == 6
        assert sum(bench.metric("InvocationFailures")) == 0

    def test_an_idle_endpoint_tells_twice_a_minute(self, bench: Bench) -> None:
        bench.endpoint()
        for _ in range(60):
            bench.step(10)
        assert len(bench.metric("ApproximateBacklogSize")) == 20


def test_threads_answer_many_at_once(bench: Bench) -> None:
    """With threads of its own kind: as many are in the model at once as may be."""
    inside = threading.Barrier(8, timeout=20)

    def model(endpoint: Resource, ask: Ask) -> Answer:
        inside.wait()
        return said_well(ask.body)

    bench.model = model
    ended = threading.Semaphore(0)
    controller = bench.new_controller()
    controller.means = replace(controller.means, begin=in_a_thread, wake=ended.release)
    bench.endpoint(instances=2)
    for number in range(24):
        bench.send(f"{number}", f"text {number}".encode())
    for _ in range(3):
        controller.step(bench.clock())
        for _ in range(8):
            assert ended.acquire(timeout=20)
    controller.step(bench.clock())
    assert bench.left() == []
    assert [bench.output(f"{n}") for n in range(24)] == [f"text {n}".encode() for n in range(24)]


def test_one_for_which_there_is_no_thread_waits(bench: Bench) -> None:
    def no_thread(work: Callable[[], None]) -> None:
        raise RuntimeError("can't start new thread")

    bench.endpoint()
    bench.send("1")
    controller = bench.controller
    controller.means = replace(controller.means, begin=no_thread)
    bench.step()
    assert bench.left() != []
    controller.means = replace(controller.means, begin=bench.begun.append)
    bench.step(FAULT_REST_S + 1)
    assert (bench.output("1"), bench.left()) == (b"HELLO", [])


def test_inputs_wait_for_memory() -> None:
    room = Room(10)
    order: list[str] = []
    with room.of(7):
        blocked = threading.Thread(target=lambda: _hold(room, 4, order))
        blocked.start()
        _hold(room, 3, order)
        order.append("free")
    blocked.join(10)
    assert order == ["3", "free", "4"]
    _hold(room, 100, order)
    assert order[-1] == "100"


def _hold(room: Room, size: int, order: list[str]) -> None:
    with room.of(size):
        order.append(f"{size}")
