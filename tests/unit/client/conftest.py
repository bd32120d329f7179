"""A small server that gives the two answers the client side asks of Clary outside the AWS protocols."""

from __future__ import annotations

import importlib
import json
import os
import sys
import threading
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import asdict, dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from types import ModuleType
from urllib.parse import parse_qs, urlsplit

import pytest

from clary.client.connect import _load_shim
from clary.client.environment import SHIM
from clary.server.home import Connection


@dataclass
class Notifier:
    """What the small server says, and what it was asked."""

    url: str = ""
    version: tuple[int, int] = (7, 3)
    health: dict[str, str] = field(default_factory=lambda: {"status": "ok", "version": "0"})
    asked: list[str] = field(default_factory=list)
    authorizations: list[str] = field(default_factory=list)
    news: threading.Condition = field(default_factory=threading.Condition)
    waiting: threading.Event = field(default_factory=threading.Event)

    def bump(self, *, status: bool) -> None:
        with self.news:
            self.version = (self.version[0] + 1, self.version[1] + status)
            self.news.notify_all()

    def wait(self, since: int, timeout_s: float) -> tuple[int, int]:
        with self.news:
            if self.version[0] <= since:
                self.waiting.set()
            self.news.wait_for(lambda: self.version[0] > since, timeout_s)
            return self.version


@pytest.fixture
def notifier() -> Iterator[Notifier]:
    state = Notifier()

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            url = urlsplit(self.path)
            state.asked.append(self.path)
            state.authorizations.append(self.headers.get("Authorization", ""))
            if url.path == "/_clary/health":
                return self.answer(200, state.health)
            if url.path != "/_clary/changes":
                return self.answer(404, {})
            query = parse_qs(url.query)
            changes, statuses = state.wait(int(query["since"][0]), float(query["timeout"][0]))
            return self.answer(200, {"version": changes, "statuses": statuses})

        def answer(self, status: int, document: dict[str, object]) -> None:
            body = json.dumps(document).encode()
            self.send_response(status)
            self.send_header("Content-Length", str(len(body)))
            with suppress(ConnectionError):  # a client that was interrupted
                self.end_headers()
                self.wfile.write(body)

        def log_message(self, *args: object) -> None:
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    state.url = f"http://127.0.0.1:{server.server_address[1]}"
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02})
    thread.start()
    yield state
    server.shutdown()
    thread.join()
    server.server_close()


@pytest.fixture
def home(tmp_path: Path, notifier: Notifier) -> Path:
    """A home whose server answers."""
    folder = tmp_path / "home of mine"
    folder.mkdir()
    record = Connection(
        endpoint=notifier.url,
        region="eu-west-1",
        access_key_id="AKIAEXAMPLE",
        secret_access_key='it\'s "s3cret" $HOME `x` \\',
        account_id="123456789012",
        role_arn="arn:aws:iam::123456789012:role/ClaryRole",
        bucket="sagemaker-eu-west-1-123456789012",
        ca_bundle=None,
        pid=os.getpid(),
    )
    (folder / "connection.json").write_text(json.dumps(asdict(record)))
    return folder


@pytest.fixture
def shim() -> Iterator[ModuleType]:
    """The shim, as it is in a program; gone from the import machinery afterwards."""
    module = _load_shim()
    yield module
    hook = importlib.import_module("clary_shim.hook")
    sys.meta_path[:] = [finder for finder in sys.meta_path if not isinstance(finder, hook.Finder)]
    assert module.current() is None, "a test left its target behind"


@pytest.fixture
def shim_folder() -> Path:
    return SHIM
