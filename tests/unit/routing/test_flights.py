"""Who is asked, counted from many threads."""

from __future__ import annotations

import threading
from collections import Counter

from clary.domain.endpoints import Instance
from clary.routing.flights import Flights

ONE, TWO, THREE = (
    Instance(name, "g", "v", f"127.0.0.1:{port}") for port, name in enumerate(("a", "b", "c"), 1)
)


def test_the_one_with_the_fewest_requests_is_asked() -> None:
    flights = Flights(draw=lambda: 0.0)
    boarded = [flights.board([ONE, TWO, THREE]) for _ in range(4)]
    assert [one.id for one in boarded if one] == ["a", "b", "c", "a"]
    flights.land("b")
    assert flights.board([ONE, TWO, THREE]) == TWO
    assert {name: flights.count(name) for name in "abc"} == {"a": 2, "b": 1, "c": 1}


def test_equals_are_drawn_and_random_looks_at_no_counts() -> None:
    assert Flights(draw=lambda: 0.99).board([ONE, TWO, THREE]) == THREE
    flights = Flights(draw=lambda: 0.0)
    assert [flights.board([ONE, TWO], at_random=True) for _ in range(2)] == [ONE, ONE]


def test_those_tried_are_left_out() -> None:
    flights = Flights()
    assert flights.board([ONE, TWO], apart={"a"}) == TWO
    assert flights.board([ONE], apart={"a"}) is None
    assert flights.board([]) is None
    assert flights.count("a") == 0


def test_a_variant_takes_so_many_and_remembers_when_it_was_last_asked() -> None:
    flights = Flights()
    assert flights.last_asked("e", "v") is None
    assert flights.enter("e", "v", now=1.0, most=2)
    assert flights.enter("e", "v", now=2.0, most=2)
    assert not flights.enter("e", "v", now=3.0, most=2)
    assert flights.enter("e", "other", now=3.0, most=2)
    assert flights.last_asked("e", "v") == 2.0
    flights.leave("e", "v", now=9.0)
    assert flights.last_asked("e", "v") == 9.0
    assert flights.enter("e", "v", now=10.0, most=2)
    flights.forget("e")
    assert flights.last_asked("e", "v") is None


def test_who_knocks_is_counted_while_they_do() -> None:
    flights = Flights()
    with flights.knock("e", "v"), flights.knock("e", "v"):
        assert flights.knocking("e", "v") == 2
        assert flights.knocking("e", "w") == 0
    assert flights.knocking("e", "v") == 0


def test_counts_are_right_with_many_threads() -> None:
    flights = Flights()
    seen: Counter[str] = Counter()
    lock = threading.Lock()

    def fly() -> None:
        for _ in range(300):
            one = flights.board([ONE, TWO, THREE])
            assert one is not None
            with lock:
                seen[one.id] += 1
            assert flights.count(one.id) >= 1
            flights.land(one.id)

    threads = [threading.Thread(target=fly) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert [flights.count(name) for name in "abc"] == [0, 0, 0]
    assert seen.total() == 2400 and set(seen) == {"a", "b", "c"}
