from __future__ import annotations

from typing import Any

from clary.controllers.fleet import Replica
from clary.controllers.restarts import LONGEST_REST_S, STEADY_S, Restarts
from clary.store.base import Resource

KEY = ("one", "main")


def died(number: int, at: float, *, served_s: float | None = None, **fields: Any) -> Replica:
    """An instance that ended `at`, after it had answered for so long, if it ever did."""
    transitions = [{"Status": "Starting", "StartTime": 0.0}]
    if served_s is not None:
        transitions.append({"Status": "InService", "StartTime": at - served_s})
    state = {"secondary": "Failed", "transitions": transitions, "reason": "broken"}
    row = {"status": "Failed", "spec": {}, "state": state, "created": 0.0, "modified": at, **fields}
    return Replica(
        f"{number}", *KEY, "ended", Resource("endpoint-instance", f"e.{number}", f"{number}", **row)
    )


def test_the_first_is_replaced_at_once_and_the_next_ones_later_and_later() -> None:
    restarts, rows = Restarts(), []
    for number, rest_s in enumerate((0.0, 1.0, 2.0, 4.0)):
        at = 1000.0 + 100 * number
        rows.append(died(number, at))
        restarts.look(rows)
        assert restarts.may_start(KEY, at + rest_s + 0.1)
        assert not rest_s or not restarts.may_start(KEY, at + rest_s - 0.1)


def test_one_that_had_answered_for_a_while_is_replaced_at_once() -> None:
    restarts, rows = Restarts(), [died(number, 1000.0) for number in range(9)]
    restarts.look(rows)
    assert not restarts.may_start(KEY, 1030.0)
    restarts.look([*rows, died(10, 2000.0, served_s=STEADY_S + 1)])
    assert restarts.may_start(KEY, 2000.0)


def test_one_that_took_long_to_fail_at_loading_was_not_steady() -> None:
    restarts = Restarts()
    restarts.look([died(0, 500.0), died(1, 1000.0)])
    assert not restarts.may_start(KEY, 1000.5)


def test_who_begins_anew_does_not_rest_for_what_was_days_ago() -> None:
    restarts = Restarts()
    restarts.look([died(number, 1000.0) for number in range(20)])
    assert not restarts.may_start(KEY, 1000.0 + LONGEST_REST_S - 1)
    assert restarts.may_start(KEY, 90_000.0)


def test_one_that_was_asked_to_stop_is_no_loss() -> None:
    restarts = Restarts()
    asked = [{"Status": "Stopping", "StartTime": 0.0}]
    state = {"secondary": "Failed", "transitions": asked, "reason": "killed"}
    restarts.look([died(number, 1000.0, state=state) for number in range(5)])
    assert restarts.may_start(KEY, 1000.0)
