"""The one table of resource kinds: the states each may be in and the moves between them.

A new kind of resource is one entry here and one file in `services/`. The kind's name is also the type in
its ARNs (`arn:aws:sagemaker:<region>:<account>:<kind>/<name>`).
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Kind:
    """`moves` maps each state to those that may follow it; a state with none is final."""

    name: str
    first: str
    moves: Mapping[str, frozenset[str]]

    def may_move(self, old: str, new: str) -> bool:
        return old == new or new in self.moves[old]

    def is_final(self, status: str) -> bool:
        """True once nothing runs any more. A finished resource can still be deleted."""
        return not (self.moves[status] - {"Deleting"})


def _job(name: str) -> Kind:
    """A kind of job that cannot be deleting."""
    return Kind(
        name=name,
        first="InProgress",
        moves={
            "InProgress": frozenset({"Completed", "Failed", "Stopping", "Stopped"}),
            "Stopping": frozenset({"Stopped", "Failed"}),
            "Completed": frozenset(),
            "Failed": frozenset(),
            "Stopped": frozenset(),
        },
    )


TRAINING_JOB = Kind(
    name="training-job",
    first="InProgress",
    moves={
        "InProgress": frozenset({"Completed", "Failed", "Stopping", "Stopped"}),
        "Stopping": frozenset({"Stopped", "Failed"}),
        "Completed": frozenset({"Deleting"}),
        "Failed": frozenset({"Deleting"}),
        "Stopped": frozenset({"Deleting"}),
        "Deleting": frozenset(),
    },
)

PROCESSING_JOB = _job("processing-job")

TRANSFORM_JOB = _job("transform-job")

TUNING_JOB = Kind(
    name="hyper-parameter-tuning-job",
    first="InProgress",
    moves={
        "InProgress": frozenset({"Completed", "Failed", "Stopping", "Stopped"}),
        "Stopping": frozenset({"Stopped", "Completed", "Failed"}),
        "Completed": frozenset({"Deleting"}),
        "Failed": frozenset({"Deleting"}),
        "Stopped": frozenset({"Deleting"}),
        "Deleting": frozenset({"DeleteFailed"}),
        "DeleteFailed": frozenset({"Deleting"}),
    },
)


ENDPOINT = Kind(
    name="endpoint",
    first="Creating",
    moves={
        "Creating": frozenset({"InService", "Failed", "Deleting"}),
        "InService": frozenset({"Updating", "SystemUpdating", "OutOfService", "Deleting"}),
        "Updating": frozenset({"InService", "RollingBack", "Failed", "UpdateRollbackFailed", "Deleting"}),
        "SystemUpdating": frozenset({"InService", "Updating", "OutOfService", "Deleting"}),
        "RollingBack": frozenset({"InService", "UpdateRollbackFailed", "Deleting"}),
        "UpdateRollbackFailed": frozenset({"Updating", "InService", "Deleting"}),
        "OutOfService": frozenset({"InService", "Updating", "Deleting"}),
        "Failed": frozenset({"Deleting"}),
        "Deleting": frozenset(),
    },
)

# one replica of an endpoint's variant: a job that ends when it is asked to; clients never see its row
ENDPOINT_INSTANCE = _job("endpoint-instance")


# a request to an asynchronous endpoint: there until it is answered; clients never see its row
ASYNC_INVOCATION = Kind(name="async-invocation", first="Waiting", moves={"Waiting": frozenset()})


def _record(name: str) -> Kind:
    """A kind whose rows are only kept: nothing runs, so there is one state, and deleting it is at once."""
    return Kind(name=name, first="Active", moves={"Active": frozenset()})


EXPERIMENT = _record("experiment")
TRIAL = _record("experiment-trial")
COMPONENT = _record("experiment-trial-component")
ARTIFACT = _record("artifact")
CONTEXT = _record("context")
ACTION = _record("action")
MODEL = _record("model")
ENDPOINT_CONFIG = _record("endpoint-config")
SCALABLE_TARGET = _record("scalable-target")
SCALING_POLICY = _record("scaling-policy")
SCALING_ACTIVITY = _record("scaling-activity")

KINDS: Mapping[str, Kind] = {
    kind.name: kind
    for kind in (
        *(TRAINING_JOB, PROCESSING_JOB, TRANSFORM_JOB, TUNING_JOB),
        *(EXPERIMENT, TRIAL, COMPONENT),
        *(ARTIFACT, CONTEXT, ACTION),
        *(MODEL, ENDPOINT_CONFIG, ENDPOINT, ENDPOINT_INSTANCE),
        *(ASYNC_INVOCATION, SCALABLE_TARGET, SCALING_POLICY, SCALING_ACTIVITY),
    )
}
