"""The signed question for news, over a real connection."""

from __future__ import annotations

import importlib
import socket
import threading
from types import ModuleType
from typing import Any

import pytest


@pytest.fixture
def ask(shim: ModuleType) -> Any:
    return importlib.import_module("clary_shim.notices").ask


@pytest.fixture
def target(shim: ModuleType, notifier: Any) -> Any:
    return shim.Target(notifier.url, "eu-west-1", "AKIAEXAMPLE", "secret")


def test_an_older_version_is_answered_at_once(ask: Any, target: Any, notifier: Any) -> None:
    assert ask(target, 0, 600.0) == (7, 3)
    assert notifier.asked == ["/_clary/changes?since=0&timeout=600.000"]


def test_the_request_is_signed_for_the_service_clary(ask: Any, target: Any, notifier: Any) -> None:
    ask(target, 0, 1.0)

    assert "Credential=AKIAEXAMPLE/" in notifier.authorizations[0]
    assert "/eu-west-1/clary/aws4_request" in notifier.authorizations[0]


def test_news_end_the_wait(ask: Any, target: Any, notifier: Any) -> None:
    timer = threading.Timer(0.1, notifier.bump, kwargs={"status": True})
    timer.start()

    assert ask(target, 7, 600.0) == (8, 4)
    timer.join()


def test_no_server_is_an_os_error(ask: Any, shim: ModuleType) -> None:
    with socket.socket() as closed:
        closed.bind(("127.0.0.1", 0))
        target = shim.Target(f"http://127.0.0.1:{closed.getsockname()[1]}", "r", "k", "s")
        with pytest.raises(OSError):
            ask(target, 0, 1.0)


@pytest.mark.parametrize(
    "answer", [b"HTTP/1.1 404 No\r\n\r\n", b"HTTP/1.1 200 OK\r\n\r\n[]", b"nonsense\r\n\r\n"]
)
def test_another_kind_of_server_is_a_value_error(ask: Any, shim: ModuleType, answer: bytes) -> None:
    with socket.create_server(("127.0.0.1", 0)) as listener:

        def serve() -> None:
            peer, _ = listener.accept()
            with peer:
                peer.recv(65536)
                peer.sendall(answer)

        thread = threading.Thread(target=serve)
        thread.start()
        target = shim.Target(f"http://127.0.0.1:{listener.getsockname()[1]}", "r", "k", "s")
        with pytest.raises(ValueError):
            ask(target, 0, 1.0)
        thread.join()
