"""Work beside the controllers' turns."""

from __future__ import annotations

import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager

import pytest

from clary.controllers.thinkers import Thinkers, at_once

PATIENCE_S = 20.0


@contextmanager
def thinkers(count: int) -> Iterator[tuple[Thinkers, threading.Semaphore]]:
    """With a semaphore that tells of each wake."""
    woken = threading.Semaphore(0)
    pool = Thinkers("test", count)
    pool.start(woken.release)
    try:
        yield pool, woken
    finally:
        pool.stop()


def fail() -> int:
    raise ValueError("no")


def test_an_answer_wakes_and_so_does_an_error() -> None:
    with thinkers(1) as (pool, woken):
        assert pool.think(lambda: 7).result(PATIENCE_S) == 7
        assert woken.acquire(timeout=PATIENCE_S)
        with pytest.raises(ValueError, match="no"):
            pool.think(fail).result(PATIENCE_S)
        assert woken.acquire(timeout=PATIENCE_S)


def test_as_many_at_a_time_as_there_are_threads() -> None:
    go, begun = threading.Event(), threading.Semaphore(0)

    def wait() -> None:
        begun.release()
        assert go.wait(PATIENCE_S)

    with thinkers(2) as (pool, _):
        futures = [pool.think(wait) for _ in range(3)]
        assert begun.acquire(timeout=PATIENCE_S) and begun.acquire(timeout=PATIENCE_S)
        assert sum(future.running() for future in futures) == 2
        assert not futures[2].running()
        go.set()
        for future in futures:
            future.result(PATIENCE_S)


def test_what_was_taken_back_is_not_begun() -> None:
    go, ran = threading.Event(), []
    with thinkers(1) as (pool, _):
        first = pool.think(lambda: go.wait(PATIENCE_S))
        second = pool.think(lambda: ran.append(2))
        third = pool.think(lambda: ran.append(3))
        assert second.cancel()
        go.set()
        third.result(PATIENCE_S)
    assert first.result(0) and ran == [3]


def test_the_end_waits_for_nobody_and_begins_nothing() -> None:
    go, ran = threading.Event(), []
    with thinkers(1) as (pool, _):
        begun = threading.Event()

        def work() -> None:
            begun.set()
            assert go.wait(PATIENCE_S)

        first = pool.think(work)
        pool.think(lambda: ran.append(2))
        assert begun.wait(PATIENCE_S)
        pool.stop()
        assert not first.done()
        go.set()
        first.result(PATIENCE_S)
    for thread in pool._threads:
        thread.join(PATIENCE_S)
    assert ran == []


def test_what_never_ends_keeps_nobody_waiting_once_it_was_left() -> None:
    go, begun, ran = threading.Event(), threading.Semaphore(0), []

    def wait() -> None:
        begun.release()
        assert go.wait(PATIENCE_S)

    with thinkers(1) as (pool, _):
        for _ in range(3):
            endless = pool.think(wait)
            assert begun.acquire(timeout=PATIENCE_S)
            assert not endless.cancel() and not endless.cancel()
        pool.think(lambda: ran.append(1)).result(PATIENCE_S)
        assert ran == [1] and len(pool._threads) == 4
        go.set()
        for thread in pool._threads[:3]:
            thread.join(PATIENCE_S)
        assert [thread.is_alive() for thread in pool._threads] == [False, False, False, True]


def test_work_that_asks_to_exit_ends_neither_thread_nor_asker() -> None:
    with thinkers(1) as (pool, _):
        thought = pool.think(lambda: sys.exit("enough"))
        with pytest.raises(RuntimeError, match="SystemExit: enough"):
            thought.result(PATIENCE_S)
        assert pool.think(lambda: 7).result(PATIENCE_S) == 7


def test_at_once_is_done_when_it_returns() -> None:
    assert at_once(lambda: 7).result(0) == 7
    with pytest.raises(ValueError, match="no"):
        at_once(fail).result(0)
