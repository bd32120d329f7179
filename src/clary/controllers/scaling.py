"""The scaling controller: what policies want of a variant is written down, told as an activity, and carried out.

One turn of a scalable target, which is claimed for it:

    idle      its policies' metrics are read; what follows goes into its state as `activity` and `last`
    begun     the activity's row is made, the endpoint's number of instances changed; both are done again after a crash
    ended     the endpoint is in service with that number, or could not get it: then it has the old one again
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from typing import Any

from clary.controllers.scaling_readings import read
from clary.domain.async_inference import row_prefix
from clary.domain.autoscaling import (
    Bounds,
    Direction,
    Last,
    Reading,
    bounds_of,
    decide,
    last_of,
    tracking_of,
)
from clary.domain.endpoints import rescaled, variant_of
from clary.domain.kinds import ASYNC_INVOCATION, ENDPOINT, SCALABLE_TARGET, SCALING_ACTIVITY, SCALING_POLICY
from clary.domain.names import Account
from clary.domain.scalable import DIMENSION, NAMESPACE, Target, activity_arn, metric_of, target_of
from clary.settings import Settings
from clary.store.base import AlreadyExists, Lease, Page, Resource, Store, Where

log = logging.getLogger("clary.controllers.scaling")

KIND = SCALABLE_TARGET.name
CONFIG = "TargetTrackingScalingPolicyConfiguration"
MOST_CLAIMED = 100
MOST_ACTIVITIES = 200  # that are kept of a variant
LOOK_S = 5.0
FOLLOW_S = 1.0
IDLE_S = 30.0
ID_DIGITS = 32

State = dict[str, Any]


@dataclass(frozen=True, slots=True)
class Means:
    """What the controller works with. `changed` tells the endpoint controller; `most` is how many instances of a type
    the machine holds."""

    store: Store
    account: Account
    settings: Settings
    owner: str
    new_id: Callable[[int], str]
    changed: Callable[[], None]
    most: Callable[[str], int]


@dataclass(frozen=True, slots=True)
class Scaling:
    """One `step` a turn; not for use from several threads at once."""

    means: Means

    def resume(self, now: float) -> None:
        """Take over what a former controller of this owner held."""
        self.means.store.surrender(KIND, owner=self.means.owner, now=now)

    def step(self, now: float) -> float:
        """One look at every target whose time has come. Gives the seconds that may pass until the next."""
        store = self.means.store
        leases = store.claim(
            KIND, owner=self.means.owner, now=now, lease_s=self.means.settings.lease_s, limit=MOST_CLAIMED
        )
        for lease in leases:
            try:
                self._turn(lease, now)
            except Exception:
                # one target's trouble must not hold up the others
                log.exception("%s: a turn failed", lease.resource.name)
                store.apply(lease, lambda row: replace(row, due=now + LOOK_S))
        due = store.next_due(KIND)
        return IDLE_S if due is None else min(max(due - now, 0.05), IDLE_S)

    def _turn(self, lease: Lease, now: float) -> None:
        row = lease.resource
        target = target_of(row.spec["ResourceId"])
        assert target is not None, "checked when it was registered"
        endpoint = self.means.store.get(ENDPOINT.name, target.endpoint)
        if not _is_of(row, endpoint, target):
            self._forget(row, target)
            return
        assert endpoint is not None
        state = dict(row.state)
        if "activity" in state:
            state = self._follow(target, endpoint, state, now)
        elif endpoint.status == "InService":
            state = self._look(lease, target, endpoint, state, now)
        follows = "activity" in state
        due = now + (FOLLOW_S if follows else self._look_s)
        self.means.store.apply(lease, lambda row: replace(row, state=state, due=due))

    @property
    def _look_s(self) -> float:
        return min(LOOK_S, self.means.settings.scaling_period_s)

    # -- deciding

    def _look(self, lease: Lease, target: Target, endpoint: Resource, state: State, now: float) -> State:
        """The state with what is to be done, which has begun then."""
        count = _count(endpoint, target)
        found = decide(
            count,
            self._bounds(lease.resource, endpoint, target),
            self._readings(target, endpoint, now),
            last=last_of(state),
            now=now,
            waiting=self._waiting(target) if count == 0 else 0,
        )
        if found is None:
            return state
        activity = {"id": self.means.new_id(ID_DIGITS), "before": count, "at": now, **asdict(found)}
        state = {**state, "activity": activity}
        if found.policy:
            direction: Direction = "out" if found.count > count else "in"
            state["last"] = asdict(Last(now, direction, count, found.count))
        until = now + self.means.settings.lease_s
        written = self.means.store.apply(
            lease, lambda row: replace(row, state=state, due=until), keep_until=until
        )
        if written is not None:
            self._begin(target, endpoint, activity)
        return state

    def _bounds(self, row: Resource, endpoint: Resource, target: Target) -> Bounds:
        """Those asked for, within what the machine holds."""
        bounds = bounds_of(row.spec)
        kind = variant_of(_generation(endpoint), target.variant).get("InstanceType")
        most = max(self.means.most(kind), 1) if kind else bounds.most
        return replace(bounds, least=min(bounds.least, most), most=min(bounds.most, most))

    def _readings(self, target: Target, endpoint: Resource, now: float) -> Sequence[Reading]:
        rows, _ = self.means.store.list(
            SCALING_POLICY.name, Where(name_prefix=f"{target.row}."), Page(sort="name")
        )
        found = []
        for row in rows:
            metric = metric_of(row.spec[CONFIG], target)
            if metric is not None:
                period_s = self.means.settings.scaling_period_s
                values = read(self.means.store, metric, now=now, period_s=period_s, since=endpoint.created)
                found.append(Reading(tracking_of(row.spec), values))
        return found

    def _waiting(self, target: Target) -> int:
        return self.means.store.count(ASYNC_INVOCATION.name, Where(name_prefix=row_prefix(target.endpoint)))

    # -- carrying out

    def _begin(self, target: Target, endpoint: Resource, activity: Mapping[str, Any]) -> None:
        """Make the activity's row, and have the endpoint have that many instances. Twice is the same as once."""
        self._tell(target, activity)
        self._rescale(target, endpoint, activity["before"], activity["count"], activity["at"])
        log.info("%s: %d instances, not %d: %s", target.id, *_numbers(activity), activity["cause"])

    def _rescale(self, target: Target, endpoint: Resource, before: int, count: int, now: float) -> None:
        def change(row: Resource) -> Resource:
            is_so = row.created == endpoint.created and row.status == "InService"
            if not is_so or _count(row, target) != before:
                return row
            return replace(row, **rescaled(row.state, {target.variant: {"count": count}}, now=now))

        self.means.store.update(ENDPOINT.name, endpoint.name, change)
        self.means.changed()

    def _follow(self, target: Target, endpoint: Resource, state: State, now: float) -> State:
        """The state without the activity, once that has ended."""
        activity = state["activity"]
        count = _count(endpoint, target)
        wanted = activity["count"]
        if endpoint.status == "InService" and count == activity["before"] != wanted:
            self._begin(target, endpoint, activity)  # it had been decided only
            return state
        if endpoint.status == "Updating" and count == wanted:
            return state
        reason = endpoint.state.get("reason")
        if count != wanted:
            self._end(
                target, activity, "Overridden", "The number of instances was set otherwise meanwhile.", now
            )
        elif endpoint.status != "InService":
            self._end(target, activity, "Failed", f"The endpoint is {endpoint.status}: {reason}", now)
        elif reason:
            self._rescale(target, endpoint, wanted, activity["before"], now)
            message = f"Set the desired instance count back to {activity['before']}. Reason: {reason}"
            self._end(target, activity, "Failed", message, now)
        else:
            message = f"Successfully set desired instance count to {wanted}."
            self._end(target, activity, "Successful", message, now)
        return {key: value for key, value in state.items() if key != "activity"}

    def _forget(self, row: Resource, target: Target) -> None:
        """Of an endpoint that is gone; not what was registered for a new one of its name meanwhile."""
        store = self.means.store
        if not store.delete(KIND, row.name, version=row.version):
            return
        for kind in (SCALING_POLICY.name, SCALING_ACTIVITY.name):
            for head in store.heads(kind, Where(name_prefix=f"{target.row}.")):
                store.delete(kind, head.name)

    # -- telling

    def _tell(self, target: Target, activity: Mapping[str, Any]) -> None:
        row = Resource(
            kind=SCALING_ACTIVITY.name,
            name=target.activity_row(activity["id"]),
            arn=activity_arn(self.means.account, activity["id"]),
            status=SCALING_ACTIVITY.first,
            spec={
                "ActivityId": activity["id"],
                "ServiceNamespace": NAMESPACE,
                "ResourceId": target.id,
                "ScalableDimension": DIMENSION,
                "Description": f"Setting desired instance count to {activity['count']}.",
                "Cause": activity["cause"],
                "StartTime": activity["at"],
            },
            state={"StatusCode": "InProgress"},
            created=activity["at"],
            modified=activity["at"],
        )
        try:
            self.means.store.create(row)
        except AlreadyExists:
            return
        self._drop_old(target)

    def _end(
        self, target: Target, activity: Mapping[str, Any], status: str, message: str, now: float
    ) -> None:
        ended = {"StatusCode": status, "StatusMessage": message, "EndTime": now}
        self.means.store.update(
            SCALING_ACTIVITY.name,
            target.activity_row(activity["id"]),
            lambda row: replace(row, state=ended, modified=now),
        )

    def _drop_old(self, target: Target) -> None:
        where = Where(name_prefix=f"{target.row}.")
        many = self.means.store.count(SCALING_ACTIVITY.name, where) - MOST_ACTIVITIES
        if many > 0:
            rows, _ = self.means.store.list(SCALING_ACTIVITY.name, where, Page(limit=many))
            for row in rows:
                self.means.store.delete(SCALING_ACTIVITY.name, row.name)


def _is_of(row: Resource, endpoint: Resource | None, target: Target) -> bool:
    """Whether the variant that was registered is still there."""
    if endpoint is None or endpoint.created != row.state["endpoint"]:
        return False
    return target.variant in _generation(endpoint)["variants"]


def _generation(endpoint: Resource) -> Mapping[str, Any]:
    found: Mapping[str, Any] = endpoint.state["generations"][endpoint.state["target"]]
    return found


def _count(endpoint: Resource, target: Target) -> int:
    return int(_generation(endpoint)["variants"][target.variant]["count"])


def _numbers(activity: Mapping[str, Any]) -> tuple[int, int]:
    return activity["count"], activity["before"]
