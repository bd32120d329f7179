"""Fixtures that give tests a real PostgreSQL: one server a session, one empty database a test."""

from __future__ import annotations

import ctypes
import itertools
import os
import pwd
import secrets
import shutil
import signal
import socket
import subprocess
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import NoReturn

import pytest

STARTS = 3
READY_TIMEOUT_S = 60.0
STOP_TIMEOUT_S = 20.0
_PR_SET_PDEATHSIG = 1

_numbers = itertools.count(1)


@pytest.fixture(scope="session")
def postgres_url() -> Iterator[str]:
    """URL of a server that belongs to this session; without a database's name at its end it is `postgres`."""
    programs = _find_programs()
    if programs is None:
        _absent("no PostgreSQL server binary: apt-get install postgresql")
    try:
        import psycopg  # noqa: F401
    except ModuleNotFoundError:
        _absent("no PostgreSQL driver: pip install 'psycopg[binary]'")
    # not in pytest's own folder: the server runs as another user when we are root, and may not pass through there
    home = Path(tempfile.mkdtemp(prefix="clary-postgres-"))
    try:
        user = _ordinary_user()
        if user is not None:
            os.chown(home, user.pw_uid, user.pw_gid)
        password = secrets.token_hex(8)
        _init(programs, home, user, password)
        process, port = _start(programs, home, user, password)
        try:
            yield f"postgresql://clary:{password}@127.0.0.1:{port}/postgres"
        finally:
            _stop(process)
    finally:
        shutil.rmtree(home)


@pytest.fixture
def postgres_database(postgres_url: str) -> Iterator[str]:
    """URL of an empty database, dropped after the test."""
    with _database(postgres_url) as url:
        yield url


@pytest.fixture
def second_postgres_database(postgres_url: str) -> Iterator[str]:
    """Another one."""
    with _database(postgres_url) as url:
        yield url


@contextmanager
def _database(server: str) -> Iterator[str]:
    import psycopg

    name = f"test_{next(_numbers)}"
    with psycopg.connect(server, autocommit=True) as connection:
        connection.execute(f"CREATE DATABASE {name} TEMPLATE template0")  # type: ignore[arg-type]
    try:
        yield server.rpartition("/")[0] + f"/{name}"
    finally:
        with psycopg.connect(server, autocommit=True) as connection:
            connection.execute(f"DROP DATABASE {name} WITH (FORCE)")  # type: ignore[arg-type]


def _absent(reason: str) -> NoReturn:
    if os.environ.get("CI") == "true":
        pytest.fail(f"{reason} (needed where CI=true)")
    pytest.skip(reason)


def _find_programs() -> Path | None:
    """The folder of initdb and postgres, of the newest version there is."""
    folders = sorted(Path("/usr/lib/postgresql").glob("*/bin"), key=lambda path: float(path.parent.name))[
        ::-1
    ]
    if config := shutil.which("pg_config"):
        found = subprocess.run([config, "--bindir"], check=True, capture_output=True, text=True)
        folders.append(Path(found.stdout.strip()))
    return next(
        (folder for folder in folders if (folder / "initdb").exists() and (folder / "postgres").exists()),
        None,
    )


def _ordinary_user() -> pwd.struct_passwd | None:
    """Whom to run the server as: it refuses to run as root. None for ourselves."""
    if os.geteuid() != 0:
        return None
    try:
        return pwd.getpwnam("postgres")
    except KeyError:
        return pwd.getpwnam("nobody")


def _popen(arguments: list[str], home: Path, user: pwd.struct_passwd | None) -> subprocess.Popen[bytes]:
    libc = ctypes.CDLL(None)
    identity = {} if user is None else {"user": user.pw_uid, "group": user.pw_gid, "extra_groups": []}
    with open(home / "log", "ab") as log:
        return subprocess.Popen(
            arguments,
            cwd=home,
            stdin=subprocess.DEVNULL,
            stdout=log,
            stderr=log,
            # dies with us, even if we are killed
            preexec_fn=lambda: libc.prctl(_PR_SET_PDEATHSIG, signal.SIGQUIT),
            **identity,
        )


def _init(programs: Path, home: Path, user: pwd.struct_passwd | None, password: str) -> None:
    secret = home / "password"
    secret.write_text(password)
    if user is not None:
        os.chown(secret, user.pw_uid, user.pw_gid)
    command = [
        str(programs / "initdb"),
        "--pgdata",
        str(home / "data"),
        "--username=clary",
        "--auth=scram-sha-256",
    ]
    command += [f"--pwfile={secret}", "--encoding=UTF8", "--locale=C.UTF-8", "--no-sync"]
    if _popen(command, home, user).wait(120) != 0:
        pytest.fail(f"initdb failed: {_log(home)}")


def _start(
    programs: Path, home: Path, user: pwd.struct_passwd | None, password: str
) -> tuple[subprocess.Popen[bytes], int]:
    for _ in range(STARTS):
        port = _free_port()
        command = [str(programs / "postgres"), "-D", str(home / "data"), "-h", "127.0.0.1", "-p", str(port)]
        # a crash of the machine is not among the tests, so nothing needs to reach the disk
        command += [
            "-k",
            str(home),
            "-c",
            "fsync=off",
            "-c",
            "max_connections=200",
            "-c",
            "shared_buffers=32MB",
        ]
        process = _popen(command, home, user)
        if _is_ready(process, f"postgresql://clary:{password}@127.0.0.1:{port}/postgres"):
            return process, port
        _stop(process)  # somebody else took the port, most likely
    pytest.fail(f"PostgreSQL did not start: {_log(home)}")


def _is_ready(process: subprocess.Popen[bytes], url: str) -> bool:
    import psycopg

    deadline = time.monotonic() + READY_TIMEOUT_S
    while time.monotonic() < deadline and process.poll() is None:
        try:
            psycopg.connect(url, connect_timeout=5).close()
        except psycopg.OperationalError:
            time.sleep(0.05)
        else:
            return True
    return False


def _stop(process: subprocess.Popen[bytes]) -> None:
    for request in (signal.SIGINT, signal.SIGQUIT, signal.SIGKILL):
        if process.poll() is not None:
            return
        process.send_signal(request)
        try:
            process.wait(STOP_TIMEOUT_S)
        except subprocess.TimeoutExpired:
            continue


def _free_port() -> int:
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        port: int = listener.getsockname()[1]
        return port


def _log(home: Path) -> str:
    return (home / "log").read_text(errors="replace")[-4000:]
