"""Lists of resources: conditions, order, and the tokens with which a client goes on."""

from __future__ import annotations

import json
import math
from base64 import urlsafe_b64decode, urlsafe_b64encode
from collections.abc import Iterator, Sequence
from hashlib import blake2b

from sqlalchemy import Column, ColumnElement, Connection, func, literal, select, tuple_

from clary.store.base import Head, Page, Resource, Where
from clary.store.columns import Name, begins_with, escape
from clary.store.resources import COLUMNS, hold
from clary.store.tables import LINKS, RESOURCES

_C = RESOURCES.c
_HEAD = (_C.name, _C.arn, _C.status, _C.created, _C.modified)
_CHECK_BYTES = 6

Key = str | float


def list_page(
    connection: Connection, kind: str, where: Where, page: Page
) -> tuple[Sequence[Resource], str | None]:
    """The page's resources and the token of the next page, if there is one.

    A place in the list is the sort key and the name of a row, so rows that come and go elsewhere do not move it.
    Raises ValueError for a limit below 1 and for a token that was not made for this kind and order.
    """
    if page.limit < 1:
        raise ValueError(f"limit {page.limit}: give at least 1")
    column = _column(page.sort)
    statement = select(*COLUMNS).where(_C.kind == kind, *_conditions(where, connection.dialect.name))
    if page.after is not None:
        statement = statement.where(_behind(column, page, read_token(page.after, kind, page)))
    order = (column,) if column is _C.name else (column, _C.name)
    statement = statement.order_by(*(part.desc() if page.descending else part.asc() for part in order))
    rows = connection.execute(statement.limit(page.limit + 1)).all()
    found = [hold(row).resource for row in rows[: page.limit]]
    if len(rows) <= page.limit:
        return found, None
    last = found[-1]
    return found, write_token(kind, page, getattr(last, page.sort), last.name)


def list_heads(connection: Connection, kind: str, where: Where) -> Sequence[Head]:
    """All of them, by name."""
    conditions = _conditions(where, connection.dialect.name)
    statement = select(*_HEAD).where(_C.kind == kind, *conditions).order_by(_C.name)
    return tuple(Head(*row) for row in connection.execute(statement))


def count(connection: Connection, kind: str, where: Where) -> int:
    conditions = _conditions(where, connection.dialect.name)
    statement = select(func.count()).select_from(RESOURCES).where(_C.kind == kind, *conditions)
    number: int = connection.execute(statement).scalar_one()
    return number


def write_token(kind: str, page: Page, key: Key, name: str) -> str:
    body = json.dumps([kind, page.sort, page.descending, key, name], separators=(",", ":")).encode()
    return urlsafe_b64encode(_check(body) + body).decode().rstrip("=")


def read_token(token: str, kind: str, page: Page) -> tuple[Key, str]:
    """The sort key and name of the row behind which to go on. Raises ValueError."""
    refusal = ValueError("the token does not belong to this list: give the one that the last page came with")
    try:
        raw = urlsafe_b64decode(token.encode("ascii") + b"=" * (-len(token) % 4))
        check, body = raw[:_CHECK_BYTES], raw[_CHECK_BYTES:]
        if check != _check(body):
            raise refusal
        parts = json.loads(body)
    except (ValueError, RecursionError):
        raise refusal from None
    match parts:
        case [str(made_for), str(sort), bool(descending), str() | int() | float() as key, str(name)]:
            fits = (made_for, sort, descending) == (kind, page.sort, page.descending)
        case _:
            raise refusal
    if not fits or not _is_key(page, key):
        raise refusal
    return key, name


def _is_key(page: Page, key: object) -> bool:
    if page.sort in ("name", "status"):
        return isinstance(key, str)
    return (
        isinstance(key, float | int) and not isinstance(key, bool) and abs(key) < 1e300 and math.isfinite(key)
    )


def _check(body: bytes) -> bytes:
    """Tells a token that was cut or altered from a whole one. A token grants nothing, so this is no signature."""
    return blake2b(body, digest_size=_CHECK_BYTES).digest()


def _column(sort: str) -> Column[str] | Column[float]:
    if sort not in ("name", "created", "modified", "status"):
        raise ValueError(f"sort {sort!r}: give name, created, modified or status")
    column: Column[str] | Column[float] = _C[sort]
    return column


def _behind(column: Column[str] | Column[float], page: Page, place: tuple[Key, str]) -> ColumnElement[bool]:
    key, name = place
    here = tuple_(column, _C.name)
    there = tuple_(literal(key, column.type), literal(name, Name()))
    return here < there if page.descending else here > there


def _conditions(where: Where, dialect: str) -> Iterator[ColumnElement[bool]]:
    if where.name_contains:
        find = func.instr if dialect == "sqlite" else func.strpos
        yield find(_C.name, escape(where.name_contains)) > 0
    if where.name_prefix:
        yield from begins_with(_C.name, where.name_prefix)
    if where.statuses:
        yield _C.status.in_(where.statuses)
    yield from _linked(where)
    for column, after, before in (
        (_C.created, where.created_after, where.created_before),
        (_C.modified, where.modified_after, where.modified_before),
    ):
        if after is not None:
            yield column > after
        if before is not None:
            yield column < before


def _linked(where: Where) -> Iterator[ColumnElement[bool]]:
    links = LINKS.c
    if where.links_to is not None:
        path, destination = where.links_to
        *nearer, last = path.split("/")
        sources = select(links.source).where(links.destination == destination, links.kind == last)
        for kind in reversed(nearer):
            between = LINKS.alias().c
            sources = select(between.source).where(between.kind == kind, between.destination.in_(sources))
        yield _C.arn.in_(sources)
    if where.linked_from is not None:
        kind, source = where.linked_from
        yield _C.arn.in_(select(links.destination).where(links.source == source, links.kind == kind))
