"""The queue: rows whose time has come are claimed under a lease. Each function works in its caller's transaction."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from sqlalchemy import Connection, Select, bindparam, case, func, select, update

from clary.store.base import Lease
from clary.store.columns import begins_with
from clary.store.resources import COLUMNS, hold
from clary.store.tables import RESOURCES

_C = RESOURCES.c

_DUE = (_C.kind == bindparam("k"), _C.ready <= bindparam("t"))
_ANY_DUE = select(_C.id).where(*_DUE).limit(1)
_NEXT_DUE = select(func.min(_C.ready)).where(_C.kind == bindparam("k"), _C.ready.is_not(None))
_ALL_DUE = select(_C.id).where(*_DUE)  # and nothing else, since all that is due has to be sorted
_HELD = select(_C.name, _C.version).where(
    _C.kind == bindparam("k"),
    _C.ready.is_not(None),  # the index of these is short
    _C.lease_owner == bindparam("o"),
)


def any_due(connection: Connection, kind: str, now: float, name_prefix: str = "") -> bool:
    """Whether there is something to claim. Takes no lock."""
    statement = _named(_ANY_DUE, name_prefix)
    return connection.execute(statement, {"k": kind, "t": now}).first() is not None


def _named(statement: Select[tuple[int]], name_prefix: str) -> Select[tuple[int]]:
    return statement.where(*begins_with(_C.name, name_prefix)) if name_prefix else statement


def _oldest(name_prefix: str) -> Select[tuple[int]]:
    return (
        _named(_ALL_DUE, name_prefix)
        .order_by(_C.created, _C.name)
        .limit(bindparam("count"))
        .with_for_update(skip_locked=True)  # SQLite has no such thing and needs none: its writers take turns
    )


def next_due(connection: Connection, kind: str) -> float | None:
    """When the next row can be claimed: its `due`, or the end of its lease if that is later."""
    moment: float | None = connection.scalar(_NEXT_DUE, {"k": kind})
    return moment


def claim(
    connection: Connection,
    kind: str,
    *,
    owner: str,
    now: float,
    until: float,
    limit: int,
    name_prefix: str = "",
) -> Sequence[Lease]:
    numbers = connection.scalars(_oldest(name_prefix), {"k": kind, "t": now, "count": limit}).all()
    if not numbers:
        return ()
    mine = _C.id.in_(numbers)
    connection.execute(
        update(RESOURCES).where(mine).values(lease_owner=owner, lease_until=until, ready=until)
    )
    rows = connection.execute(select(*COLUMNS).where(mine).order_by(_C.created, _C.name))
    return tuple(Lease(hold(row).resource, owner, until) for row in rows)


def held(connection: Connection, kind: str, owner: str) -> dict[str, int]:
    """Versions by name."""
    rows: Sequence[Any] = connection.execute(_HELD, {"k": kind, "o": owner}).all()
    return dict(rows)


def release(connection: Connection, lease: Lease) -> None:
    """Let the row be claimed again as soon as it is due. Nothing happens when the lease was lost before."""
    connection.execute(
        update(RESOURCES)
        .where(
            _C.kind == lease.resource.kind,
            _C.name == lease.resource.name,
            _C.lease_owner == lease.owner,
        )
        .values(lease_owner=None, lease_until=None, ready=_C.due)
    )


def renew(connection: Connection, kind: str, *, owner: str, until: float) -> int:
    """Every lease of `owner` goes on until then. Gives how many there are."""
    ready = case((_C.due > until, _C.due), (_C.due <= until, until), else_=None)
    held = update(RESOURCES).where(_C.kind == kind, _C.lease_owner == owner)
    return connection.execute(held.values(lease_until=until, ready=ready)).rowcount


def surrender(connection: Connection, kind: str, *, owner: str, now: float) -> int:
    """Every row that `owner` holds becomes free and due. Gives how many there were."""
    held = update(RESOURCES).where(_C.kind == kind, _C.lease_owner == owner)
    # `due` is part of the resource, so its version moves with it
    freed = held.values(lease_owner=None, lease_until=None, due=now, ready=now, version=_C.version + 1)
    return connection.execute(freed).rowcount
