"""Running work in a transaction, again when the database asks for it.

Everything that talks to the database goes through `reading` or `writing`; other rooms that keep tables in the same
database do so too.
"""

from __future__ import annotations

import random
import time
from collections.abc import Callable
from contextlib import AbstractContextManager, nullcontext
from typing import TypeVar

from sqlalchemy import Connection, Engine
from sqlalchemy.exc import DBAPIError

ATTEMPTS = 6
FIRST_PAUSE_S = 0.02

# execution options of an engine, set by `open_engine`
WRITE_LOCK = "clary_write_lock"
READS_ONLY = "clary_reads_only"

Result = TypeVar("Result")
Work = Callable[[Connection], Result]

_ROLLED_BACK = frozenset({"40001", "40P01", "55P03"})  # serialisation failure, deadlock, lock not available
_SQLITE_BUSY = 5
_SQLITE_LOCKED = 6


class Interrupted(Exception):
    """Raised by work that met another writer and wants to be run again from its start."""


def reading(engine: Engine, work: Work[Result]) -> Result:
    """Give `work` a connection to read from, each statement by itself. It may be called several times."""
    reader = engine.execution_options(**_read_options(engine))
    for attempt in range(ATTEMPTS):
        try:
            with reader.connect() as connection:
                return work(connection)
        except DBAPIError as error:
            if attempt + 1 == ATTEMPTS or not (_was_rolled_back(error) or error.connection_invalidated):
                raise
        _pause(attempt)
    raise AssertionError("unreachable")


def writing(engine: Engine, work: Work[Result]) -> Result:
    """Run `work` in one transaction and commit it durably. It may be called several times, so it must be repeatable.

    A connection lost during the commit leaves open whether it happened; that is raised and never tried again.
    `work` must not call `writing` itself: on SQLite it would wait for its own end.
    """
    for attempt in range(ATTEMPTS):
        committing = False
        try:
            with _turn(engine), engine.connect() as connection, connection.begin() as transaction:
                result = work(connection)
                committing = True
                transaction.commit()
                return result
        except Interrupted:
            if attempt + 1 == ATTEMPTS:
                raise
        except DBAPIError as error:
            safe = _was_rolled_back(error) or (error.connection_invalidated and not committing)
            if attempt + 1 == ATTEMPTS or not safe:
                raise
        _pause(attempt)
    raise AssertionError("unreachable")


def _read_options(engine: Engine) -> dict[str, object]:
    if engine.dialect.name == "sqlite":
        return {READS_ONLY: True}
    return {"isolation_level": "AUTOCOMMIT"}


def _turn(engine: Engine) -> AbstractContextManager[object]:
    """SQLite has one writer at a time. Waiting for it here is fair; in SQLite it is polling with growing pauses."""
    lock: AbstractContextManager[object] | None = engine.get_execution_options().get(WRITE_LOCK)
    return lock or nullcontext()


def _was_rolled_back(error: DBAPIError) -> bool:
    """True when the database says that the transaction surely left nothing behind."""
    cause = error.orig
    code = getattr(cause, "sqlite_errorcode", None)
    if code is not None:
        return (code & 0xFF) in {_SQLITE_BUSY, _SQLITE_LOCKED}
    return getattr(cause, "sqlstate", None) in _ROLLED_BACK


def _pause(attempt: int) -> None:
    time.sleep(FIRST_PAUSE_S * 2**attempt * random.uniform(0.5, 1.0))
