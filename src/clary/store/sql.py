"""The store on SQLite or PostgreSQL."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence

from sqlalchemy import Connection, Engine, Executable, bindparam, delete, insert, select
from sqlalchemy.dialects import postgresql, sqlite

from clary.store import leases, pages, resources
from clary.store.base import (
    AlreadyExists,
    Change,
    Credential,
    Document,
    Head,
    Heir,
    Lease,
    Link,
    Page,
    Point,
    Resource,
    Summary,
    Where,
)
from clary.store.database import open_engine, upgrade
from clary.store.documents import dump, load
from clary.store.links import add_link, read_links, read_links_from, remove_links
from clary.store.series import append_points, check_points, list_metrics, read_points
from clary.store.summaries import read_summaries, read_summaries_under
from clary.store.tables import CREDENTIALS, DOCUMENTS, TAGS
from clary.store.transactions import reading, writing

EVERYTHING = Where()
FIRST_PAGE = Page()

_ARNS_AT_ONCE = 500

_TAGS = select(TAGS.c.key, TAGS.c.value).where(TAGS.c.arn == bindparam("a")).order_by(TAGS.c.id)
_CREDENTIAL = select(
    CREDENTIALS.c.access_key_id,
    CREDENTIALS.c.secret,
    CREDENTIALS.c.session_token,
    CREDENTIALS.c.scope,
    CREDENTIALS.c.expires,
).where(CREDENTIALS.c.access_key_id == bindparam("a"))
_DOCUMENT = select(DOCUMENTS.c.value).where(DOCUMENTS.c.key == bindparam("k"))


def open_store(url: str) -> SqlStore:
    """The store in the database at this URL, its tables made or brought up to date. Raises database.CannotOpen."""
    engine = open_engine(url)
    try:
        upgrade(engine)
    except BaseException:
        engine.dispose()
        raise
    return SqlStore(engine)


class SqlStore:
    """See base.Store for the laws. The tables must be there: `open_store` sees to it."""

    def __init__(self, engine: Engine) -> None:
        self.engine = engine
        self._upsert = sqlite.insert if engine.dialect.name == "sqlite" else postgresql.insert

    def create(
        self,
        resource: Resource,
        *,
        tags: Mapping[str, str] | None = None,
        beside: Sequence[Resource] = (),
        links: Sequence[Link] = (),
    ) -> Resource:
        rows = _tag_rows(resource.arn, tags or {})

        def work(connection: Connection) -> Resource:
            stored = resources.add(connection, resource)
            if stored is None:
                raise AlreadyExists(resources.taken(connection, resource))
            if rows:
                connection.execute(insert(TAGS), rows)
            for other in beside:
                resources.add(connection, other)
            for link in links:
                add_link(connection, link)
            return stored

        return writing(self.engine, work)

    def get(self, kind: str, name: str) -> Resource | None:
        held = reading(self.engine, lambda connection: resources.fetch(connection, kind, name))
        return None if held is None else held.resource

    def get_many(self, kind: str, names: Iterable[str]) -> Mapping[str, Resource]:
        wanted = tuple(names)
        return reading(self.engine, lambda connection: resources.fetch_many(connection, kind, wanted))

    def find(self, arn: str) -> Resource | None:
        held = reading(self.engine, lambda connection: resources.fetch_by_arn(connection, arn))
        return None if held is None else held.resource

    def list(
        self,
        kind: str,
        where: Where = EVERYTHING,
        page: Page = FIRST_PAGE,
    ) -> tuple[Sequence[Resource], str | None]:
        return reading(self.engine, lambda connection: pages.list_page(connection, kind, where, page))

    def heads(self, kind: str, where: Where = EVERYTHING) -> Sequence[Head]:
        return reading(self.engine, lambda connection: pages.list_heads(connection, kind, where))

    def count(self, kind: str, where: Where = EVERYTHING) -> int:
        return reading(self.engine, lambda connection: pages.count(connection, kind, where))

    def update(self, kind: str, name: str, change: Change) -> Resource | None:
        while True:
            held = reading(self.engine, lambda connection: resources.fetch(connection, kind, name))
            if held is None:
                return None
            if changed := self._change(held, change):
                return changed
            # each failure is another writer's success, so somebody always gets on

    def _change(self, held: resources.Held, change: Change) -> Resource | None:
        changed = resources.next_version(held, change)
        stored = writing(self.engine, lambda connection: resources.change_once(connection, held, changed))
        return changed if stored else None

    def delete(self, kind: str, name: str, *, version: int | None = None, heir: Heir | None = None) -> bool:
        return writing(
            self.engine,
            lambda connection: resources.remove(connection, kind, name, version=version, heir=heir),
        )

    def link(self, link: Link) -> bool:
        return writing(self.engine, lambda connection: add_link(connection, link))

    def unlink(self, source: str, destination: str, *, kind: str | None = None) -> int:
        return writing(self.engine, lambda connection: remove_links(connection, source, destination, kind))

    def links(
        self, *, source: str | None = None, destination: str | None = None, kind: str | None = None
    ) -> Sequence[Link]:
        return reading(
            self.engine,
            lambda connection: read_links(connection, source=source, destination=destination, kind=kind),
        )

    def links_from(self, sources: Iterable[str], *, kind: str) -> Sequence[Link]:
        wanted = tuple(sources)
        return reading(self.engine, lambda connection: read_links_from(connection, wanted, kind))

    def claim(
        self, kind: str, *, owner: str, now: float, lease_s: float, limit: int, name_prefix: str = ""
    ) -> Sequence[Lease]:
        if not reading(self.engine, lambda connection: leases.any_due(connection, kind, now, name_prefix)):
            return ()
        until = now + lease_s

        def work(connection: Connection) -> Sequence[Lease]:
            return leases.claim(
                connection, kind, owner=owner, now=now, until=until, limit=limit, name_prefix=name_prefix
            )

        return writing(self.engine, work)

    def apply(
        self,
        lease: Lease,
        change: Change,
        *,
        points: Iterable[Point] = (),
        keep_until: float | None = None,
    ) -> Resource | None:
        kind, name = lease.resource.kind, lease.resource.name
        measured = tuple(points)
        check_points(measured)
        while True:
            held = reading(self.engine, lambda connection: resources.fetch(connection, kind, name))
            if held is None or held.owner != lease.owner:
                return None
            if changed := self._apply(held, change, measured, keep_until):
                return changed

    def _apply(
        self, held: resources.Held, change: Change, points: Sequence[Point], keep_until: float | None
    ) -> Resource | None:
        changed = resources.next_version(held, change)

        def work(connection: Connection) -> Resource | None:
            if not resources.change_once(connection, held, changed, under_lease=True, keep_until=keep_until):
                return None
            append_points(connection, points)
            return changed

        return writing(self.engine, work)

    def release(self, lease: Lease) -> None:
        writing(self.engine, lambda connection: leases.release(connection, lease))

    def renew(self, kind: str, *, owner: str, until: float) -> int:
        return writing(
            self.engine, lambda connection: leases.renew(connection, kind, owner=owner, until=until)
        )

    def surrender(self, kind: str, *, owner: str, now: float) -> int:
        return writing(
            self.engine, lambda connection: leases.surrender(connection, kind, owner=owner, now=now)
        )

    def held(self, kind: str, *, owner: str) -> Mapping[str, int]:
        return reading(self.engine, lambda connection: leases.held(connection, kind, owner))

    def next_due(self, kind: str) -> float | None:
        return reading(self.engine, lambda connection: leases.next_due(connection, kind))

    def set_tags(self, arn: str, tags: Mapping[str, str]) -> None:
        rows = _tag_rows(arn, tags)
        if not rows:
            return
        added = self._upsert(TAGS)
        statement = added.on_conflict_do_update(
            index_elements=["arn", "key"], set_={"value": added.excluded.value}
        )
        self._execute(statement, rows)

    def remove_tags(self, arn: str, keys: Iterable[str]) -> None:
        statement = delete(TAGS).where(TAGS.c.arn == arn, TAGS.c.key.in_(tuple(keys)))
        self._execute(statement)

    def tags(self, arn: str) -> Mapping[str, str]:
        rows = reading(self.engine, lambda connection: connection.execute(_TAGS, {"a": arn}).all())
        return dict(rows)

    def tags_of(self, arns: Iterable[str]) -> Mapping[str, Mapping[str, str]]:
        wanted = sorted(set(arns))
        found: dict[str, dict[str, str]] = {}

        def work(connection: Connection) -> None:
            for first in range(0, len(wanted), _ARNS_AT_ONCE):
                some = TAGS.c.arn.in_(wanted[first : first + _ARNS_AT_ONCE])
                statement = select(TAGS.c.arn, TAGS.c.key, TAGS.c.value).where(some).order_by(TAGS.c.id)
                for arn, key, value in connection.execute(statement):
                    found.setdefault(arn, {})[key] = value

        reading(self.engine, work)
        return found

    def append(self, points: Iterable[Point], *, once: bool = False) -> None:
        measured = tuple(points)
        check_points(measured)
        if measured:
            writing(self.engine, lambda connection: append_points(connection, measured, once=once))

    def points(
        self, series: str, metric: str, *, start: float | None = None, end: float | None = None
    ) -> Sequence[Point]:
        return reading(
            self.engine, lambda connection: read_points(connection, series, metric, start=start, end=end)
        )

    def metrics(self, series: str) -> Sequence[str]:
        return reading(self.engine, lambda connection: list_metrics(connection, series))

    def summaries(self, series: Iterable[str], *, metrics: Iterable[str] | None = None) -> Sequence[Summary]:
        names, wanted = tuple(series), None if metrics is None else tuple(metrics)
        return reading(self.engine, lambda connection: read_summaries(connection, names, wanted))

    def summaries_under(self, prefix: str, *, metrics: Iterable[str] | None = None) -> Sequence[Summary]:
        wanted = None if metrics is None else tuple(metrics)
        return reading(self.engine, lambda connection: read_summaries_under(connection, prefix, wanted))

    def put_credential(self, credential: Credential) -> None:
        values = {
            "access_key_id": credential.access_key_id,
            "secret": credential.secret,
            "session_token": credential.session_token,
            "scope": credential.scope,
            "expires": credential.expires,
        }
        statement = self._upsert(CREDENTIALS).values(values)
        statement = statement.on_conflict_do_update(index_elements=["access_key_id"], set_=values)
        self._execute(statement)

    def credential(self, access_key_id: str) -> Credential | None:
        row = reading(
            self.engine, lambda connection: connection.execute(_CREDENTIAL, {"a": access_key_id}).first()
        )
        return None if row is None else Credential(*row)

    def drop_credentials(self, scope: str) -> None:
        statement = delete(CREDENTIALS).where(CREDENTIALS.c.scope == scope)
        self._execute(statement)

    def put_once(self, key: str, value: Document) -> Document:
        statement = self._upsert(DOCUMENTS).values(key=key, value=dump(value)).on_conflict_do_nothing()

        def read(connection: Connection) -> Document | None:
            found: str | None = connection.scalar(_DOCUMENT, {"k": key})
            return None if found is None else load(found)

        found = reading(self.engine, read)
        if found is None:
            self._execute(statement)
            found = reading(self.engine, read)
        assert found is not None, "documents are never removed"
        return found

    def _execute(self, statement: Executable, rows: Sequence[Mapping[str, str]] | None = None) -> None:
        writing(self.engine, lambda connection: connection.execute(statement, rows))

    def close(self) -> None:
        self.engine.dispose()


def _tag_rows(arn: str, tags: Mapping[str, str]) -> Sequence[Mapping[str, str]]:
    return [{"arn": arn, "key": key, "value": value} for key, value in tags.items()]
