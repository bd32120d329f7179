"""The home's own certificates, tried with the TLS of the standard library and of the client library."""

from __future__ import annotations

import socket
import ssl
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest
import urllib3
from botocore.config import Config
from botocore.exceptions import SSLError
from botocore.session import Session
from cryptography import x509

from clary.server.tls import LOCAL_HOSTS, RENEW_DAYS, SERVER_DAYS, certificate

NOW = datetime.now(UTC)


class Caller(BaseHTTPRequestHandler):
    def do_POST(self) -> None:
        self.rfile.read(int(self.headers["content-length"]))
        answer = b"<GetCallerIdentityResponse><GetCallerIdentityResult><Account>123456789012</Account>"
        answer += b"</GetCallerIdentityResult></GetCallerIdentityResponse>"
        self.send_response(200)
        self.send_header("content-length", str(len(answer)))
        self.end_headers()
        self.wfile.write(answer)

    def log_message(self, *_: object) -> None:
        pass


@contextmanager
def served(paths: tuple[Path, Path, Path]) -> Iterator[int]:
    """A real TLS server on loopback; gives its port."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(paths[1], paths[2])
    server = ThreadingHTTPServer(("127.0.0.1", 0), Caller)
    server.daemon_threads = False
    server.handle_error = lambda *_: None  # type: ignore[method-assign]  # refused handshakes are part of the test
    server.socket = context.wrap_socket(server.socket, server_side=True)
    thread = threading.Thread(target=server.serve_forever, args=(0.02,))
    thread.start()
    try:
        yield server.server_address[1]
    finally:
        server.shutdown()
        thread.join()
        server.server_close()


def handshake(port: int, ca: Path, host: str) -> None:
    context = ssl.create_default_context(cafile=ca)
    if hasattr(ssl, "VERIFY_X509_STRICT"):
        context.verify_flags |= ssl.VERIFY_X509_STRICT
    with (
        socket.create_connection(("127.0.0.1", port)) as plain,
        context.wrap_socket(plain, server_hostname=host),
    ):
        pass


def account(port: int, host: str) -> str:
    session = Session()
    session.set_credentials("AKIA", "secret")
    config = Config(retries={"total_max_attempts": 1}, connect_timeout=5, read_timeout=5)
    url = f"https://{host}:{port}"
    client = session.create_client("sts", "us-east-1", endpoint_url=url, config=config)
    try:
        return str(client.get_caller_identity()["Account"])
    finally:
        client.close()


@pytest.mark.parametrize("host", ["localhost", "127.0.0.1"])
def test_the_client_library_trusts_it(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, host: str) -> None:
    paths = certificate(tmp_path / "tls", [], now=NOW)
    with served(paths) as port:
        monkeypatch.setenv("AWS_CA_BUNDLE", str(paths[0]))
        assert account(port, host) == "123456789012"
        monkeypatch.delenv("AWS_CA_BUNDLE")
        with pytest.raises(SSLError):
            account(port, host)


def test_urllib3_trusts_it(tmp_path: Path) -> None:
    paths = certificate(tmp_path / "tls", [], now=NOW)
    with served(paths) as port, urllib3.PoolManager(ca_certs=str(paths[0]), retries=False) as pool:
        answer = pool.request(
            "POST", f"https://127.0.0.1:{port}/", body=b"x", headers={"connection": "close"}
        )
        assert answer.status == 200


@pytest.mark.parametrize("host", [*LOCAL_HOSTS, "build-7.lan", "10.1.2.3", "fd00::7", "bücher.example"])
def test_it_is_for_all_the_hosts(tmp_path: Path, host: str) -> None:
    given = ["0.0.0.0", "build-7.lan", "10.1.2.3", "fd00::7", "bücher.example"]
    paths = certificate(tmp_path / "tls", given, now=NOW)
    with served(paths) as port:
        handshake(port, paths[0], host)


def test_it_is_for_no_other_host(tmp_path: Path) -> None:
    paths = certificate(tmp_path / "tls", [], now=NOW)
    with served(paths) as port, pytest.raises(ssl.SSLCertVerificationError):
        handshake(port, paths[0], "elsewhere.example")


def test_another_home_is_not_trusted(tmp_path: Path) -> None:
    mine = certificate(tmp_path / "mine", [], now=NOW)
    other = certificate(tmp_path / "other", [], now=NOW)
    with served(mine) as port, pytest.raises(ssl.SSLCertVerificationError):
        handshake(port, other[0], "localhost")


def contents(paths: tuple[Path, Path, Path]) -> list[bytes]:
    return [path.read_bytes() for path in paths]


def test_it_is_made_once(tmp_path: Path) -> None:
    first = contents(certificate(tmp_path, ["a.example"], now=NOW))
    assert contents(certificate(tmp_path, ["a.example"], now=NOW + timedelta(days=100))) == first
    assert contents(certificate(tmp_path, [], now=NOW)) == first  # fewer hosts are among those it has
    assert sorted(path.name for path in tmp_path.iterdir()) == ["ca-key.pem", "ca.pem", "cert.pem", "key.pem"]


def test_new_hosts_and_age_renew_the_servers_certificate_only(tmp_path: Path) -> None:
    ca, cert, key = contents(certificate(tmp_path, [], now=NOW))
    wider = contents(certificate(tmp_path, ["b.example"], now=NOW))
    assert wider[0] == ca
    assert wider[1] != cert
    assert wider[2] != key
    late = NOW + timedelta(days=SERVER_DAYS - RENEW_DAYS, minutes=1)
    renewed = contents(certificate(tmp_path, ["b.example"], now=late))
    assert renewed[0] == ca
    assert x509.load_pem_x509_certificate(renewed[1]).not_valid_after_utc > late + timedelta(days=300)


def test_an_old_authority_is_replaced(tmp_path: Path) -> None:
    ca, cert, _ = contents(certificate(tmp_path, [], now=NOW))
    paths = certificate(tmp_path, [], now=NOW + timedelta(days=3640))
    renewed = contents(paths)
    assert renewed[0] != ca
    assert renewed[1] != cert


@pytest.mark.parametrize("name", ["ca.pem", "ca-key.pem", "cert.pem", "key.pem"])
@pytest.mark.parametrize("damage", ["gone", "noise", "another"])
def test_damaged_files_are_made_anew(tmp_path: Path, name: str, damage: str) -> None:
    certificate(tmp_path / "tls", [], now=NOW)
    path = tmp_path / "tls" / name
    if damage == "gone":
        path.unlink()
    elif damage == "noise":
        path.write_bytes(b"noise")
    else:
        certificate(tmp_path / "other", [], now=NOW)
        path.write_bytes((tmp_path / "other" / name).read_bytes())
    paths = certificate(tmp_path / "tls", [], now=NOW)
    with served(paths) as port:
        handshake(port, paths[0], "localhost")


def test_keys_are_private(tmp_path: Path) -> None:
    certificate(tmp_path / "tls", [], now=NOW)
    modes = {path.name: path.stat().st_mode & 0o777 for path in (tmp_path / "tls").iterdir()}
    assert modes["key.pem"] == modes["ca-key.pem"] == 0o600
    assert (tmp_path / "tls").stat().st_mode & 0o777 == 0o700
