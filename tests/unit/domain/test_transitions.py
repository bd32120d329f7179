from clary.domain.transitions import close, enter


def test_entering_a_status_ends_the_one_before() -> None:
    state = enter(enter({}, "Starting", "a", at=1.0), "Training", "b", at=3.0)
    assert state["secondary"] == "Training"
    assert state["transitions"] == [
        {"Status": "Starting", "StartTime": 1.0, "EndTime": 3.0, "StatusMessage": "a"},
        {"Status": "Training", "StartTime": 3.0, "StatusMessage": "b"},
    ]


def test_entering_the_same_status_changes_only_its_message() -> None:
    state = enter(enter({}, "Starting", "a", at=1.0), "Starting", "b", at=3.0)
    assert state["transitions"] == [{"Status": "Starting", "StartTime": 1.0, "StatusMessage": "b"}]


def test_a_clock_set_back_never_makes_a_transition_end_before_it_began() -> None:
    state = close(enter(enter({}, "Starting", "", at=5.0), "Training", "", at=4.0), at=3.0)
    assert [entry["EndTime"] for entry in state["transitions"]] == [5.0, 4.0]


def test_the_state_given_is_left_as_it_was() -> None:
    state = enter({"other": 1}, "Starting", "a", at=1.0)
    enter(state, "Training", "b", at=2.0)
    assert "EndTime" not in state["transitions"][0]
    assert state["other"] == 1
