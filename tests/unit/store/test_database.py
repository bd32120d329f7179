from __future__ import annotations

import builtins
import math
import os
import sqlite3
import stat
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import Connection, text

from clary.store.base import Point, Summary
from clary.store.database import CannotOpen, current_revision, known_revisions, open_engine, upgrade
from clary.store.sql import open_store
from clary.store.transactions import writing


@pytest.fixture(params=["sqlite", "postgresql"])
def url(request: pytest.FixtureRequest, tmp_path: Path) -> str:
    if request.param == "postgresql":
        return request.getfixturevalue("postgres_database")
    return f"sqlite:///{tmp_path / 'clary.db'}"


class TestSqlite:
    def test_is_private(self, tmp_path: Path) -> None:
        before = os.umask(0)
        try:
            store = open_store(f"sqlite:///{tmp_path}/new/home/clary.db")
            store.put_once("a", {})
            files = sorted((tmp_path / "new/home").iterdir())
            assert [path.name for path in files] == ["clary.db", "clary.db-shm", "clary.db-wal"]
            assert {stat.S_IMODE(path.stat().st_mode) for path in files} == {0o600}
            assert stat.S_IMODE((tmp_path / "new/home").stat().st_mode) == 0o700
            store.close()
        finally:
            os.umask(before)

    def test_is_made_private(self, tmp_path: Path) -> None:
        path = tmp_path / "clary.db"
        path.touch(0o644)
        open_store(f"sqlite:///{path}").close()
        assert stat.S_IMODE(path.stat().st_mode) == 0o600

    def test_leaves_one_file_when_closed(self, tmp_path: Path) -> None:
        open_store(f"sqlite:///{tmp_path}/clary.db").close()
        assert [path.name for path in tmp_path.iterdir()] == ["clary.db"]

    def test_commits_reach_the_disk(self, tmp_path: Path) -> None:
        engine = open_engine(f"sqlite:///{tmp_path}/clary.db")
        with engine.connect() as connection:
            assert connection.scalar(text("PRAGMA journal_mode")) == "wal"
            assert connection.scalar(text("PRAGMA synchronous")) == 2
            assert connection.scalar(text("PRAGMA foreign_keys")) == 1
            assert connection.scalar(text("PRAGMA busy_timeout")) == 30_000
        engine.dispose()

    @pytest.mark.parametrize("name", ["with space.db", "per%cent.db", "ünï.db", "a?b.db"])
    def test_takes_any_path(self, tmp_path: Path, name: str) -> None:
        from sqlalchemy import URL

        address = URL.create("sqlite", database=str(tmp_path / name))
        store = open_store(address.render_as_string())
        store.put_once("a", {"b": 1})
        store.close()
        assert [path.name for path in tmp_path.iterdir()] == [name]

    def test_a_folder_is_refused(self, tmp_path: Path) -> None:
        with pytest.raises(CannotOpen, match=f"cannot use the database {tmp_path}"):
            open_store(f"sqlite:///{tmp_path}")

    def test_a_file_of_another_kind_is_refused(self, tmp_path: Path) -> None:
        path = tmp_path / "notes.txt"
        path.write_text("these are my notes, and they are no database at all\n" * 100)
        with pytest.raises(CannotOpen, match=r"notes\.txt: .*not a database"):
            open_store(f"sqlite:///{path}")
        assert path.read_text().startswith("these are my notes")


class TestUrls:
    @pytest.mark.parametrize(
        "address", ["", "nonsense", "mysql://h/d", "sqlite://", "sqlite:///:memory:", "oracle://x"]
    )
    def test_what_cannot_be_is_refused(self, address: str) -> None:
        with pytest.raises(CannotOpen, match=r"sqlite:///"):
            open_engine(address)

    @pytest.mark.parametrize("scheme", ["postgres", "postgresql", "postgresql+psycopg"])
    def test_postgresql_by_any_name(self, scheme: str) -> None:
        pytest.importorskip("psycopg")
        engine = open_engine(f"{scheme}://me:secret@127.0.0.1:1/db")
        assert engine.url.drivername == "postgresql+psycopg"
        assert engine.url.password == "secret"

    def test_a_server_that_does_not_answer_is_named_without_its_password(self) -> None:
        pytest.importorskip("psycopg")
        with pytest.raises(CannotOpen) as raised:
            open_store("postgresql://me:secret@127.0.0.1:1/db")
        assert "127.0.0.1:1/db" in str(raised.value)
        assert "secret" not in str(raised.value)

    def test_a_missing_driver_is_named(self, monkeypatch: pytest.MonkeyPatch) -> None:
        real = builtins.__import__

        def without(name: str, *rest: Any, **more: Any) -> Any:
            if name == "psycopg":
                raise ModuleNotFoundError("No module named 'psycopg'", name="psycopg")
            return real(name, *rest, **more)

        monkeypatch.setattr(builtins, "__import__", without)
        with pytest.raises(CannotOpen, match=r"pip install 'clary\[postgres\]'"):
            open_engine("postgresql://h/d")


def former_points(connection: Connection, values: list[tuple[int | None, float, str]]) -> None:
    connection.execute(text("INSERT INTO series (name, metric) VALUES ('s', 'empty'), ('s', 'm')"))
    for step, at, value in values:
        statement = (
            f'INSERT INTO points (series_id, "at", value, step) SELECT id, :at, {value}, :step FROM series'
        )
        connection.execute(text(f"{statement} WHERE metric = 'm'"), {"at": at, "step": step})


class TestUpgrade:
    def test_starts_from_nothing_and_is_done_once(self, url: str) -> None:
        engine = open_engine(url)
        assert current_revision(engine) is None
        upgrade(engine)
        assert current_revision(engine) == known_revisions()[-1]
        upgrade(engine)
        engine.dispose()

    def test_keeps_what_is_there(self, url: str) -> None:
        store = open_store(url)
        store.put_once("a", {"b": 1})
        store.close()
        store = open_store(url)
        assert store.put_once("a", {"b": 2}) == {"b": 1}
        store.close()

    def test_several_at_once(self, url: str) -> None:
        with ThreadPoolExecutor(4) as pool:
            stores = list(pool.map(lambda _: open_store(url), range(4)))
        for store in stores:
            assert store.put_once("a", {"b": 1}) == {"b": 1}
            store.close()

    def test_several_processes_at_once(self, url: str) -> None:
        script = "import sys; from clary.store.sql import open_store; open_store(sys.argv[1]).close()"
        others = [subprocess.Popen([sys.executable, "-c", script, url]) for _ in range(3)]
        assert [other.wait(60) for other in others] == [0, 0, 0]

    def test_a_database_from_the_future_is_refused(self, url: str) -> None:
        engine = open_engine(url)
        upgrade(engine)
        writing(
            engine,
            lambda connection: connection.execute(text("UPDATE alembic_version SET version_num = '9999'")),
        )
        with pytest.raises(CannotOpen, match=r"newer Clary \(revision 9999"):
            upgrade(engine)
        engine.dispose()

    def test_one_that_fails_leaves_nothing_behind(self, url: str) -> None:
        engine = open_engine(url)
        # in the way of the last table of the first migration
        writing(engine, lambda connection: connection.execute(text("CREATE TABLE credentials (mine int)")))
        with pytest.raises(Exception, match="already exists"):
            upgrade(engine)
        assert current_revision(engine) is None
        writing(engine, lambda connection: connection.execute(text("DROP TABLE credentials")))
        upgrade(engine)
        engine.dispose()

    def test_points_of_a_former_revision_get_their_summaries(self, url: str) -> None:
        engine = open_engine(url)
        upgrade(engine, "0002")
        assert current_revision(engine) == "0002"
        values = [(1, 3.0, "1e9"), (2, 1.0, "1e9 + 1"), (None, 3.0, "1e9 + 2"), (4, 9.0, "NULL")]
        writing(engine, lambda connection: former_points(connection, values))
        engine.dispose()
        store = open_store(url)
        (found,) = store.summaries(["s"])
        wanted = Summary("s", "m", 3, 1e9, 1e9 + 2, 1e9 + 1, math.sqrt(2 / 3), 1e9 + 2, 3.0, None)
        assert replace(found, deviation=wanted.deviation) == wanted
        assert found.deviation == pytest.approx(wanted.deviation, rel=1e-12)
        store.append([Point("s", "m", 10.0, 1e9 + 5, 8), Point("s", "empty", 1.0, 2.0)])
        empty, after = store.summaries(["s"])
        assert (empty.count, after.count, after.last_step) == (1, 4, 8)
        assert after.mean == 1e9 + 2
        assert len(store.points("s", "m")) == 5
        store.close()

    def test_alembic_is_not_loaded_when_there_is_nothing_to_do(self, tmp_path: Path) -> None:
        address = f"sqlite:///{tmp_path}/clary.db"
        open_store(address).close()
        script = (
            "import sys; from clary.store.sql import open_store; open_store(sys.argv[1]).close();"
            "sys.exit('alembic' in sys.modules)"
        )
        assert subprocess.run([sys.executable, "-c", script, address], check=False).returncode == 0


def test_a_hot_copy_of_the_file_holds_every_commit(tmp_path: Path) -> None:
    store = open_store(f"sqlite:///{tmp_path}/clary.db")
    store.put_once("a", {"b": 1})
    with sqlite3.connect(tmp_path / "clary.db") as source, sqlite3.connect(tmp_path / "copy.db") as copy:
        source.backup(copy)
    source.close()
    copy.close()
    store.close()
    again = open_store(f"sqlite:///{tmp_path}/copy.db")
    assert again.put_once("a", {}) == {"b": 1}
    again.close()
