import os
import socket
import stat
from pathlib import Path

import pytest

from clary.server import home
from clary.settings import Settings
from clary.store.sql import open_store


def connection(port: int) -> home.Connection:
    return home.Connection(
        endpoint=f"http://127.0.0.1:{port}",
        region="us-east-1",
        access_key_id="AKIA",
        secret_access_key="very secret",
        account_id="123456789012",
        role_arn="arn:aws:iam::123456789012:role/r",
        bucket="bucket",
        ca_bundle=None,
        pid=1,
    )


def test_the_home_is_closed_to_others(tmp_path: Path) -> None:
    before = os.umask(0)
    try:
        home.prepare(tmp_path / "a" / "home")
        home.write_connection(tmp_path / "a" / "home", connection(1))
    finally:
        os.umask(before)
    for path in (tmp_path / "a" / "home").rglob("*"):
        assert stat.S_IMODE(path.stat().st_mode) & 0o077 == 0, path


def test_a_folder_with_other_things_is_no_home_and_stays_as_it_is(tmp_path: Path) -> None:
    (tmp_path / "thesis.tex").write_text("mine")
    tmp_path.chmod(0o755)
    with pytest.raises(home.NotAHome, match=r"thesis\.tex"):
        home.prepare(tmp_path)
    assert [path.name for path in tmp_path.iterdir()] == ["thesis.tex"]
    assert stat.S_IMODE(tmp_path.stat().st_mode) == 0o755


def test_a_home_may_be_given_its_table_before_its_first_server(tmp_path: Path) -> None:
    (tmp_path / "instances.toml").write_text("")
    home.prepare(tmp_path)
    (tmp_path / "server-id").write_text("{}")
    (tmp_path / "notes").write_text("")
    home.prepare(tmp_path)


def test_one_server_a_home(tmp_path: Path) -> None:
    home.prepare(tmp_path)
    held = home.lock(tmp_path)
    assert home.is_locked(tmp_path)
    with pytest.raises(home.HomeInUse, match="a server already runs"):
        home.lock(tmp_path)
    os.close(held)
    assert not home.is_locked(tmp_path)
    os.close(home.lock(tmp_path))


def test_the_account_is_made_once(tmp_path: Path) -> None:
    store = open_store(f"sqlite:///{tmp_path / 'clary.db'}")
    account, credential = home.open_account(store, Settings(home=tmp_path))
    again, same = home.open_account(store, Settings(home=tmp_path))
    assert (account, credential) == (again, same)
    assert len(account.id) == 12
    assert account.id.isdigit()
    assert store.credential(credential.access_key_id) == credential
    store.close()


def identity(folder: Path, database: Path) -> str:
    folder.mkdir(exist_ok=True)
    store = open_store(f"sqlite:///{database}")
    try:
        account, _ = home.open_account(store, Settings(home=folder))
        return home.open_identity(folder, store, account)
    finally:
        store.close()


def test_the_identity_of_a_home_stays(tmp_path: Path) -> None:
    assert identity(tmp_path / "a", tmp_path / "db") == identity(tmp_path / "a", tmp_path / "db")


def test_a_home_is_not_opened_with_a_database_that_knows_nothing_of_it(tmp_path: Path) -> None:
    before = identity(tmp_path / "a", tmp_path / "db")
    with pytest.raises(home.NotTogether, match="made with another database"):
        identity(tmp_path / "a", tmp_path / "new")
    assert identity(tmp_path / "a", tmp_path / "db") == before


def test_a_database_belongs_to_one_home(tmp_path: Path) -> None:
    before = identity(tmp_path / "a", tmp_path / "db")
    with pytest.raises(home.NotTogether, match="belongs to another home"):
        identity(tmp_path / "b", tmp_path / "db")
    assert identity(tmp_path / "a", tmp_path / "db") == before
    assert identity(tmp_path / "b", tmp_path / "own") != before


def test_port_0_takes_the_one_used_before_if_it_is_free(tmp_path: Path) -> None:
    settings = Settings(home=tmp_path, port=0)
    first = home.listen(settings, home.read_connection)
    port = first.getsockname()[1]
    home.write_connection(tmp_path, connection(port))
    second = home.listen(settings, home.read_connection)
    assert second.getsockname()[1] != port
    first.close()
    second.close()
    third = home.listen(settings, home.read_connection)
    assert third.getsockname()[1] == port
    third.close()


def test_a_named_port_that_is_taken_is_an_error(tmp_path: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken, pytest.raises(OSError, match="in use"):
        home.listen(Settings(home=tmp_path, port=taken.getsockname()[1]), home.read_connection)


def test_the_secret_is_not_shown() -> None:
    assert "very secret" not in repr(connection(1))
