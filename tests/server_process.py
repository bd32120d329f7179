"""A real server process for tests: started with the real command, killed and started again at will."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
import uuid
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import boto3
import pytest
from botocore.config import Config

from clary.runners.local import LocalRunner
from clary.runners.sandbox import Sandbox
from clary.server import home

START_S = 30.0


@dataclass
class ServerProcess:
    """`clary serve` in a home of its own. `options` are further words of its command line."""

    home: Path
    options: tuple[str, ...] = ()
    environment: dict[str, str] = field(default_factory=dict)
    process: subprocess.Popen[bytes] | None = None
    clients: dict[tuple[str, str, str], Any] = field(default_factory=dict, repr=False)

    def start(self) -> None:
        self.home.mkdir(parents=True, exist_ok=True)
        with open(self.home.parent / f"{self.home.name}.log", "ab") as log:
            self.process = subprocess.Popen(
                [sys.executable, "-m", "clary.cli.main", "serve", "--home", str(self.home), *self._port()],
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                env={**os.environ, **self.environment},
                start_new_session=True,
            )
        deadline = time.monotonic() + START_S
        while time.monotonic() < deadline:
            if self.process.poll() is not None:
                raise RuntimeError(f"the server ended at once:\n{self.log}")
            if self._is_ready():
                return
            time.sleep(0.02)
        raise RuntimeError(f"the server did not get ready:\n{self.log}")

    def _port(self) -> tuple[str, ...]:
        return self.options if "--port" in self.options else ("--port", "0", *self.options)

    def _is_ready(self) -> bool:
        assert self.process is not None
        connection = home.read_connection(self.home)
        return connection is not None and connection.pid == self.process.pid and "Clary serves" in self.log

    def kill(self, sig: int = signal.SIGKILL) -> None:
        assert self.process is not None
        self.process.send_signal(sig)
        self.process.wait(30)

    def restart(self) -> None:
        """After a kill. The log is begun anew, so that readiness is that of the new process."""
        (self.home.parent / f"{self.home.name}.log").unlink(missing_ok=True)
        self.start()

    def stop(self) -> None:
        if self.process is not None and self.process.poll() is None:
            self.kill(signal.SIGTERM)

    def clear(self) -> None:
        """End what jobs of this home still run: they outlive their server on purpose."""
        runner = LocalRunner(Sandbox(self.home, isolation="none"))
        jobs = self.home / "jobs"
        for folder in (*jobs.glob("*/*"), *jobs.glob("*/*/algo-*")):
            runner.clear(folder)

    @property
    def log(self) -> str:
        return (self.home.parent / f"{self.home.name}.log").read_text("utf-8", "replace")

    @property
    def connection(self) -> home.Connection:
        connection = home.read_connection(self.home)
        assert connection is not None
        return connection

    @property
    def url(self) -> str:
        return self.connection.endpoint

    @property
    def region(self) -> str:
        return self.connection.region

    @property
    def access_key_id(self) -> str:
        return self.connection.access_key_id

    @property
    def secret_access_key(self) -> str:
        return self.connection.secret_access_key

    def env(self) -> dict[str, str]:
        """What `clary env` exports, and nothing of the caller's own AWS settings."""
        kept = {key: value for key, value in os.environ.items() if not key.startswith(("AWS_", "CLARY_"))}
        tls = {"AWS_CA_BUNDLE": self.connection.ca_bundle} if self.connection.ca_bundle else {}
        return {
            **kept,
            "AWS_ENDPOINT_URL": self.url,
            "AWS_ACCESS_KEY_ID": self.access_key_id,
            "AWS_SECRET_ACCESS_KEY": self.secret_access_key,
            "AWS_DEFAULT_REGION": self.region,
            "AWS_REGION": self.region,
            "AWS_EC2_METADATA_DISABLED": "true",
            **tls,
        }

    def client(self, service: str, **options: Any) -> Any:
        """An unmodified boto3 client pointed here; the same one for the same words."""
        key = (self.url, service, repr(options))
        if key not in self.clients:
            self.clients[key] = self._make_client(service, **options)
        return self.clients[key]

    def _make_client(self, service: str, **options: Any) -> Any:
        settings = {"retries": {"max_attempts": 1, "mode": "standard"}, **options.pop("config", {})}
        return boto3.session.Session().client(
            service,
            endpoint_url=self.url,
            region_name=self.region,
            aws_access_key_id=self.access_key_id,
            aws_secret_access_key=self.secret_access_key,
            verify=self.connection.ca_bundle or None,
            config=Config(**settings),
            **options,
        )


@pytest.fixture(scope="session")
def database_options(request: pytest.FixtureRequest) -> Callable[[], tuple[str, ...]]:
    """The words that give a server a fresh database: none for SQLite, or CLARY_TEST_DATABASE=postgresql."""
    if os.environ.get("CLARY_TEST_DATABASE", "sqlite") == "sqlite":
        return lambda: ()
    url = request.getfixturevalue("postgres_url")

    def create() -> tuple[str, ...]:
        import psycopg

        name = f"acceptance_{uuid.uuid4().hex}"
        with psycopg.connect(url, autocommit=True) as connection:
            connection.execute(f"CREATE DATABASE {name}")
        return ("--database-url", url.rsplit("/", 1)[0] + f"/{name}")

    return create


@pytest.fixture
def server(tmp_path: Path, database_options: Callable[[], tuple[str, ...]]) -> Iterator[ServerProcess]:
    """A fresh server for one test."""
    yield from _running(ServerProcess(tmp_path / "home", options=database_options()))


@pytest.fixture(scope="module")
def shared_server(
    tmp_path_factory: pytest.TempPathFactory, database_options: Callable[[], tuple[str, ...]]
) -> Iterator[ServerProcess]:
    """One server for all tests of a module, which must not disturb each other."""
    yield from _running(ServerProcess(tmp_path_factory.mktemp("server") / "home", options=database_options()))


@pytest.fixture
def tls_server(tmp_path: Path, database_options: Callable[[], tuple[str, ...]]) -> Iterator[ServerProcess]:
    """A fresh server that speaks HTTPS with its own certificate."""
    yield from _running(ServerProcess(tmp_path / "home", options=("--tls", *database_options())))


def _running(server: ServerProcess) -> Iterator[ServerProcess]:
    server.start()
    try:
        yield server
    finally:
        server.stop()
        server.clear()
