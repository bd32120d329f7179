"""From an endpoint to the answer of an instance, and what happens when one does not answer."""

from __future__ import annotations

import json
import socket
import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from clary.routing import router, trip
from clary.routing.ask import Answer, Ask, NoAnswer
from clary.routing.flights import Flights
from clary.routing.gauges import Gauges
from clary.routing.router import Router
from clary.settings import Settings
from clary.store.base import Resource, Store
from clary.store.sql import open_store
from clary.wire.http import Hangup
from tests.model_program import ModelProgram, endpoint_row

Run = Callable[..., ModelProgram]
SERVERLESS = {"ServerlessConfig": {"MemorySizeInMB": 1024, "MaxConcurrency": 2}}


class World:
    """A router over a store, with what it counts."""

    def __init__(self, store: Store, folder: Path) -> None:
        self.store = store
        self.flights = Flights(draw=lambda: 0.0)
        self.gauges = Gauges(store, time.time)
        self.woken = threading.Event()
        settings = Settings(home=folder, payload_mib=1)
        self.router = Router(
            store, self.flights, settings, time.time, self.woken.set, gauges=self.gauges, draw=lambda: 0.5
        )

    def put(self, *programs: ModelProgram | str, **row: Any) -> Resource:
        addresses = [one if isinstance(one, str) else one.address for one in programs]
        return self.store.create(endpoint_row("e", {"v": addresses}, **row))

    def let_up(self, program: ModelProgram) -> None:
        """The endpoint gets an instance."""
        one = {"id": "new", "generation": "g1", "variant": "v", "address": program.address}
        self.store.update("endpoint", "e", lambda row: replace(row, state={**row.state, "instances": [one]}))

    def ask(self, body: bytes | dict[str, Any] = b"hello", **more: Any) -> Answer:
        data = body if isinstance(body, bytes) else json.dumps(body).encode()
        row = self.store.get("endpoint", "e")
        assert row is not None
        return self.router.invoke(row, Ask(data, {}, **{"variant": None, "timeout_s": 10.0, **more}))

    def refused(self, body: bytes | dict[str, Any] = b"hello", **more: Any) -> NoAnswer:
        with pytest.raises(NoAnswer) as caught:
            self.ask(body, **more)
        return caught.value

    def sums(self) -> dict[str, float]:
        self.gauges.flush()
        return {
            metric: sum(point.value for point in self.store.points("endpoint/e/v", metric))
            for metric in self.store.metrics("endpoint/e/v")
        }

    def is_at_rest(self) -> bool:
        flights = self.flights
        return not (flights._asked or flights._visiting or flights._guests or flights._knocking)


@pytest.fixture
def world(tmp_path: Path) -> Iterator[World]:
    store = open_store(f"sqlite:///{tmp_path / 'clary.db'}")
    made = World(store, tmp_path)
    yield made
    made.router.close()
    store.close()


@pytest.fixture
def run() -> Iterator[Run]:
    programs: list[ModelProgram] = []

    def start(name: str = "one") -> ModelProgram:
        programs.append(ModelProgram(name))
        return programs[-1]

    yield start
    for program in programs:
        program.close()


@pytest.fixture
def nobody() -> str:
    with socket.create_server(("127.0.0.1", 0)) as closed:
        return f"127.0.0.1:{closed.getsockname()[1]}"


def test_an_answer(world: World, run: Run) -> None:
    world.put(run())
    answer = world.ask(b"text")
    assert (answer.status, answer.body, answer.variant, answer.instance) == (200, b"text", "v", "v-0")
    assert world.is_at_rest()
    sums = world.sums()
    assert (sums["Invocations"], sums["InvocationModelErrors"]) == (1, 0)
    assert sums["ModelLatency"] > 0 and sums["OverheadLatency"] > 0


def test_an_error_of_the_model_is_an_answer(world: World, run: Run) -> None:
    world.put(run())
    answer = world.ask({"do": "status", "status": 415, "text": "no such type"})
    assert (answer.status, answer.body) == (415, b"no such type")
    assert world.sums()["Invocation4XXErrors"] == 1


def test_requests_spread_over_instances(world: World, run: Run) -> None:
    programs = [run("one"), run("two"), run("three")]
    world.put(*programs)
    threads = [threading.Thread(target=world.ask, args=({"do": "sleep", "s": 0.3},)) for _ in range(6)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert [len(program.seen) for program in programs] == [2, 2, 2]


def test_one_that_is_not_there_is_passed_over(world: World, run: Run, nobody: str) -> None:
    program = run()
    world.put(nobody, program)
    assert world.ask().instance == "v-1"
    assert world.woken.is_set()
    assert world.is_at_rest()
    assert world.sums()["InvocationModelErrors"] == 0


def test_one_that_died_with_the_request_is_not_followed_by_another(world: World, run: Run) -> None:
    one, two = run("one"), run("two")
    world.put(one, two)
    fault = world.refused({"do": "die"})
    assert (fault.kind, fault.variant, fault.instance) == ("died", "v", "v-0")
    assert len(one.seen) + len(two.seen) == 1
    assert world.woken.is_set() and world.is_at_rest()
    assert world.sums()["Invocation5XXErrors"] == 1
    assert world.ask().status == 200


def test_a_late_answer_is_none(world: World, run: Run) -> None:
    world.put(run())
    fault = world.refused({"do": "sleep", "s": 1.0}, timeout_s=0.1)
    assert fault.kind == "timeout" and "0.1 s" in fault.message
    assert world.is_at_rest()


def test_a_full_queue_sends_a_request_on_and_two_send_it_back(world: World, run: Run) -> None:
    one, two = run("one"), run("two")
    world.put(one, two)
    answer = world.ask({"do": "refuse", "who": ["one"]})
    assert (answer.status, answer.body, answer.instance) == (200, b"taken", "v-1")
    back = world.ask({"do": "refuse", "who": ["one", "two"]})
    assert (back.status, back.headers["x-clary-refused"]) == (503, "queue")
    assert world.is_at_rest()


def test_an_error_503_of_the_model_itself_stays_where_it_is(world: World, run: Run) -> None:
    one, two = run("one"), run("two")
    world.put(one, two)
    assert world.ask({"do": "status", "status": 503}).status == 503
    assert len(one.seen) + len(two.seen) == 1


def test_an_answer_has_the_size_that_it_may(world: World, run: Run) -> None:
    world.put(run())
    large = {"do": "large", "bytes": (1 << 20) + 1}
    assert world.refused(large).kind == "too large"
    assert len(world.ask(large, asynchronous=True).body) == (1 << 20) + 1  # type: ignore[arg-type]
    assert len(world.ask({"do": "large", "bytes": 1 << 20}).body) == 1 << 20  # type: ignore[arg-type]


def test_a_sleeping_variant_is_woken_and_waited_for(world: World, run: Run) -> None:
    world.put(variant=SERVERLESS)
    program = run()

    def wake() -> None:
        world.woken.wait(10)
        assert world.flights.knocking("e", "v") == 1
        world.let_up(program)

    thread = threading.Thread(target=wake)
    thread.start()
    assert world.ask().instance == "new"
    thread.join()
    assert world.is_at_rest()
    assert world.flights.last_asked("e", "v") is not None
    sums = world.sums()
    assert sums["ModelSetupTime"] > 0
    assert sums["OverheadLatency"] < sums["ModelSetupTime"]


def test_one_that_does_not_wake_up_is_not_ready(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(trip, "WAKE_S", 0.1)
    world.put()
    assert world.refused().kind == "not ready"
    assert world.is_at_rest()


def test_instances_that_are_all_gone_are_waited_for_a_while(
    world: World, run: Run, nobody: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    world.put(nobody)
    program = run()
    timer = threading.Timer(0.2, world.let_up, [program])
    timer.start()
    assert world.ask().instance == "new"
    timer.join()
    world.let_up(program)
    program.close = lambda: None  # type: ignore[method-assign]
    ModelProgram.close(program)
    monkeypatch.setattr(trip, "REPLACE_S", 0.1)
    assert world.refused().kind == "refused"
    assert world.is_at_rest()


def test_an_endpoint_that_goes_lets_go_of_those_who_wait(world: World) -> None:
    world.put(variant=SERVERLESS)

    def fail() -> None:
        world.woken.wait(10)
        world.store.update(
            "endpoint",
            "e",
            lambda row: replace(row, status="Failed", state={**row.state, "reason": "no memory"}),
        )

    thread = threading.Thread(target=fail)
    thread.start()
    fault = world.refused()
    thread.join()
    assert fault.kind == "gone" and "no memory" in fault.message


def test_a_serverless_variant_takes_so_many_at_once(world: World, run: Run) -> None:
    program = run()
    world.put(program, variant=SERVERLESS)
    threads = [threading.Thread(target=world.ask, args=({"do": "sleep", "s": 0.5},)) for _ in range(2)]
    for thread in threads:
        thread.start()
    while len(program.seen) < 2:
        time.sleep(0.01)
    fault = world.refused()
    for thread in threads:
        thread.join()
    assert fault.kind == "throttled" and "answers 2 requests at once" in fault.message
    assert world.ask().status == 200


@pytest.mark.parametrize("serverless", [True, False])
def test_a_client_that_hangs_up_is_not_worked_for(world: World, run: Run, serverless: bool) -> None:
    program = run()
    world.put(*([] if serverless else [program]), variant=SERVERLESS if serverless else None)
    hangup = Hangup()
    timer = threading.Timer(0.2, hangup.come)
    timer.start()
    assert world.refused({"do": "until_left"}, hangup=hangup).kind == "left"
    timer.join()
    assert serverless or program.left.wait(10)
    assert world.is_at_rest()
    assert world.sums() == {}
    assert world.refused(hangup=hangup).kind == "left"


def test_a_stream_comes_as_it_is_made(world: World, run: Run) -> None:
    program = run()
    world.put(program)
    answer = world.ask({"do": "stream", "pieces": ["a", "b"], "s": 0.05}, stream=True)
    assert program.headers["x-clary-stream"] == "true"
    assert world.flights.count("v-0") == 1
    assert list(answer.body) == [b"a", b"b"]
    assert world.is_at_rest()
    assert world.sums()["ModelLatency"] > 90_000


def test_a_stream_that_breaks_off(world: World, run: Run) -> None:
    world.put(run())
    for then, kind in (("break", "died"), ("hang", "timeout")):
        answer = world.ask({"do": "stream", "pieces": ["a"], "then": then}, stream=True, timeout_s=0.3)
        pieces = iter(answer.body)
        assert next(pieces) == b"a"
        with pytest.raises(NoAnswer) as caught:
            next(pieces)
        assert caught.value.kind == kind
        assert world.is_at_rest()
    assert world.sums()["Invocation5XXErrors"] == 2


def test_a_stream_may_last_longer_than_each_of_its_waits(world: World, run: Run) -> None:
    world.put(run())
    answer = world.ask({"do": "stream", "pieces": list("abcdef"), "s": 0.15}, stream=True, timeout_s=0.5)
    assert b"".join(answer.body) == b"abcdef"


def test_a_stream_that_nobody_reads_further_is_given_up(world: World, run: Run) -> None:
    program = run()
    world.put(program)
    for read in (0, 1):
        program.left.clear()
        answer = world.ask({"do": "stream", "pieces": ["a"], "then": "hang"}, stream=True)
        pieces = iter(answer.body)
        for _ in range(read):
            next(pieces)
        answer.body.close()  # type: ignore[union-attr]
        assert program.left.wait(10)
        assert world.is_at_rest()


def test_an_error_instead_of_a_stream_comes_whole(world: World, run: Run) -> None:
    world.put(run())
    answer = world.ask({"do": "status", "status": 400, "text": "no"}, stream=True)
    assert (answer.status, answer.body) == (400, b"no")
    assert world.is_at_rest()


def test_no_answer_is_ever_anothers(world: World, run: Run) -> None:
    """Many requests at once, some of which break their connections."""
    world.put(run("one"), run("two"))
    wrong: list[Any] = []

    def ask(number: int) -> None:
        for turn in range(40):
            body = f"{number}-{turn}".encode()
            if turn % 10 == 9:
                world.refused({"do": "die"})
            elif world.ask(body).body != body:
                wrong.append(body)

    threads = [threading.Thread(target=ask, args=(number,)) for number in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert wrong == [] and world.is_at_rest()
    assert world.sums()["Invocations"] == 320


def test_one_endpoint_does_not_get_all_the_threads(
    world: World, run: Run, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(router, "GUESTS", 2)
    world.put(run())
    streams = [world.ask({"do": "stream", "pieces": ["a"], "then": "hang"}, stream=True) for _ in range(2)]
    fault = world.refused()
    assert fault.kind == "refused" and "2 requests to endpoint e" in fault.message
    assert world.ask(asynchronous=True).status == 200
    streams[0].body.close()  # type: ignore[union-attr]
    assert world.ask().status == 200
    streams[1].body.close()  # type: ignore[union-attr]
    assert world.is_at_rest()


def test_a_redirect_instead_of_a_stream_comes_whole(world: World, run: Run) -> None:
    world.put(run())
    assert world.ask({"do": "status", "status": 302, "text": "there"}, stream=True).body == b"there"


@pytest.mark.parametrize("waking", [True, False])
def test_a_server_that_ends_waits_for_no_answer(world: World, run: Run, waking: bool) -> None:
    program = run()
    world.put(*([] if waking else [program]))
    timer = threading.Timer(0.2, world.router.end)
    timer.start()
    fault = world.refused({"do": "until_left"})
    timer.join()
    assert (fault.kind, fault.message) == ("refused", "the server ends; try again in a moment")
    assert waking or program.left.wait(10)
    assert world.is_at_rest()
    assert world.refused().kind == "refused"
