"""The waiting loops' clock, under a time of its own."""

from __future__ import annotations

import importlib
import pickle
import time
from collections.abc import Iterator
from dataclasses import dataclass, field
from types import ModuleType, SimpleNamespace
from typing import Any

import pytest


@dataclass
class World:
    """A time that only sleeping and asking move, and a server whose news are planned: (moment, version)."""

    now: float = 1000.0
    plan: list[tuple[float, tuple[int, int]]] = field(default_factory=list)
    down_from: float = float("inf")
    impatient: bool = False
    asked: list[int] = field(default_factory=list)

    def sleep(self, seconds: float) -> None:
        assert seconds >= 0
        self.now += seconds

    def version(self) -> tuple[int, int]:
        return [(5, 2), *(version for moment, version in self.plan if moment <= self.now)][-1]

    def ask(self, target: Any, since: int, timeout_s: float) -> Any:
        version_type = importlib.import_module("clary_shim.notices").Version
        self.asked.append(since)
        if self.now >= self.down_from:
            raise ConnectionRefusedError
        end = self.now + timeout_s
        while self.version()[0] <= since:
            due = min([moment for moment, _ in self.plan if moment > self.now], default=end)
            self.now = min(due, end)
            if self.impatient or self.now >= end:
                break
        return version_type(*self.version())

    @property
    def module(self) -> Any:
        return SimpleNamespace(
            sleep=self.sleep, time=lambda: self.now, monotonic=lambda: self.now, strftime=time.strftime
        )


# a loop of the shape that both versions of the SDK have
LOOP = """
def wait_for_job(looks, poll=10, timeout=None):
    give_up_at = time.time() + timeout if timeout else None
    last_describe_job_call = time.time()
    state = "tailing"
    while True:
        looks.append(("logs", time.monotonic()))
        if timeout and time.time() > give_up_at:
            return "timeout"
        if state == "complete":
            return "ended"
        time.sleep(poll)
        if state == "job complete":
            state = "complete"
        elif time.time() - last_describe_job_call >= 30:
            looks.append(("describe", time.monotonic()))
            if ended():
                state = "job complete"
            last_describe_job_call = time.time()

def wait_plainly(seconds):
    time.sleep(seconds)

def name_something():
    return time.time() - 0
"""


@pytest.fixture
def world() -> World:
    return World()


@pytest.fixture
def clock(shim: ModuleType, world: World) -> Iterator[Any]:
    target = shim.Target("http://127.0.0.1:1", "eu-west-1", "id", "secret")
    shim.install(target)
    yield importlib.import_module("clary_shim.clock").Clock(real=world.module, ask=world.ask)
    shim.remove(target)


def loop(clock: Any, name: str = "sagemaker.session", **known: Any) -> Any:
    """The loop as part of a module of the SDK, with the clock for its time."""
    scope = {"__name__": name, "time": clock, **known}
    exec(LOOP, scope)
    return SimpleNamespace(**scope)


def test_a_job_that_ends_is_seen_at_once_and_the_loop_ends_soon_after(clock: Any, world: World) -> None:
    world.plan = [(1002.0, (6, 2)), (1007.5, (7, 3))]  # a line of the log, then the end
    looks: list[tuple[str, float]] = []

    result = loop(clock, ended=lambda: world.now >= 1007.5).wait_for_job(looks)

    assert result == "ended"
    assert ("describe", 1007.5) in looks
    assert world.now <= 1007.5 + 1.0


def test_growing_logs_are_read_but_the_job_is_not_described(clock: Any, world: World) -> None:
    world.plan = [(1000.0 + 2 * n, (5 + n, 2)) for n in range(1, 10)] + [(1025.0, (20, 3))]
    looks: list[tuple[str, float]] = []

    loop(clock, ended=lambda: world.now >= 1025.0).wait_for_job(looks)

    read = [moment for kind, moment in looks if kind == "logs"]
    assert all(1000.0 + 2 * n in read for n in range(1, 10))
    described = [moment for kind, moment in looks if kind == "describe"]
    assert described == [1000.2, 1025.0], "once for the unknown beginning, once for the end"


def test_a_change_between_the_look_and_the_sleep_ends_the_sleep(clock: Any, world: World) -> None:
    module = loop(clock)
    module.wait_plainly(600)  # is told version 5
    module.wait_plainly(600)  # settles
    world.plan = [(world.now, (6, 3))]
    world.now += 0.05  # the client looks elsewhere meanwhile
    before = world.now

    module.wait_plainly(600)

    assert world.now - before < 1.0
    assert world.asked[-1] == 5


def test_the_first_sleep_does_not_wait_for_what_may_have_happened_already(clock: Any, world: World) -> None:
    loop(clock).wait_plainly(600)

    assert world.now < 1001.0


def test_without_news_a_sleep_is_as_long_as_it_was_asked_to_be(clock: Any, world: World) -> None:
    module = loop(clock)
    module.wait_plainly(5)
    module.wait_plainly(5)
    before = world.now

    module.wait_plainly(12)

    assert world.now == pytest.approx(before + 12)


def test_a_server_that_is_down_makes_sleeps_real_and_is_found_again(clock: Any, world: World) -> None:
    world.down_from = 0
    module = loop(clock)

    module.wait_plainly(10)
    assert world.now == pytest.approx(1010.0)

    world.down_from = float("inf")
    module.wait_plainly(10)
    assert world.now < 1011.0
    assert world.asked == [0, 0]


def test_a_restarted_server_counts_anew_and_that_is_news(clock: Any, world: World) -> None:
    module = loop(clock)
    module.wait_plainly(600)
    module.wait_plainly(600)
    world.plan = [(world.now, (1, 1))]
    before = world.now

    module.wait_plainly(600)

    assert world.now - before <= 10.0


def test_a_server_that_answers_early_without_news_is_not_asked_in_a_hot_loop(
    clock: Any, world: World
) -> None:
    module = loop(clock)
    module.wait_plainly(600)
    module.wait_plainly(600)
    world.impatient = True
    world.asked.clear()

    module.wait_plainly(60)

    assert len(world.asked) <= 13


def test_on_a_busy_server_a_loop_slows_to_about_a_look_a_second(clock: Any, world: World) -> None:
    world.plan = [(1000.0 + n / 50, (6 + n, 3 + n)) for n in range(50 * 60)]
    looks: list[tuple[str, float]] = []

    loop(clock, ended=lambda: world.now >= 1050.0).wait_for_job(looks)

    assert len([kind for kind, _ in looks if kind == "logs"]) < 75
    assert world.now < 1050.0 + 3.0, "and still ends soon after its job"


def test_the_loops_own_timeout_sees_the_real_time(clock: Any, world: World) -> None:
    world.plan = [(1000.0 + n, (6 + n, 3 + n)) for n in range(60)]
    looks: list[tuple[str, float]] = []

    result = loop(clock, ended=lambda: False).wait_for_job(looks, timeout=50)

    assert result == "timeout"
    assert 1050.0 < world.now < 1055.0


def test_only_loops_that_describe_seldom_are_told_that_time_passed(clock: Any, world: World) -> None:
    module = loop(clock)
    module.wait_plainly(5)

    assert module.name_something() == world.now


@pytest.mark.parametrize("name", ["__main__", "my_sagemaker.session", "sagemaker_tools"])
def test_the_program_of_the_user_sleeps_as_long_as_it_says(clock: Any, world: World, name: str) -> None:
    loop(clock, name=name).wait_plainly(30)

    assert (world.now, world.asked) == (1030.0, [])


def test_short_sleeps_are_real(clock: Any, world: World) -> None:
    loop(clock).wait_plainly(0.5)

    assert (world.now, world.asked) == (1000.5, [])


def test_without_a_target_the_clock_is_the_time_module(shim: ModuleType, world: World) -> None:
    clock = importlib.import_module("clary_shim.clock").Clock(real=world.module, ask=world.ask)

    loop(clock).wait_plainly(30)

    assert (world.now, world.asked) == (1030.0, [])


def test_another_server_is_asked_from_its_beginning(clock: Any, world: World, shim: ModuleType) -> None:
    module = loop(clock)
    module.wait_plainly(5)
    other = shim.Target("http://127.0.0.1:2", "eu-west-1", "id", "secret")
    shim.install(other)
    module.wait_plainly(5)
    shim.remove(other)

    assert world.asked == [0, 0]


def test_it_is_the_time_module_in_all_else(shim: ModuleType) -> None:
    clock = importlib.import_module("clary_shim.clock").CLOCK

    assert clock.strftime is time.strftime
    assert clock.perf_counter is time.perf_counter
    assert pickle.loads(pickle.dumps(clock)) is time


def test_patch_replaces_the_module_and_functions_taken_from_it(shim: ModuleType) -> None:
    clock = importlib.import_module("clary_shim.clock")
    module = ModuleType("sagemaker.somewhere")
    module.__dict__.update(time=time, pause=time.sleep, now=time.time, other=time.strftime)
    elsewhere = ModuleType("sagemaker.modules.train.container_drivers.mpi_utils")
    elsewhere.__dict__.update(time=time)

    clock.patch(module)
    clock.patch(elsewhere)

    assert module.time is clock.CLOCK
    assert module.pause == clock.CLOCK.sleep
    assert module.now == clock.CLOCK.time
    assert module.other is time.strftime
    assert elsewhere.time is time
