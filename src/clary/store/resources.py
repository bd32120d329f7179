"""Rows of resources: making, finding, changing and removing them. Each function works in its caller's transaction."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any

from sqlalchemy import Connection, bindparam, delete, func, insert, select, update
from sqlalchemy.exc import IntegrityError

from clary.store.base import Change, Heir, Resource
from clary.store.documents import dump, load
from clary.store.links import drop_links
from clary.store.series import drop_series, pass_series
from clary.store.tables import RESOURCES, TAGS
from clary.store.transactions import Interrupted

_C = RESOURCES.c

COLUMNS = (
    _C.id,
    _C.kind,
    _C.name,
    _C.arn,
    _C.status,
    _C.spec,
    _C.state,
    _C.created,
    _C.modified,
    _C.due,
    _C.version,
    _C.lease_owner,
    _C.lease_until,
)

_BY_NAME = select(*COLUMNS).where(_C.kind == bindparam("k"), _C.name == bindparam("n"))
_BY_ARN = select(*COLUMNS).where(_C.arn == bindparam("a"))
_INSERT = insert(RESOURCES)
_NAMES_AT_ONCE = 500


@dataclass(frozen=True, slots=True)
class Held:
    """A resource with what only the store knows of it."""

    id: int
    resource: Resource
    owner: str | None
    until: float | None


def hold(row: Sequence[Any]) -> Held:
    number, kind, name, arn, status, spec, state, created, modified, due, version, owner, until = row
    resource = Resource(kind, name, arn, status, load(spec), load(state), created, modified, due, version)
    return Held(number, resource, owner, until)


def fetch(connection: Connection, kind: str, name: str) -> Held | None:
    row = connection.execute(_BY_NAME, {"k": kind, "n": name}).first()
    return None if row is None else hold(row)


def fetch_many(connection: Connection, kind: str, names: Iterable[str]) -> dict[str, Resource]:
    wanted = sorted(set(names))
    found: dict[str, Resource] = {}
    for first in range(0, len(wanted), _NAMES_AT_ONCE):
        some = _C.name.in_(wanted[first : first + _NAMES_AT_ONCE])
        for row in connection.execute(select(*COLUMNS).where(_C.kind == kind, some)):
            resource = hold(row).resource
            found[resource.name] = resource
    return found


def fetch_by_arn(connection: Connection, arn: str) -> Held | None:
    row = connection.execute(_BY_ARN, {"a": arn}).first()
    return None if row is None else hold(row)


def add(connection: Connection, resource: Resource) -> Resource | None:
    """The resource as stored; None, and nothing written, when its name or ARN is taken."""
    stored = versioned(resource, resource, 0)
    try:
        with connection.begin_nested():
            connection.execute(_INSERT, {**_values(stored), "kind": stored.kind, "name": stored.name})
    except IntegrityError:
        return None
    # what a writer left behind that raced with the removal of an earlier resource of this name
    _drop_belongings(connection, stored)
    return stored


def taken(connection: Connection, resource: Resource) -> Resource:
    """The resource that holds this one's name or ARN. Raises Interrupted if it has just gone."""
    held = fetch(connection, resource.kind, resource.name) or fetch_by_arn(connection, resource.arn)
    if held is None:
        raise Interrupted(f"{resource.kind} {resource.name} came and went")
    return held.resource


def change_once(
    connection: Connection,
    held: Held,
    changed: Resource,
    *,
    under_lease: bool = False,
    keep_until: float | None = None,
) -> bool:
    """Write `changed` over what `held` was. False, and nothing written, when the row is not like that any more.

    `under_lease`: the lease must be the same owner's still; it goes on until `keep_until`, or ends.
    """
    values = _values(changed)
    statement = update(RESOURCES).where(_C.id == held.id, _C.version == held.resource.version)
    if under_lease:
        statement = statement.where(_C.lease_owner == held.owner)
        values |= {"lease_owner": None if keep_until is None else held.owner, "lease_until": keep_until}
        if keep_until is not None and changed.due is not None:
            values["ready"] = max(changed.due, keep_until)
    else:
        # a lease may have been given since the row was read; the later of the two times stays in force
        due = changed.due
        values["ready"] = due if due is None else _later(connection, due)
    return connection.execute(statement.values(values)).rowcount == 1


def _later(connection: Connection, due: float) -> Any:
    latest = func.max if connection.dialect.name == "sqlite" else func.greatest
    return latest(due, func.coalesce(_C.lease_until, due))


def versioned(old: Resource, changed: Resource, version: int) -> Resource:
    """`changed` with its new version. Raises ValueError when it is no longer the same resource."""
    if (changed.kind, changed.name, changed.arn) != (old.kind, old.name, old.arn):
        raise ValueError(f"a change must keep kind, name and arn: {old.kind} {old.name}")
    return Resource(
        changed.kind,
        changed.name,
        changed.arn,
        changed.status,
        changed.spec,
        changed.state,
        changed.created,
        changed.modified,
        changed.due,
        version,
    )


def next_version(held: Held, change: Change) -> Resource:
    return versioned(held.resource, change(held.resource), held.resource.version + 1)


def remove(
    connection: Connection, kind: str, name: str, *, version: int | None = None, heir: Heir | None = None
) -> bool:
    """Remove the row with what belongs to it. False if there was none, or not of that version.

    With `heir`, if there is one, the links stay, and the series `<kind>/<name>` passes to its.
    """
    statement = delete(RESOURCES).where(_C.kind == kind, _C.name == name)
    if version is not None:
        statement = statement.where(_C.version == version)
    row = connection.execute(statement.returning(*COLUMNS)).first()
    if row is None:
        return False
    resource = hold(row).resource
    held = fetch(connection, heir.kind, heir.name) if heir else None
    if heir and held:
        if not change_once(connection, held, next_version(held, heir.change)):
            raise Interrupted(f"{heir.kind} {heir.name} changed in between")
        pass_series(connection, f"{kind}/{name}", f"{heir.kind}/{heir.name}")
    else:
        drop_links(connection, resource.arn)
    _drop_belongings(connection, resource)
    return True


def _drop_belongings(connection: Connection, resource: Resource) -> None:
    connection.execute(delete(TAGS).where(TAGS.c.arn == resource.arn))
    drop_series(connection, f"{resource.kind}/{resource.name}")


def _values(resource: Resource) -> dict[str, Any]:
    return {
        "arn": resource.arn,
        "status": resource.status,
        "spec": dump(resource.spec),
        "state": dump(resource.state),
        "created": resource.created,
        "modified": resource.modified,
        "due": resource.due,
        "ready": resource.due,
        "version": resource.version,
    }
