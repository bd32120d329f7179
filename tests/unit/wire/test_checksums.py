"""Digests of content, compared with the client library's own and with known answers."""

from __future__ import annotations

import base64
import hashlib
import io
import zlib
from collections.abc import Mapping

import pytest
from awscrt import checksums as crt
from botocore.httpchecksum import _CHECKSUM_CLS
from hypothesis import given
from hypothesis import strategies as st

from clary.errors import S3Fault
from clary.wire.checksums import ALGORITHMS, BLOCK, checked, composite, full_object, multipart_etag
from clary.wire.http import Headers


class Trailed(io.BytesIO):
    trailers: Mapping[str, str] = {}


def read_all(body: object, size: int = -1) -> bytes:
    if size < 0:
        return body.read()  # type: ignore[attr-defined,no-any-return]
    return b"".join(iter(lambda: body.read(size), b""))  # type: ignore[attr-defined]


def theirs(algorithm: str, data: bytes) -> str:
    """The checksum as the client library makes it."""
    return str(_CHECKSUM_CLS[algorithm]().handle(data))


@pytest.mark.parametrize(
    ("algorithm", "answer"),
    [
        ("crc32", "cbf43926"),
        ("crc32c", "e3069283"),
        ("crc64nvme", "ae8b14860a799888"),
        ("sha1", "f7c3bc1d808e04732adf679965ccc34ca7ae3441"),
    ],
)
def test_known_answers(algorithm: str, answer: str) -> None:
    body = checked(io.BytesIO(b"123456789"), Headers(), also=[algorithm])
    read_all(body)
    assert base64.b64decode(body.checksums[algorithm]).hex() == answer


@given(data=st.binary(max_size=4000), size=st.sampled_from([-1, 1, 7, 1000]))
def test_every_algorithm_agrees_with_the_client_library(data: bytes, size: int) -> None:
    for algorithm in ALGORITHMS & _CHECKSUM_CLS.keys():
        sent = theirs(algorithm, data)
        body = checked(io.BytesIO(data), Headers([(f"X-Amz-Checksum-{algorithm}", sent)]))
        assert read_all(body, size) == data
        assert body.checksums == {algorithm: sent}
        assert body.md5_hex == hashlib.md5(data).hexdigest()
        assert body.size == len(data)


def test_content_larger_than_a_block() -> None:
    data = bytes(range(256)) * (BLOCK // 128)
    body = checked(io.BytesIO(data), Headers([("x-amz-checksum-crc32", theirs("crc32", data))]))
    assert body.read() == data
    assert body.read() == b""


@pytest.mark.parametrize("algorithm", sorted(ALGORITHMS))
def test_other_content_is_refused_at_the_end_and_ever_after(algorithm: str) -> None:
    body = checked(
        io.BytesIO(b"hellO"), Headers([(f"x-amz-checksum-{algorithm}", _checksum(algorithm, b"hello"))])
    )
    assert body.read(5) == b"hellO"
    for _ in range(2):
        with pytest.raises(S3Fault) as caught:
            body.read(5)
        assert (caught.value.code, caught.value.status) == ("BadDigest", 400)
        assert algorithm.upper() in caught.value.message


def _checksum(algorithm: str, data: bytes) -> str:
    body = checked(io.BytesIO(data), Headers(), also=[algorithm])
    body.read()
    return body.checksums[algorithm]


def test_content_md5() -> None:
    good = base64.b64encode(hashlib.md5(b"hello").digest()).decode()
    assert checked(io.BytesIO(b"hello"), Headers([("Content-MD5", good)])).read() == b"hello"
    with pytest.raises(S3Fault) as caught:
        checked(io.BytesIO(b"hellO"), Headers([("Content-MD5", good)])).read()
    assert caught.value.code == "BadDigest"


@pytest.mark.parametrize("value", ["", "nonsense", "AAAA", "ÄÄ==", hashlib.md5(b"").hexdigest()])
def test_malformed_content_md5(value: str) -> None:
    with pytest.raises(S3Fault) as caught:
        checked(io.BytesIO(), Headers([("content-md5", value)]))
    assert caught.value.code == "InvalidDigest"


@pytest.mark.parametrize(
    "headers",
    [
        [("x-amz-checksum-crc32", "AAAA")],
        [("x-amz-checksum-crc32", "AAAAAA==="), ("x-amz-sdk-checksum-algorithm", "CRC32")],
        [("x-amz-checksum-crc32", "AAAAAA=="), ("x-amz-checksum-crc32c", "AAAAAA==")],
        [("x-amz-checksum-crc32", "AAAAAA=="), ("x-amz-trailer", "x-amz-checksum-sha1")],
        [("x-amz-checksum-adler", "AAAAAA==")],
        [("x-amz-trailer", "x-amz-checksum-adler")],
        [("x-amz-sdk-checksum-algorithm", "CRC32")],
    ],
)
def test_headers_that_make_no_sense(headers: list[tuple[str, str]]) -> None:
    with pytest.raises(S3Fault) as caught:
        checked(io.BytesIO(), Headers(headers))
    assert (caught.value.code, caught.value.status) == ("InvalidRequest", 400)


def test_headers_about_checksums_that_are_none() -> None:
    headers = Headers([("x-amz-checksum-mode", "ENABLED"), ("x-amz-checksum-type", "FULL_OBJECT")])
    body = checked(io.BytesIO(b"x"), headers)
    assert body.read() == b"x"
    assert body.checksums == {}


def test_trailer() -> None:
    source = Trailed(b"hello")
    body = checked(source, Headers([("x-amz-trailer", "x-amz-checksum-crc32")]))
    assert body.read(100) == b"hello"
    source.trailers = {"x-amz-checksum-crc32": theirs("crc32", b"hello")}
    assert body.read(100) == b""
    assert body.checksums == {"crc32": theirs("crc32", b"hello")}


@pytest.mark.parametrize(
    ("trailers", "code"),
    [
        ({}, "MalformedTrailerError"),
        ({"x-amz-checksum-crc32": "no"}, "InvalidRequest"),
        ({"x-amz-checksum-crc32": "AAAAAA=="}, "BadDigest"),
    ],
)
def test_bad_trailer(trailers: dict[str, str], code: str) -> None:
    source = Trailed(b"hello")
    source.trailers = trailers
    with pytest.raises(S3Fault) as caught:
        checked(source, Headers([("x-amz-trailer", "x-amz-checksum-crc32")])).read()
    assert caught.value.code == code


@given(parts=st.lists(st.binary(max_size=200), min_size=1, max_size=6))
def test_multipart(parts: list[bytes]) -> None:
    whole = b"".join(parts)
    for algorithm in ("crc32", "crc32c", "crc64nvme"):
        pairs = [(_checksum(algorithm, part), len(part)) for part in parts]
        assert full_object(algorithm, pairs) == _checksum(algorithm, whole)
    sums = [_checksum("sha256", part) for part in parts]
    digests = b"".join(hashlib.sha256(part).digest() for part in parts)
    expected = base64.b64encode(hashlib.sha256(digests).digest()).decode()
    assert composite("sha256", sums) == f"{expected}-{len(parts)}"
    md5s = [hashlib.md5(part) for part in parts]
    joined = hashlib.md5(b"".join(one.digest() for one in md5s)).hexdigest()
    assert multipart_etag([one.hexdigest() for one in md5s]) == f"{joined}-{len(parts)}"


def test_composite_of_crcs_is_the_crc_of_their_bytes() -> None:
    crcs = [zlib.crc32(part).to_bytes(4, "big") for part in (b"one", b"two")]
    expected = base64.b64encode(crt.crc32(b"".join(crcs), 0).to_bytes(4, "big")).decode()
    assert composite("crc32", [base64.b64encode(crc).decode() for crc in crcs]) == f"{expected}-2"


def test_full_object_needs_a_crc() -> None:
    with pytest.raises(ValueError, match="sha1"):
        full_object("sha1", [])
