"""The aws-chunked encoding: published examples, a reference encoder, and every way to damage it."""

from __future__ import annotations

import hashlib
import hmac
import io
from dataclasses import replace

import pytest
from awscrt.checksums import crc32c
from botocore.httpchecksum import AwsChunkedWrapper, Crc32Checksum
from hypothesis import given
from hypothesis import strategies as st

from clary.errors import S3Fault
from clary.wire.checksums import checked
from clary.wire.chunked import LINE_LIMIT, ChunkedBody, Seal
from clary.wire.http import Headers, HttpRequest
from clary.wire.sigv4 import Verifier

SECRET = "wJalrXUtnFEMI/K7MDENG/bPxRfiCYEXAMPLEKEY"
SEAL = Seal(
    key=b"k" * 32, stamp="20260131T000000Z", scope="20260131/us-east-1/s3/aws4_request", seed="5" * 64
)


def hmac_hex(key: bytes, text: str) -> str:
    return hmac.new(key, text.encode(), hashlib.sha256).hexdigest()


def encode(chunks: list[bytes], *, seal: Seal | None = None, trailers: dict[str, str] | None = None) -> bytes:
    """The encoding after its published description."""
    out, previous = [], seal.seed if seal else ""
    for chunk in [*chunks, b""]:
        head = f"{len(chunk):x}"
        if seal:
            lines = [
                "AWS4-HMAC-SHA256-PAYLOAD",
                seal.stamp,
                seal.scope,
                previous,
                hashlib.sha256(b"").hexdigest(),
            ]
            previous = hmac_hex(seal.key, "\n".join([*lines, hashlib.sha256(chunk).hexdigest()]))
            head += f";chunk-signature={previous}"
        out.append(head.encode() + b"\r\n" + (chunk + b"\r\n" if chunk else b""))
    for name, value in (trailers or {}).items():
        out.append(f"{name}:{value}\r\n".encode())
    if seal and trailers:
        text = "".join(f"{name}:{value}\n" for name, value in trailers.items())
        digest = hashlib.sha256(text.encode()).hexdigest()
        signed = "\n".join(["AWS4-HMAC-SHA256-TRAILER", seal.stamp, seal.scope, previous, digest])
        out.append(f"x-amz-trailer-signature:{hmac_hex(seal.key, signed)}\r\n".encode())
    return b"".join([*out, b"\r\n"])


class Drip:
    """A body that comes in small pieces."""

    def __init__(self, data: bytes, piece: int) -> None:
        self._file = io.BytesIO(data)
        self._piece = piece

    def read(self, size: int = -1, /) -> bytes:
        return self._file.read(min(size, self._piece) if size >= 0 else -1)


def fault_of(
    data: bytes, *, length: int = 5, seal: Seal | None = None, trailers: tuple[str, ...] = ()
) -> str:
    body = ChunkedBody(io.BytesIO(data), length=length, seal=seal, trailers=trailers)
    with pytest.raises(S3Fault) as caught:
        body.read()
    with pytest.raises(S3Fault):
        body.read(10)
    assert body.trailers == {}
    return caught.value.code


@given(
    chunks=st.lists(st.binary(min_size=1, max_size=300), max_size=5),
    signed=st.booleans(),
    trailers=st.sampled_from(
        [{}, {"x-amz-checksum-crc32": "AAAAAA=="}, {"x-amz-checksum-sha1": "a", "x-other": "b c"}]
    ),
    size=st.sampled_from([-1, 1, 7, 1000]),
    piece=st.sampled_from([1, 3, 100, 100_000]),
)
def test_decodes_what_was_encoded(
    chunks: list[bytes], signed: bool, trailers: dict[str, str], size: int, piece: int
) -> None:
    seal = SEAL if signed else None
    content = b"".join(chunks)
    source = Drip(encode(chunks, seal=seal, trailers=trailers), piece)
    body = ChunkedBody(source, length=len(content), seal=seal, trailers=trailers)
    got = body.read() if size < 0 else b"".join(iter(lambda: body.read(size), b""))
    assert got == content
    assert body.read(1) == b"" == body.read()
    assert body.trailers == trailers


@pytest.mark.parametrize("size", [0, 1, 1 << 20, (1 << 20) + 1, 3 << 20])
def test_decodes_what_the_client_library_encodes(size: int) -> None:
    content = bytes(range(256)) * (size // 256) + bytes(size % 256)
    wrapper = AwsChunkedWrapper(
        io.BytesIO(content), checksum_cls=Crc32Checksum, checksum_name="x-amz-checksum-crc32"
    )
    headers = Headers([("x-amz-trailer", "x-amz-checksum-crc32")])
    body = ChunkedBody(io.BytesIO(wrapper.read()), length=size, trailers=["x-amz-checksum-crc32"])
    verified = checked(body, headers)
    assert verified.read() == content
    assert verified.checksums == {"x-amz-checksum-crc32"[15:]: body.trailers["x-amz-checksum-crc32"]}


# --- the published examples: 66,560 times the letter a


def example(
    payload: str, seed: str, parts: list[tuple[bytes, str]], more: dict[str, str], tail: str
) -> HttpRequest:
    names = {
        "content-encoding": "aws-chunked",
        "host": "s3.amazonaws.com",
        "x-amz-content-sha256": payload,
        "x-amz-date": "20130524T000000Z",
        "x-amz-decoded-content-length": "66560",
        "x-amz-storage-class": "REDUCED_REDUNDANCY",
        **more,
    }
    wire = b"".join(
        b"%x;chunk-signature=%s\r\n%s" % (len(d), s.encode(), d and d + b"\r\n") for d, s in parts
    )
    authorization = (
        "AWS4-HMAC-SHA256 Credential=AKIAIOSFODNN7EXAMPLE/20130524/us-east-1/s3/aws4_request,"
        f"SignedHeaders={';'.join(sorted(names))},Signature={seed}"
    )
    headers = Headers([*names.items(), ("authorization", authorization)])
    body = io.BytesIO(wire + tail.encode())
    return HttpRequest("PUT", "/examplebucket/chunkObject.txt", "", headers, body)


def signed_example() -> HttpRequest:
    return example(
        "STREAMING-AWS4-HMAC-SHA256-PAYLOAD",
        "4f232c4386841ef735655705268965c44a0e4690baa4adea153f7db9fa80a0a9",
        [
            (b"a" * 65536, "ad80c730a21e5b8d04586a2213dd63b9a0e99e0e2307b0ade35a65485a288648"),
            (b"a" * 1024, "0055627c9e194cb4542bae2aa5492e3c1575bbb81b612b7d234b86a503ef5497"),
            (b"", "b6c6ea8a5354eaf15b3cb7646744f4275b71ea724fed81ceb9323e279d449df9"),
        ],
        {"content-length": "66824"},
        "\r\n",
    )


def trailer_example() -> HttpRequest:
    return example(
        "STREAMING-AWS4-HMAC-SHA256-PAYLOAD-TRAILER",
        "106e2a8a18243abcf37539882f36619c00e2dfc72633413f02d3b74544bfeb8e",
        [
            (b"a" * 65536, "b474d8862b1487a5145d686f57f013e54db672cee1c953b3010fb58501ef5aa2"),
            (b"a" * 1024, "1c1344b170168f8e65b41376b44b20fe354e373826ccbbe2c1d40a8cae51e5c7"),
            (b"", "2ca2aba2005185cf7159c6277faf83795951dd77a3a99e6e65d5c9f85863f992"),
        ],
        {"x-amz-trailer": "x-amz-checksum-crc32c"},
        "x-amz-checksum-crc32c:sOO8/Q==\r\n"
        "x-amz-trailer-signature:d81f82fc3505edab99d459891051a732e8730629a2e4a59689829ca17fe2e435\r\n\r\n",
    )


class ExampleKey:
    secret = SECRET
    session_token = None
    expires = None


def content(request: HttpRequest) -> bytes:
    find = {"AKIAIOSFODNN7EXAMPLE": ExampleKey()}.get
    _, verified = Verifier().authenticate(request, service="s3", find=find, now=1369353600.0)
    return checked(verified.body, request.headers).read()


@pytest.mark.parametrize("make", [signed_example, trailer_example])
def test_published_examples(make) -> None:  # type: ignore[no-untyped-def]
    assert content(make()) == b"a" * 66560
    assert crc32c(b"a" * 66560).to_bytes(4, "big").hex() == "b0e3bcfd"


@pytest.mark.parametrize("make", [signed_example, trailer_example])
@pytest.mark.parametrize("at", [0, 30, 100, 65530, 65700, 66800, -70, -4])
def test_published_examples_damaged(make, at: int) -> None:  # type: ignore[no-untyped-def]
    request = make()
    wire = bytearray(request.body.read())
    wire[at] ^= 1
    with pytest.raises(S3Fault):
        content(replace(request, body=io.BytesIO(bytes(wire))))


# --- damage


@given(data=st.data(), signed=st.booleans())
def test_any_cut_is_noticed(data: st.DataObject, signed: bool) -> None:
    seal = SEAL if signed else None
    wire = encode([b"hel", b"lo"], seal=seal, trailers={"x-amz-checksum-crc32": "AAAAAA=="})
    cut = wire[: data.draw(st.integers(0, len(wire) - 1))]
    assert fault_of(cut, seal=seal, trailers=("x-amz-checksum-crc32",)) == "IncompleteBody"


@given(data=st.data())
def test_any_changed_bit_of_a_signed_body_is_noticed(data: st.DataObject) -> None:
    trailers = {"x-amz-checksum-crc32": "AAAAAA=="}
    wire = bytearray(encode([b"hel", b"lo"], seal=SEAL, trailers=trailers))
    at = data.draw(st.integers(0, len(wire) - 1))
    old = bytes([wire[at]]).lower()
    wire[at] ^= 1 << data.draw(st.integers(0, 7))
    body = ChunkedBody(io.BytesIO(bytes(wire)), length=5, seal=SEAL, trailers=trailers)
    try:
        got = body.read()
    except S3Fault:
        return
    # the case of a size's hex digits carries no meaning
    assert (got, body.trailers) == (b"hello", trailers)
    assert bytes([wire[at]]).lower() == old


@given(wire=st.binary(max_size=200), signed=st.booleans())
def test_noise_is_refused_cleanly(wire: bytes, signed: bool) -> None:
    assert fault_of(wire, seal=SEAL if signed else None) in ("IncompleteBody", "MalformedTrailerError")


@pytest.mark.parametrize(
    ("wire", "code"),
    [
        (b"", "IncompleteBody"),
        (b"hello", "IncompleteBody"),
        (b"5\r\nhello\r\n", "IncompleteBody"),
        (b"5\r\nhelloXX0\r\n\r\n", "IncompleteBody"),
        (b"4\r\nhell\r\n0\r\n\r\n", "IncompleteBody"),
        (b"6\r\nhello!\r\n0\r\n\r\n", "IncompleteBody"),
        (b"5\r\nhello\r\n1\r\n!\r\n0\r\n\r\n", "IncompleteBody"),
        (b"5\r\nhello\r\n0\r\n\r\nmore", "IncompleteBody"),
        (b"-5\r\nhello\r\n0\r\n\r\n", "IncompleteBody"),
        (b"0x5\r\nhello\r\n0\r\n\r\n", "IncompleteBody"),
        (b"ffffffffffffffffffff\r\nhello\r\n0\r\n\r\n", "IncompleteBody"),
        (b"fffffffffffffff\r\nhello\r\n0\r\n\r\n", "IncompleteBody"),
        (b"5\nhello\n0\n\n", "IncompleteBody"),
        (b"5;chunk-signature=" + b"0" * 64 + b"\r\nhello\r\n0\r\n\r\n", "IncompleteBody"),
        (b"5" + b" " * LINE_LIMIT + b"\r\nhello\r\n0\r\n\r\n", "IncompleteBody"),
        (b"0" * 10_000_000, "IncompleteBody"),
        (b"5\r\nhello\r\n0\r\nx-a:1\r\n\r\n", "MalformedTrailerError"),
        (b"5\r\nhello\r\n0\r\nnonsense\r\n\r\n", "MalformedTrailerError"),
        (
            b"5\r\nhello\r\n0\r\n" + b"".join(b"a%d:b\r\n" % n for n in range(99)) + b"\r\n",
            "MalformedTrailerError",
        ),
    ],
)
def test_nonsense(wire: bytes, code: str) -> None:
    assert fault_of(wire) == code


def test_chunks_in_another_order() -> None:
    good = encode([b"aaaaa", b"bbbbb"], seal=SEAL)
    size = len(b"5;chunk-signature=") + 64 + 2 + 5 + 2
    first, second, last = good[:size], good[size : 2 * size], good[2 * size :]
    assert fault_of(second + first + last, length=10, seal=SEAL) == "SignatureDoesNotMatch"
    assert fault_of(first + last, length=10, seal=SEAL) == "SignatureDoesNotMatch"
    assert fault_of(first + first + last, length=10, seal=SEAL) == "SignatureDoesNotMatch"


def test_unsigned_chunks_where_signed_ones_were_announced() -> None:
    assert fault_of(encode([b"hello"]), seal=SEAL) == "IncompleteBody"


def test_signed_trailers_need_their_signature() -> None:
    wire = encode([b"hello"], seal=SEAL)  # no trailers at all
    assert fault_of(wire, seal=SEAL, trailers=("x-amz-checksum-crc32",)) == "SignatureDoesNotMatch"
    other = encode([b"hello"], seal=SEAL, trailers={"x-amz-checksum-crc32": "AAAAAA=="}).replace(
        b"AAAAAA", b"AAAAAB"
    )
    assert fault_of(other, seal=SEAL, trailers=("x-amz-checksum-crc32",)) == "SignatureDoesNotMatch"
