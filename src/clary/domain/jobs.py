"""What every job on a queue has in common: how it begins and how it is asked to end."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from clary.domain.kinds import Kind
from clary.domain.names import Account
from clary.domain.transitions import enter

Document = Mapping[str, Any]


def beginning(
    kind: Kind,
    account: Account,
    name: str,
    request: Document,
    *,
    message: str,
    now: float,
    state: Document | None = None,
) -> dict[str, Any]:
    """The fields of the row of a new job. `request` is its Create's; `state` is kept beside the story.

    Tags are no part of a row: they go to the store beside it.
    """
    return {
        "kind": kind.name,
        "name": name,
        "arn": account.sagemaker(kind.name, name),
        "status": kind.first,
        "spec": {key: value for key, value in request.items() if key != "Tags"},
        "state": enter(state or {}, "Starting", message, at=now),
        "created": now,
        "modified": now,
        "due": now,
    }


def stopping(kind: Kind, status: str, state: Document, *, message: str, now: float) -> dict[str, Any]:
    """The fields that change when a job is asked to stop: none when it is stopping already, or has ended."""
    if status == "Stopping" or kind.is_final(status):
        return {}
    asked = enter(state, "Stopping", message, at=now)
    return {"status": "Stopping", "state": asked, "modified": now, "due": now}
