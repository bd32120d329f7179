"""How the outcomes of hosts become the job's."""

from __future__ import annotations

from clary.agent.contract import Outcome
from clary.controllers.hosts import together

DONE = Outcome("Completed", "Completed", 3.0, exit_code=0)
STOPPED = Outcome("Stopped", "Stopped", 2.0)
LATE = Outcome("Stopped", "MaxRuntimeExceeded", 5.0)


def failed(at: float, reason: str) -> Outcome:
    return Outcome("Failed", "Failed", at, reason=reason, exit_code=1)


def test_one_host_speaks_for_itself() -> None:
    outcome = failed(1.0, "AlgorithmError: boom")
    assert together({"algo-1": outcome}) is outcome


def test_the_first_failure_counts_whatever_the_others_did() -> None:
    outcome = together(
        {"algo-1": STOPPED, "algo-2": failed(4.0, "later"), "algo-3": failed(1.0, "first"), "algo-4": DONE}
    )
    assert (outcome.status, outcome.reason) == ("Failed", "first (on algo-3 of 4 hosts)")
    assert outcome.at == 4.0


def test_time_that_ran_out_is_graver_than_a_stop() -> None:
    assert together({"algo-1": STOPPED, "algo-2": LATE, "algo-3": DONE}).secondary == "MaxRuntimeExceeded"
    assert together({"algo-1": DONE, "algo-2": STOPPED}).status == "Stopped"
    assert together({"algo-1": DONE, "algo-2": DONE}).status == "Completed"


def test_a_long_reason_keeps_its_host() -> None:
    reason = together({"algo-1": failed(1.0, "x" * 1024), "algo-2": STOPPED}).reason
    assert reason is not None
    assert len(reason) == 1024
    assert reason.endswith("(on algo-1 of 2 hosts)")


def test_messages_are_joined_and_cut_at_whole_characters() -> None:
    one = Outcome("Completed", "Completed", 1.0, message="é" * 400)
    two = Outcome("Completed", "Completed", 1.0, message="b" * 1000)
    message = together({"algo-1": one, "algo-2": two}).message
    assert message == "é" * 400 + "\n" + "b" * 223
    assert together({"algo-1": DONE, "algo-2": DONE}).message is None
