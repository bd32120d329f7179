import pytest

from clary.domain.kinds import KINDS, TRAINING_JOB, Kind


@pytest.mark.parametrize("kind", KINDS.values(), ids=KINDS)
def test_every_state_a_move_leads_to_is_a_state(kind: Kind) -> None:
    assert kind.first in kind.moves
    for following in kind.moves.values():
        assert following <= set(kind.moves)


def test_final_states_of_a_training_job() -> None:
    final = {status for status in TRAINING_JOB.moves if TRAINING_JOB.is_final(status)}
    assert final == {"Completed", "Failed", "Stopped", "Deleting"}


def test_a_finished_job_never_runs_again() -> None:
    assert not TRAINING_JOB.may_move("Completed", "InProgress")
    assert TRAINING_JOB.may_move("InProgress", "Stopping")
