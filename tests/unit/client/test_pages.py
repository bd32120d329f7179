"""Clary's own pages, read from a small server that answers as it is told."""

from __future__ import annotations

import http.server
import threading
from collections.abc import Iterator
from typing import Any

import pytest

from clary.client.pages import Refused, read_page
from clary.server.home import Connection

ANSWERS = {
    "/_clary/tuning/bert": (200, b'{"name": "bert"}'),
    "/_clary/tuning/bart": (400, b'{"__type": "ValidationException", "message": "not found"}'),
    "/_clary/tuning/else": (502, b"<html>a proxy</html>"),
}


class Told(http.server.BaseHTTPRequestHandler):
    def do_GET(self) -> None:
        self.server.signed.append(self.headers.get("Authorization", ""))  # type: ignore[attr-defined]
        status, body = ANSWERS[self.path]
        self.send_response(status)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *args: object) -> None:
        pass


@pytest.fixture
def server() -> Iterator[Any]:
    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), Told) as running:
        running.signed = []  # type: ignore[attr-defined]
        thread = threading.Thread(target=running.serve_forever, args=(0.01,))
        thread.start()
        yield running
        running.shutdown()
        thread.join()


def connection(port: int) -> Connection:
    return Connection(
        endpoint=f"http://127.0.0.1:{port}",
        region="us-east-1",
        access_key_id="AKIAEXAMPLE",
        secret_access_key="secret",
        account_id="111122223333",
        role_arn="arn:aws:iam::111122223333:role/clary",
        bucket="bucket",
        ca_bundle=None,
        pid=1,
    )


def test_a_page_is_asked_for_with_a_signature_for_clary(server: Any) -> None:
    assert read_page(connection(server.server_port), "/_clary/tuning/bert") == {"name": "bert"}
    (signed,) = server.signed
    assert signed.startswith("AWS4-HMAC-SHA256 Credential=AKIAEXAMPLE/")
    assert "/us-east-1/clary/aws4_request" in signed


def test_a_refusal_has_the_servers_words(server: Any) -> None:
    with pytest.raises(Refused, match="not found") as caught:
        read_page(connection(server.server_port), "/_clary/tuning/bart")
    assert caught.value.code == "ValidationException"


def test_what_is_not_clary_is_refused(server: Any) -> None:
    with pytest.raises(Refused, match="answered 502, not JSON"):
        read_page(connection(server.server_port), "/_clary/tuning/else")


def test_nobody_answers(server: Any) -> None:
    port = server.server_port
    server.shutdown()
    server.server_close()
    with pytest.raises(OSError, match="no answer from"):
        read_page(connection(port), "/_clary/tuning/bert")
