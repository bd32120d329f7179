from __future__ import annotations

import datetime
import io
import ipaddress
import ssl
import threading
import time
from http.server import ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest
from botocore.auth import S3SigV4Auth
from botocore.awsrequest import AWSRequest
from botocore.credentials import Credentials
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID

from clary.agent.contract import Access
from clary.agent.faults import ClientFault, Interrupted, PlatformFault
from clary.agent.s3 import S3, Location, parse_uri
from clary.agent.sign import signed
from clary.agent.upload import Upload, put

ODD_KEYS = [
    "plain",
    "with space",
    "per%20cent",
    "plus+and=and&",
    "ünïcödé/日本",
    "a//b",
    "q?x#y",
    "<tag>&amp;",
    "tilde~*'()",
]


def place(key: str) -> Location:
    return Location("bucket", key)


def test_a_location_is_read_from_its_uri() -> None:
    assert parse_uri("s3://b/k/k2") == Location("b", "k/k2")
    assert parse_uri("s3://b") == parse_uri("s3://b/") == Location("b", "")
    for wrong in ("", "b/k", "s3:///k", "https://b/k"):
        with pytest.raises(ClientFault, match="s3://bucket/key"):
            parse_uri(wrong)


def test_odd_keys_are_written_listed_over_pages_and_read(s3: Any, client: S3, tmp_path: Path) -> None:
    for key in ODD_KEYS:
        (tmp_path / "file").write_text(key)
        put(client, place("p/" + key), tmp_path / "file")
    s3.page = 2
    listed = [entry.key for entry in client.list(place("p/"))]
    assert listed == sorted("p/" + key for key in ODD_KEYS)
    for key in ODD_KEYS:
        client.get(place("p/" + key), tmp_path / "file")
        assert (tmp_path / "file").read_text() == key
        assert client.exists(place("p/" + key))
        client.delete(place("p/" + key))
    assert s3.bucket == {}
    assert not client.exists(place("p/plain"))


@pytest.mark.parametrize("failures", [[503, 500, "drop"], ["drop"], [429]])
def test_what_the_server_cannot_do_now_is_tried_again(s3: Any, client: S3, failures: list[Any]) -> None:
    s3.bucket["k"] = b"data"
    s3.failures[:] = failures
    assert client.read(place("k")) == b"data"
    assert s3.failures == []


def test_a_broken_download_goes_on_where_it_broke(s3: Any, client: S3, tmp_path: Path) -> None:
    s3.bucket["k"] = bytes(range(256)) * 100
    s3.failures[:] = ["cut", "cut"]
    client.get(place("k"), tmp_path / "file")
    assert (tmp_path / "file").read_bytes() == s3.bucket["k"]


def test_a_refusal_is_final_and_names_bucket_and_key(s3: Any, client: S3, tmp_path: Path) -> None:
    with pytest.raises(ClientFault, match="s3://bucket/missing was refused: there is no such object"):
        client.get(place("missing"), tmp_path / "file")
    with pytest.raises(ClientFault, match=r"s3://nowhere/.*no such bucket"):
        list(client.list(Location("nowhere", "")))
    assert len(s3.requests) == 2


def test_a_server_that_stays_away_is_the_platforms_fault_and_no_secret_is_told() -> None:
    access = Access("http://127.0.0.1:9", "us-east-1", "AKID", "VERYSECRET", session_token="TOKENTOKEN")
    with pytest.raises(PlatformFault) as caught:
        S3(access, patience_s=0.2).read(place("k"))
    assert "s3://bucket/k" in str(caught.value)
    assert "VERYSECRET" not in repr(caught.value) and "TOKENTOKEN" not in repr(caught.value)
    assert "VERYSECRET" not in repr(access)


def test_waiting_ends_when_interrupted() -> None:
    access = Access("http://127.0.0.1:9", "us-east-1", "AKID", "SECRET")
    with pytest.raises(Interrupted):
        S3(access, interrupted=lambda: True).read(place("k"))


@pytest.mark.parametrize("token", [None, "token/+="])
def test_the_signature_is_botocores(token: str | None) -> None:
    access = Access("http://host:1", "eu-west-3", "AKID", "SECRET", session_token=token)
    now = 1_790_000_000.0
    headers = signed(access, "PUT", "/b/a%20b", "uploadId=1", {"host": "host:1"}, b"body", now=now)
    request = AWSRequest("PUT", "http://host:1/b/a%20b?uploadId=1", data=b"body", headers={"host": "host:1"})
    theirs = S3SigV4Auth(Credentials("AKID", "SECRET", token), "s3", "eu-west-3")
    request.context["timestamp"] = headers["x-amz-date"]
    request.context["payload_signing_enabled"] = True
    request.headers["X-Amz-Date"] = headers["x-amz-date"]
    request.headers["X-Amz-Content-SHA256"] = headers["x-amz-content-sha256"]
    if token:
        request.headers["X-Amz-Security-Token"] = token
    statement = theirs.string_to_sign(request, theirs.canonical_request(request))
    assert headers["authorization"].endswith("Signature=" + theirs.signature(statement, request))


def test_a_large_upload_goes_in_parts_and_a_failed_one_leaves_nothing(s3: Any, client: S3) -> None:
    data = bytes(range(256)) * 1000
    s3.failures[:] = [None, 503, None, None, "drop"]
    with Upload(client, place("big"), part_size=50_000) as upload:
        for start in range(0, len(data), 7777):
            upload.write(data[start : start + 7777])
    assert s3.bucket["big"] == data
    assert s3.uploads == {}
    with pytest.raises(RuntimeError), Upload(client, place("bad"), part_size=10) as upload:
        upload.write(b"x" * 100)
        raise RuntimeError
    assert "bad" not in s3.bucket and s3.uploads == {}


def test_a_refused_part_ends_the_upload(s3: Any, client: S3) -> None:
    s3.failures[:] = [None, 403]
    with (
        pytest.raises(ClientFault, match="s3://bucket/k"),
        Upload(client, place("k"), part_size=10) as upload,
    ):
        upload.write(b"x" * 100)
    assert s3.uploads == {}


def test_a_part_refused_before_the_last_one_is_sent_leaves_nothing(s3: Any, client: S3) -> None:
    s3.failures[:] = [None, 403]
    with (
        pytest.raises(ClientFault, match="s3://bucket/k"),
        Upload(client, place("k"), part_size=10) as upload,
    ):
        upload.write(b"x" * 15)
        while s3.failures or upload._sender is None or upload._sender._fault is None:
            time.sleep(0.001)
    assert s3.uploads == {}


def test_an_upload_whose_last_answer_was_lost_counts(s3: Any, client: S3) -> None:
    # start, three parts, completion
    s3.failures[:] = [None, None, None, None, "forget"]
    with Upload(client, place("k"), part_size=10) as upload:
        upload.write(b"x" * 25)
    assert s3.bucket["k"] == b"x" * 25


def test_https_is_checked_against_the_bundle(s3: Any, tmp_path: Path) -> None:
    certificate = make_certificate(tmp_path)
    server = ThreadingHTTPServer(("127.0.0.1", 0), s3.handler)
    server.daemon_threads = True
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(certificate)
    server.socket = context.wrap_socket(server.socket, server_side=True)
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
    thread.start()
    try:
        s3.bucket["k"] = b"secure"
        endpoint = f"https://127.0.0.1:{server.server_port}"
        trusting = Access(endpoint, "us-east-1", "AKID", "SECRET", ca_bundle=str(certificate))
        client = S3(trusting)
        assert client.read(place("k")) == b"secure"
        client.close()
        with pytest.raises(PlatformFault, match="certificate"):
            S3(Access(endpoint, "us-east-1", "AKID", "SECRET"), patience_s=0.1).read(place("k"))
    finally:
        server.shutdown()
        thread.join()
        server.server_close()


def make_certificate(folder: Path) -> Path:
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "test")])
    now = datetime.datetime.now(datetime.UTC)
    built = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(key.public_key())
        .serial_number(1)
        .not_valid_before(now - datetime.timedelta(days=1))
        .not_valid_after(now + datetime.timedelta(days=1))
        .add_extension(
            x509.SubjectAlternativeName([x509.IPAddress(ipaddress.ip_address("127.0.0.1"))]), False
        )
        .add_extension(x509.BasicConstraints(True, None), True)
        .sign(key, hashes.SHA256())
    )
    out = io.BytesIO()
    out.write(
        key.private_bytes(
            serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
        )
    )
    out.write(built.public_bytes(serialization.Encoding.PEM))
    path = folder / "certificate.pem"
    path.write_bytes(out.getvalue())
    return path
