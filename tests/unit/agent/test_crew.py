from __future__ import annotations

import threading

import pytest

from clary.agent.crew import work_off


def test_every_item_is_worked_off_once_and_others_leave() -> None:
    seen: list[int] = []
    left: list[str] = []
    lock = threading.Lock()

    def each(item: int) -> None:
        with lock:
            seen.append(item)

    work_off(range(200), each, threads=4, leave=lambda: left.append(threading.current_thread().name))
    assert sorted(seen) == list(range(200))
    assert len(left) == 3


def test_nothing_to_do_takes_no_thread() -> None:
    work_off([], pytest.fail, threads=0, leave=pytest.fail)


def test_the_first_fault_ends_the_work_of_all() -> None:
    done: list[int] = []

    def each(item: int) -> None:
        if item == 2:
            raise ValueError("no room")
        done.append(item)

    with pytest.raises(ValueError, match="no room"):
        work_off(iter(range(100)), each, threads=1, leave=pytest.fail)
    assert done == [0, 1]
