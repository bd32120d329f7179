from __future__ import annotations

import sqlite3
import threading
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
from sqlalchemy import Connection, Engine, text
from sqlalchemy.exc import DBAPIError, IntegrityError, OperationalError

from clary.store import transactions
from clary.store.database import open_engine
from clary.store.transactions import ATTEMPTS, Interrupted, reading, writing


@pytest.fixture
def sqlite_engine(tmp_path: Path) -> Iterator[Engine]:
    yield from prepared(f"sqlite:///{tmp_path / 'clary.db'}")


@pytest.fixture
def postgres_engine(postgres_database: str) -> Iterator[Engine]:
    yield from prepared(postgres_database)


@pytest.fixture(params=["sqlite", "postgres"])
def engine(request: pytest.FixtureRequest) -> Engine:
    return request.getfixturevalue(f"{request.param}_engine")


@pytest.fixture(autouse=True)
def no_pauses(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(transactions, "FIRST_PAUSE_S", 0.0)


def prepared(url: str) -> Iterator[Engine]:
    engine = open_engine(url)
    run(engine, "CREATE TABLE t (n INTEGER PRIMARY KEY, v INTEGER)")
    run(engine, "INSERT INTO t VALUES (1, 0), (2, 0)")
    yield engine
    engine.dispose()


def run(engine: Engine, statement: str) -> None:
    writing(engine, lambda connection: connection.execute(text(statement)))


def values(engine: Engine) -> list[int]:
    return list(
        reading(engine, lambda connection: connection.scalars(text("SELECT v FROM t ORDER BY n")).all())
    )


class TestWriting:
    def test_gives_the_result_and_commits(self, engine: Engine) -> None:
        def work(connection: Connection) -> str:
            connection.execute(text("UPDATE t SET v = 5 WHERE n = 1"))
            return "done"

        assert writing(engine, work) == "done"
        assert values(engine) == [5, 0]

    @pytest.mark.parametrize("error", [KeyError("x"), KeyboardInterrupt()])
    def test_what_raises_leaves_nothing_and_is_not_repeated(
        self, engine: Engine, error: BaseException
    ) -> None:
        calls: list[int] = []

        def work(connection: Connection) -> None:
            calls.append(1)
            connection.execute(text("UPDATE t SET v = 5"))
            raise error

        with pytest.raises(type(error)):
            writing(engine, work)
        assert (calls, values(engine)) == ([1], [0, 0])
        run(engine, "UPDATE t SET v = 6")
        assert values(engine) == [6, 6]

    def test_a_broken_rule_is_not_repeated(self, engine: Engine) -> None:
        calls: list[int] = []

        def work(connection: Connection) -> None:
            calls.append(1)
            connection.execute(text("INSERT INTO t VALUES (1, 1)"))

        with pytest.raises(IntegrityError):
            writing(engine, work)
        assert calls == [1]

    @pytest.mark.parametrize("times", [1, ATTEMPTS - 1])
    def test_interrupted_work_starts_again_from_nothing(self, engine: Engine, times: int) -> None:
        calls: list[int] = []

        def work(connection: Connection) -> None:
            calls.append(1)
            connection.execute(text("UPDATE t SET v = v + 1"))
            if len(calls) <= times:
                raise Interrupted("again")

        writing(engine, work)
        assert (len(calls), values(engine)) == (times + 1, [1, 1])

    def test_it_gives_up(self, engine: Engine) -> None:
        calls: list[int] = []

        def work(connection: Connection) -> None:
            calls.append(1)
            raise Interrupted("for ever")

        with pytest.raises(Interrupted, match="for ever"):
            writing(engine, work)
        assert len(calls) == ATTEMPTS


class TestSqlite:
    def test_waits_for_another_process_s_lock(self, sqlite_engine: Engine, tmp_path: Path) -> None:
        other = sqlite3.connect(tmp_path / "clary.db", isolation_level=None, check_same_thread=False)
        other.execute("BEGIN IMMEDIATE")
        other.execute("UPDATE t SET v = v + 10")
        release = threading.Timer(0.3, lambda: other.execute("COMMIT"))
        release.start()
        try:
            assert values(sqlite_engine) == [0, 0]
            run(sqlite_engine, "UPDATE t SET v = v + 1")
        finally:
            release.join()
            other.close()
        assert values(sqlite_engine) == [11, 11]

    def test_a_lock_that_stays_is_told(self, sqlite_engine: Engine, tmp_path: Path) -> None:
        other = sqlite3.connect(tmp_path / "clary.db", isolation_level=None)
        other.execute("BEGIN IMMEDIATE")
        calls: list[int] = []

        def impatient(connection: Connection) -> None:
            calls.append(1)

        try:
            # the driver's own wait of half a minute, made short on the one connection that the pool hands out
            with sqlite_engine.connect() as connection:
                raw = connection.connection
                raw.execute("PRAGMA busy_timeout = 1")  # type: ignore[attr-defined]
            with pytest.raises(OperationalError, match="locked"):
                writing(sqlite_engine, impatient)
        finally:
            other.close()
        assert calls == []

    def test_readers_do_not_wait_for_the_writer(self, sqlite_engine: Engine) -> None:
        def work(connection: Connection) -> list[int]:
            connection.execute(text("UPDATE t SET v = 9"))
            with ThreadPoolExecutor(1) as pool:
                return pool.submit(values, sqlite_engine).result(5)

        assert writing(sqlite_engine, work) == [0, 0]
        assert values(sqlite_engine) == [9, 9]


class TestPostgresql:
    def test_a_deadlock_is_run_again(self, postgres_engine: Engine, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr(transactions, "FIRST_PAUSE_S", 0.1)
        both_hold_one = threading.Barrier(2)
        calls: list[str] = []

        def cross(first: int, second: int) -> Callable[[Connection], None]:
            def work(connection: Connection) -> None:
                calls.append("call")
                connection.execute(text("UPDATE t SET v = v + 1 WHERE n = :n"), {"n": first})
                if len(calls) <= 2:
                    both_hold_one.wait(30)
                connection.execute(text("UPDATE t SET v = v + 1 WHERE n = :n"), {"n": second})

            return work

        with ThreadPoolExecutor(2) as pool:
            jobs = [pool.submit(writing, postgres_engine, cross(*order)) for order in [(1, 2), (2, 1)]]
            for job in jobs:
                job.result(60)
        assert len(calls) >= 3  # more where the loser comes back before the winner is done
        assert values(postgres_engine) == [2, 2]

    def test_connections_lost_while_idle_are_replaced(self, postgres_engine: Engine) -> None:
        with ThreadPoolExecutor(4) as pool:
            list(pool.map(lambda _: values(postgres_engine), range(8)))
        run(postgres_engine, CUT_THE_OTHERS)
        assert values(postgres_engine) == [0, 0]
        run(postgres_engine, CUT_THE_OTHERS)
        run(postgres_engine, "UPDATE t SET v = 1")
        assert values(postgres_engine) == [1, 1]

    @pytest.mark.parametrize("how", [reading, writing])
    def test_a_connection_lost_at_work_is_run_again(
        self, postgres_engine: Engine, how: Callable[..., int]
    ) -> None:
        calls: list[int] = []

        def work(connection: Connection) -> int:
            calls.append(1)
            number = connection.scalar(text("SELECT pg_backend_pid()"))
            if len(calls) == 1:
                run(postgres_engine, f"SELECT pg_terminate_backend({number})")
            return int(connection.scalar(text("SELECT v FROM t WHERE n = 1")))

        assert how(postgres_engine, work) == 0
        assert len(calls) == 2

    def test_a_connection_lost_in_the_commit_is_told(self, postgres_engine: Engine) -> None:
        """Whether it was committed cannot be known, and doing it twice would be worse."""
        calls: list[int] = []

        def work(connection: Connection) -> None:
            calls.append(1)
            connection.execute(text("UPDATE t SET v = v + 1"))
            number = connection.scalar(text("SELECT pg_backend_pid()"))
            run(postgres_engine, f"SELECT pg_terminate_backend({number}, 5000)")

        with pytest.raises(DBAPIError):
            writing(postgres_engine, work)
        assert len(calls) == 1


CUT_THE_OTHERS = """
    SELECT pg_terminate_backend(pid, 5000) FROM pg_stat_activity
     WHERE datname = current_database() AND pid <> pg_backend_pid()
"""
