from __future__ import annotations

from typing import Any, cast

from clary.serving.handler import Request
from clary.serving.waiting import Asked, Line


def asked(name: str, **changes: Any) -> Asked:
    return Asked(Request(name.encode(), "", "", {}), cast("Any", None), **({"since": 0.0} | changes))


def names(taken: list[Asked]) -> list[str]:
    return [one.request.body.decode() for one in taken]


def line(*waiting: Asked) -> Line:
    made = Line()
    for one in waiting:
        made.append(one)
    return made


def test_first_come_first_served() -> None:
    waiting = line(asked("a"), asked("b"), asked("c"))
    assert names(waiting.take(2)) == ["a", "b"]
    assert names(waiting.take(2)) == ["c"]
    assert waiting.take(2) == []


def test_streams_and_those_that_must_be_alone_share_nothing() -> None:
    waiting = line(asked("a"), asked("b", streams=True), asked("c"), asked("d", alone=True), asked("e"))
    assert [names(waiting.take(9)) for _ in range(5)] == [["a"], ["b"], ["c"], ["d"], ["e"]]


def test_put_back_ones_are_first_in_their_order() -> None:
    waiting = line(asked("c"))
    waiting.put_back([asked("a"), asked("b")])
    assert names(waiting.take(3)) == ["a", "b", "c"]


def test_one_whose_client_goes_leaves_the_line() -> None:
    gone = asked("gone")
    waiting = line(asked("a"), gone)
    gone.client_gone()
    assert len(waiting) == 1
    assert names(waiting.take(2)) == ["a"]
    gone.client_gone()
    assert (len(waiting), waiting.bytes) == (0, 0)


def test_the_old_ones_are_found() -> None:
    waiting = line(asked("a", since=1.0), asked("b", since=3.0), asked("c", since=2.0))
    assert names(waiting.take_late(12.5, 10.0)) == ["a", "c"]
    assert names(waiting.take_all()) == ["b"]
    assert len(waiting) == 0


def test_what_nobody_waits_for_any_more_is_found() -> None:
    waiting = line(asked("a", patience_s=3.0), asked("b", since=1.0, patience_s=3.0), asked("c"))
    assert names(waiting.take_late(3.0, 10.0)) == []
    assert names(waiting.take_late(3.5, 10.0)) == ["a"]
    assert names(waiting.take_late(4.5, 10.0)) == ["b"]


def test_the_bytes_that_wait_are_counted() -> None:
    waiting = line(asked("abc"), asked("de"))
    assert waiting.bytes == 5
    waiting.take(1)
    assert waiting.bytes == 2
    waiting.take_all()
    assert waiting.bytes == 0
