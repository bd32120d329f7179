"""The story of a job's secondary statuses, as DescribeTrainingJob tells it."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

State = Mapping[str, Any]


def enter(state: State, secondary: str, message: str, *, at: float) -> dict[str, Any]:
    """The state after moving to `secondary` at `at` (seconds since the epoch).

    Entering the status one is in already only changes its message: clients reprint a transition whose message
    changes, and would count a repeated one as new.
    """
    transitions = [dict(entry) for entry in state.get("transitions", ())]
    if transitions and transitions[-1]["Status"] == secondary:
        transitions[-1]["StatusMessage"] = message
    else:
        if transitions:
            transitions[-1]["EndTime"] = max(at, transitions[-1]["StartTime"])
        transitions.append({"Status": secondary, "StartTime": at, "StatusMessage": message})
    return {**state, "secondary": secondary, "transitions": transitions}


def close(state: State, *, at: float) -> dict[str, Any]:
    """The state once its last transition is over too."""
    transitions = [dict(entry) for entry in state.get("transitions", ())]
    if transitions:
        transitions[-1]["EndTime"] = max(at, transitions[-1]["StartTime"])
    return {**state, "transitions": transitions}
