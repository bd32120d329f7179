"""Whole requests of the client library, caught on a socket over HTTP and HTTPS: known, decoded and checked."""

from __future__ import annotations

import io
import ssl
import threading
from collections.abc import Callable, Iterator
from contextlib import suppress
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from time import time
from typing import Any

import pytest
import urllib3
from botocore.config import Config
from botocore.parsers import ResponseParserError
from botocore.session import Session

from clary.errors import ClientFault
from clary.server.tls import certificate
from clary.wire.checksums import checked
from clary.wire.http import Headers, HttpRequest
from clary.wire.sigv4 import Verifier

CONTENT = bytes(range(256)) * 9000  # over two of the client's chunks of 1 MiB


class Key:
    secret = "secret/key+"
    session_token = "token/+="
    expires = None


class Catcher(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    caught: list[tuple[HttpRequest, bytes]]

    def _catch(self) -> None:
        path, _, query = self.path.partition("?")
        body = self._body()
        headers = Headers((name.lower(), value) for name, value in self.headers.items())
        self.caught.append((HttpRequest(self.command, path, query, headers, io.BytesIO(body)), body))
        self.send_response(200)
        self.send_header("ETag", '"0"')
        self.send_header("Content-Length", "0")
        self.end_headers()

    def _body(self) -> bytes:
        if self.headers.get("transfer-encoding") != "chunked":
            return self.rfile.read(int(self.headers.get("content-length", "0")))
        pieces = []
        while size := int(self.rfile.readline(), 16):
            pieces.append(self.rfile.read(size))
            self.rfile.readline()
        self.rfile.readline()
        return b"".join(pieces)

    def log_message(self, *_: object) -> None:
        pass


for _verb in ("GET", "PUT", "POST", "DELETE", "HEAD"):
    setattr(Catcher, f"do_{_verb}", Catcher._catch)


@dataclass
class Place:
    url: str
    ca: Path
    session: Session
    caught: list[tuple[HttpRequest, bytes]]

    def client(self, service: str, **config: Any) -> Any:
        retries = {"total_max_attempts": 1}
        return self.session.create_client(
            service,
            "eu-west-1",
            endpoint_url=self.url,
            verify=str(self.ca),
            config=Config(retries=retries, **config),
        )


@pytest.fixture(scope="module")
def session() -> Session:
    session = Session()
    session.set_credentials("ASIA", Key.secret, Key.session_token)
    return session


@pytest.fixture(params=["http", "https"])
def place(request: pytest.FixtureRequest, session: Session, tmp_path: Path) -> Iterator[Place]:
    handler: Any = type("Handler", (Catcher,), {"caught": []})
    server = ThreadingHTTPServer(("127.0.0.1", 0), handler)
    server.daemon_threads = True
    paths = certificate(tmp_path / "tls", [], now=datetime.now(UTC))
    if request.param == "https":
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(paths[1], paths[2])
        server.socket = context.wrap_socket(server.socket, server_side=True)
    thread = threading.Thread(target=server.serve_forever, args=(0.02,))
    thread.start()
    try:
        url = f"{request.param}://127.0.0.1:{server.server_address[1]}"
        yield Place(url, paths[0], session, handler.caught)
    finally:
        server.shutdown()
        thread.join()
        server.server_close()


def authenticate(request: HttpRequest, service: str) -> HttpRequest:
    key_id, verified = Verifier().authenticate(request, service=service, find={"ASIA": Key()}.get, now=time())
    assert key_id == "ASIA"
    return verified


def altered(body: bytes) -> Iterator[bytes]:
    """The body with one byte changed in its middle, without its end, and with more behind it."""
    middle = len(body) // 2
    yield body[:middle] + bytes([body[middle] ^ 1]) + body[middle + 1 :]
    yield body[: len(body) - 1]
    yield body + b"!"


@pytest.mark.parametrize(
    "more",
    [
        {},
        {"ChecksumAlgorithm": "SHA256"},
        {"ChecksumAlgorithm": "CRC32C"},
        {"ChecksumAlgorithm": "CRC64NVME"},
        {"ContentType": "text/plain; charset=utf-8", "Metadata": {"a": "1  2", "b": "ü".encode().hex()}},
    ],
)
@pytest.mark.parametrize("make", [lambda: CONTENT, lambda: io.BytesIO(CONTENT), lambda: b"x"])
def test_put_object(place: Place, make: Callable[[], Any], more: dict[str, Any]) -> None:
    client = place.client("s3")
    client.put_object(Bucket="bucket", Key="a//b/../c d+e%20f~ü", Body=make(), **more)
    client.close()
    [(request, wire)] = place.caught
    sent = make()
    content = sent if isinstance(sent, bytes) else sent.getvalue()
    verified = authenticate(request, "s3")
    body = checked(verified.body, request.headers)
    assert body.read() == content
    assert list(body.checksums) == [more.get("ChecksumAlgorithm", "CRC32").lower()]
    streamed = request.headers["x-amz-content-sha256"] == "STREAMING-UNSIGNED-PAYLOAD-TRAILER"
    assert streamed == place.url.startswith("https")
    for other in altered(wire):
        with pytest.raises(ClientFault):
            checked(authenticate(replace(request, body=io.BytesIO(other)), "s3").body, request.headers).read()


def test_other_calls_of_s3(place: Place) -> None:
    client = place.client("s3")
    client.list_objects_v2(Bucket="bucket", Prefix="a b/+&=ü", Delimiter="/", StartAfter="x~y*")
    client.delete_objects(Bucket="bucket", Delete={"Objects": [{"Key": "a"}]})
    client.create_bucket(Bucket="bucket")
    client.get_object(Bucket="bucket", Key="a", Range="bytes=0-9", IfMatch='"0"')
    client.copy_object(Bucket="bucket", Key="b", CopySource={"Bucket": "bucket", "Key": "ü a"})
    client.close()
    assert len(place.caught) == 5
    for request, wire in place.caught:
        verified = authenticate(request, "s3")
        content = checked(verified.body, request.headers).read()
        assert content == wire or b"<Key>a</Key>" in content


def test_payload_left_unsigned(place: Place) -> None:
    client = place.client(
        "s3", s3={"payload_signing_enabled": False}, request_checksum_calculation="when_required"
    )
    client.put_object(Bucket="bucket", Key="a", Body=CONTENT)
    client.close()
    [(request, wire)] = place.caught
    assert request.headers["x-amz-content-sha256"] == "UNSIGNED-PAYLOAD"
    assert authenticate(request, "s3").body.read() == wire == CONTENT


def test_presigned(place: Place) -> None:
    client = place.client("s3", signature_version="s3v4")
    asked = {"Bucket": "bucket", "Key": "a b/ü+.txt"}
    with urllib3.PoolManager(ca_certs=str(place.ca), retries=False) as pool:
        pool.request("GET", client.generate_presigned_url("get_object", asked))
        pool.request("PUT", client.generate_presigned_url("put_object", asked), body=b"content")
    client.close()
    contents = [authenticate(request, "s3").body.read() for request, _ in place.caught]
    assert contents == [b"", b"content"]
    for request, _ in place.caught:
        with pytest.raises(ClientFault):
            authenticate(replace(request, method="DELETE"), "s3")


@pytest.mark.parametrize(
    ("service", "call", "asked"),
    [
        ("sagemaker", "list_models", {"NameContains": "ü"}),
        (
            "sagemaker-runtime",
            "invoke_endpoint",
            {"EndpointName": "e", "Body": b"x" * 99, "ContentType": "a/b"},
        ),
        ("logs", "get_log_events", {"logStreamName": "s", "logGroupName": "g"}),
        ("cloudwatch", "list_metrics", {}),
        ("sts", "get_caller_identity", {}),
        ("iam", "list_roles", {"PathPrefix": "/a+b/"}),
    ],
)
def test_other_services(place: Place, service: str, call: str, asked: dict[str, Any]) -> None:
    client = place.client(service)
    with suppress(ResponseParserError):  # an empty answer is none that every parser takes
        getattr(client, call)(**asked)
    client.close()
    [(request, wire)] = place.caught
    assert authenticate(request, service).body.read() == wire
    if wire:
        with pytest.raises(ClientFault):
            authenticate(replace(request, body=io.BytesIO(wire + b" ")), service).body.read()
