"""Directed relations of ARNs. Each function works in its caller's transaction."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from sqlalchemy import Connection, delete, or_, select
from sqlalchemy.dialects import postgresql, sqlite

from clary.store.base import Link
from clary.store.documents import dump, load
from clary.store.tables import LINKS

_C = LINKS.c
_ARNS_AT_ONCE = 500
_LINKS = select(_C.source, _C.destination, _C.kind, _C.created, _C.facts).order_by(_C.created, _C.id)


def add_link(connection: Connection, link: Link) -> bool:
    """False, and nothing written, if there was one with these ends and of this kind."""
    dialect = sqlite if connection.dialect.name == "sqlite" else postgresql
    statement = dialect.insert(LINKS).on_conflict_do_nothing().returning(_C.id)
    values = {
        "source": link.source,
        "destination": link.destination,
        "kind": link.kind,
        "created": link.created,
        "facts": dump(link.facts),
    }
    return connection.execute(statement, values).first() is not None


def remove_links(connection: Connection, source: str, destination: str, kind: str | None) -> int:
    statement = delete(LINKS).where(_C.source == source, _C.destination == destination)
    if kind is not None:
        statement = statement.where(_C.kind == kind)
    return connection.execute(statement).rowcount


def drop_links(connection: Connection, arn: str) -> None:
    """Remove every link from and to the ARN."""
    connection.execute(delete(LINKS).where(or_(_C.source == arn, _C.destination == arn)))


def read_links(
    connection: Connection, *, source: str | None, destination: str | None, kind: str | None
) -> Sequence[Link]:
    """Raises ValueError when no condition is given."""
    given = ((_C.source, source), (_C.destination, destination), (_C.kind, kind))
    conditions = [column == wanted for column, wanted in given if wanted is not None]
    if not conditions:
        raise ValueError("links: give source, destination or kind")
    return tuple(_link(*row) for row in connection.execute(_LINKS.where(*conditions)))


def read_links_from(connection: Connection, sources: Iterable[str], kind: str) -> Sequence[Link]:
    wanted = sorted(set(sources))
    found: list[Link] = []
    for first in range(0, len(wanted), _ARNS_AT_ONCE):
        some = _C.source.in_(wanted[first : first + _ARNS_AT_ONCE])
        found += [_link(*row) for row in connection.execute(_LINKS.where(some, _C.kind == kind))]
    return tuple(sorted(found, key=lambda link: link.created))


def _link(source: str, destination: str, kind: str, created: float, facts: str) -> Link:
    return Link(source, destination, kind, created, load(facts))
