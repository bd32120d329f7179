"""Opening a database and bringing its tables up to date."""

from __future__ import annotations

import os
import re
import sqlite3
import threading
import time
from pathlib import Path
from typing import Any

from sqlalchemy import URL, Connection, Engine, create_engine, event, inspect, make_url, text
from sqlalchemy.exc import ArgumentError, DBAPIError

from clary.store.transactions import READS_ONLY, WRITE_LOCK, writing

MIGRATIONS = Path(__file__).parent / "migrations"

_BUSY_TIMEOUT_S = 30.0
_POOL = {"pool_size": 16, "max_overflow": 16, "pool_use_lifo": True}
_UPGRADE_LOCK = 0x636C617279  # "clary": the advisory lock under which PostgreSQL is upgraded
_REVISION = re.compile(r"(\d{4})_\w+\.py")


class CannotOpen(Exception):
    """The database cannot be used; the message says what to do about it."""


def open_engine(url: str) -> Engine:
    """An engine whose commits are durable, for SQLite in a file or for PostgreSQL.

    Takes `sqlite:///<path>`, `postgresql://`, `postgresql+psycopg://` and `postgres://`. Raises CannotOpen.
    Use it through `transactions.reading` and `transactions.writing`.
    """
    try:
        parsed = make_url(url)
    except ArgumentError:
        raise CannotOpen("database URL not understood: give sqlite:///<path> or postgresql://...") from None
    match parsed.drivername:
        case "sqlite" | "sqlite+pysqlite":
            return _open_sqlite(parsed)
        case "postgres" | "postgresql" | "postgresql+psycopg":
            return _open_postgresql(parsed)
        case other:
            raise CannotOpen(f"database URL {other}://: Clary knows sqlite:/// and postgresql://")


def upgrade(engine: Engine, revision: str = "head") -> None:
    """Make the tables, or bring them to this program's revision. Raises CannotOpen if they are newer than it.

    Another `revision` is for tests: a database as an older program left it.
    """
    revisions = known_revisions()
    current = current_revision(engine)
    if current == revisions[-1]:
        return
    if current is not None and current not in revisions:
        raise CannotOpen(
            f"the database was made by a newer Clary (revision {current}; this one knows up to {revisions[-1]}): "
            "upgrade Clary, or give another --home or --database-url"
        )
    writing(engine, lambda connection: _migrate(connection, revision))


def known_revisions() -> list[str]:
    """Revisions of the tables that this program knows, oldest first."""
    names = (path.name for path in (MIGRATIONS / "versions").iterdir())
    return sorted(found[1] for name in names if (found := _REVISION.fullmatch(name)))


def current_revision(engine: Engine) -> str | None:
    """The revision of the tables in this database; None when it has none of ours. Raises CannotOpen."""
    try:
        with engine.execution_options(**{READS_ONLY: True}).connect() as connection:
            if not inspect(connection).has_table("alembic_version"):
                return None
            revision: str | None = connection.scalar(text("SELECT version_num FROM alembic_version"))
            return revision
    except DBAPIError as error:
        place = engine.url.render_as_string(hide_password=True)
        raise CannotOpen(f"cannot use the database {place}: {str(error.orig).strip()}") from error


def _migrate(connection: Connection, revision: str) -> None:
    # Alembic is slow to import and seldom needed
    from alembic import command
    from alembic.config import Config

    if connection.dialect.name == "postgresql":
        connection.execute(text("SELECT pg_advisory_xact_lock(:key)"), {"key": _UPGRADE_LOCK})
    config = Config(attributes={"connection": connection})
    config.set_main_option("script_location", str(MIGRATIONS).replace("%", "%%"))
    command.upgrade(config, revision)


def _open_postgresql(url: URL) -> Engine:
    try:
        return create_engine(url.set(drivername="postgresql+psycopg"), pool_pre_ping=True, **_POOL)
    except ModuleNotFoundError as error:
        if error.name != "psycopg":
            raise
        raise CannotOpen("PostgreSQL needs a driver: pip install 'clary[postgres]'") from None


def _open_sqlite(url: URL) -> Engine:
    if not url.database or url.database == ":memory:":
        raise CannotOpen("SQLite needs a file: give sqlite:///<path>")
    _create_privately(Path(url.database))
    engine = create_engine(
        url,
        # the driver leaves transactions to the BEGIN of _begin
        connect_args={"isolation_level": None, "timeout": _BUSY_TIMEOUT_S, "check_same_thread": False},
        execution_options={WRITE_LOCK: threading.Lock()},
        **_POOL,
    )
    event.listen(engine, "connect", _prepare)
    event.listen(engine, "begin", _begin)
    return engine


def _create_privately(path: Path) -> None:
    try:
        path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
        os.close(os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600))
        if path.stat().st_mode & 0o077:
            path.chmod(0o600)
        _write_ahead(path)
    except (OSError, sqlite3.Error) as error:
        raise CannotOpen(f"cannot use the database {path}: {error}") from error


def _write_ahead(path: Path) -> None:
    """Let readers and the writer go on side by side. The file remembers it."""
    connection = sqlite3.connect(path, isolation_level=None, timeout=_BUSY_TIMEOUT_S)
    deadline = time.monotonic() + _BUSY_TIMEOUT_S
    try:
        while True:
            try:
                connection.execute("PRAGMA journal_mode = WAL")
                return
            except sqlite3.OperationalError as error:
                # this one statement does not wait for other processes by itself
                if error.sqlite_errorcode != sqlite3.SQLITE_BUSY or time.monotonic() > deadline:
                    raise
                time.sleep(0.01)
    finally:
        connection.close()


def _prepare(connection: Any, _record: object) -> None:
    connection.execute("PRAGMA synchronous = FULL")
    connection.execute("PRAGMA foreign_keys = ON")


def _begin(connection: Connection) -> None:
    # A transaction that begins as a reader and then writes can fail half-way, so writers say so at once.
    # Readers need none: each statement sees one state.
    if not connection.get_execution_options().get(READS_ONLY):
        connection.exec_driver_sql("BEGIN IMMEDIATE")
