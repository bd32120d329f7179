"""Content is checked against the digests sent with it, in the one pass in which it is read.

`checked` wraps a request's body: whoever reads it to the end has content that agrees with Content-MD5 and with the
x-amz-checksum-* header or trailer, and can ask for the MD5 (an object's ETag) and the checksums afterwards.
Checksums are base64 text of the big-endian digest, keyed by the algorithm's name in lower case.
"""

from __future__ import annotations

import base64
import binascii
import hashlib
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Protocol

from awscrt import checksums as crt

from clary.errors import S3Fault
from clary.wire.http import Body

BLOCK = 1 << 20

_PREFIX = "x-amz-checksum-"
_NOT_DIGESTS = frozenset({"algorithm", "mode", "type"})


class _Digest(Protocol):
    def update(self, data: bytes, /) -> object: ...
    def digest(self) -> bytes: ...


class _Crc:
    def __init__(self, function: Callable[[bytes, int], int], size: int) -> None:
        self._function = function
        self._size = size
        self._value = 0

    def update(self, data: bytes, /) -> None:
        self._value = self._function(data, self._value)

    def digest(self) -> bytes:
        return self._value.to_bytes(self._size, "big")


_DIGESTS: Mapping[str, tuple[int, Callable[[], _Digest]]] = {
    "crc32": (4, lambda: _Crc(crt.crc32, 4)),
    "crc32c": (4, lambda: _Crc(crt.crc32c, 4)),
    "crc64nvme": (8, lambda: _Crc(crt.crc64nvme, 8)),
    "sha1": (20, lambda: hashlib.sha1(usedforsecurity=False)),
    "sha256": (32, hashlib.sha256),
    "sha512": (64, hashlib.sha512),
    "md5": (16, lambda: hashlib.md5(usedforsecurity=False)),
}
ALGORITHMS = frozenset(_DIGESTS)


class CheckedBody:
    """A body that is compared with its announced digests at its end.

    `read` obeys the laws of `wire.http.Body`; it raises S3Fault BadDigest (400) when the content differs and
    MalformedTrailerError (400) when an announced trailer did not come. `md5_hex`, `checksums` and `size` (bytes)
    speak of what has been read so far, so of the whole content once the end was met.
    """

    def __init__(
        self,
        body: Body,
        *,
        expected: Mapping[str, str],
        md5: bytes | None = None,
        trailers: Iterable[str] = (),
        also: Iterable[str] = (),
    ) -> None:
        """`expected`: checksums known beforehand; `trailers`: algorithms whose checksum follows the content."""
        self._body = body
        self._expected = dict(expected)
        self._md5_expected = md5
        self._trailers = tuple(trailers)
        self._md5: _Digest = hashlib.md5(usedforsecurity=False)
        names = dict.fromkeys([*self._expected, *self._trailers, *also])
        self._digests = {name: _digest(name) for name in names}
        self._done = False
        self.size = 0

    def read(self, size: int = -1, /) -> bytes:
        if size is None or size < 0:
            return b"".join(iter(lambda: self.read(BLOCK), b""))
        data = self._body.read(size)
        if data:
            self.size += len(data)
            self._md5.update(data)
            for digest in self._digests.values():
                digest.update(data)
        elif size and not self._done:
            self._check()
            self._done = True
        return data

    @property
    def md5_hex(self) -> str:
        return self._md5.digest().hex()

    @property
    def checksums(self) -> dict[str, str]:
        """The checksums the client sent or asked for, and those in `also`."""
        return {name: _text(digest.digest()) for name, digest in self._digests.items()}

    def _check(self) -> None:
        if self._md5_expected is not None and self._md5.digest() != self._md5_expected:
            raise S3Fault("The Content-MD5 you specified did not match what we received.", code="BadDigest")
        sent: Mapping[str, str] = getattr(self._body, "trailers", {})
        for name in self._trailers:
            self._expected[name] = _announced(name, sent.get(_PREFIX + name))
        for name, value in self.checksums.items():
            if self._expected.get(name, value) != value:
                raise S3Fault(
                    f"The {name.upper()} you specified did not match the calculated checksum.",
                    code="BadDigest",
                )


def checked(body: Body, headers: Mapping[str, str], *, also: Iterable[str] = ()) -> CheckedBody:
    """Wrap a body so that the digests its headers announce are verified while it is read.

    `headers` maps names without regard to case. `also` names algorithms to compute in addition (see ALGORITHMS).
    Checksums in trailers are taken from `body.trailers` at the end of the content.
    Raises S3Fault InvalidDigest or InvalidRequest (400) when a header is malformed or names contradict.
    """
    expected = {
        name: _announced(name, headers[_PREFIX + name])
        for name in _named(header for header in headers if header.startswith(_PREFIX))
    }
    trailers = _named(
        name.strip().lower()
        for name in headers.get("x-amz-trailer", "").split(",")
        if name.strip().lower().startswith(_PREFIX)
    )
    if len(expected) + len(trailers) > 1:
        raise S3Fault(
            "Expecting a single x-amz-checksum- header. Multiple checksum Types are not allowed.",
            code="InvalidRequest",
        )
    if headers.get("x-amz-sdk-checksum-algorithm") and not expected and not trailers:
        raise S3Fault(
            "x-amz-sdk-checksum-algorithm specified, but no corresponding x-amz-checksum-* or x-amz-trailer "
            "headers were found.",
            code="InvalidRequest",
        )
    return CheckedBody(body, expected=expected, md5=_content_md5(headers), trailers=trailers, also=also)


def composite(algorithm: str, parts: Sequence[str]) -> str:
    """The checksum of a multipart object's part checksums (base64 each): base64 text and `-<number of parts>`."""
    digest = _digest(algorithm)
    digest.update(b"".join(base64.b64decode(part) for part in parts))
    return f"{_text(digest.digest())}-{len(parts)}"


def full_object(algorithm: str, parts: Sequence[tuple[str, int]]) -> str:
    """The CRC of a whole object from those of its parts: (base64 checksum, length in bytes) in order.

    Raises ValueError for an algorithm whose digests cannot be combined.
    """
    combine = {
        "crc32": crt.combine_crc32,
        "crc32c": crt.combine_crc32c,
        "crc64nvme": crt.combine_crc64nvme,
    }.get(algorithm)
    if combine is None:
        raise ValueError(f"{algorithm}: a checksum of the full object can be made from CRCs only")
    total = 0
    for checksum, length in parts:
        total = combine(total, int.from_bytes(base64.b64decode(checksum), "big"), length)
    return _text(total.to_bytes(_DIGESTS[algorithm][0], "big"))


def multipart_etag(parts: Sequence[str]) -> str:
    """The ETag, without quotes, of an object made of parts whose MD5s (hex) are given in order."""
    joined = b"".join(bytes.fromhex(part) for part in parts)
    return f"{hashlib.md5(joined, usedforsecurity=False).hexdigest()}-{len(parts)}"


def _named(headers: Iterable[str]) -> list[str]:
    names = [name for header in headers if (name := header.removeprefix(_PREFIX)) not in _NOT_DIGESTS]
    for name in names:
        if name not in _DIGESTS:
            raise S3Fault(
                f"{_PREFIX}{name} is not supported. Use one of {', '.join(sorted(ALGORITHMS))}.",
                code="InvalidRequest",
            )
    return names


def _announced(name: str, value: str | None) -> str:
    if value is None:
        raise S3Fault(
            f"The trailer {_PREFIX}{name} was announced in x-amz-trailer but did not follow the content.",
            code="MalformedTrailerError",
        )
    if _decoded(value, _DIGESTS[name][0]) is None:
        raise S3Fault(f"Value for {_PREFIX}{name} header is invalid.", code="InvalidRequest")
    return value.strip()


def _content_md5(headers: Mapping[str, str]) -> bytes | None:
    if "content-md5" not in headers:
        return None
    value = _decoded(headers["content-md5"], 16)
    if value is None:
        raise S3Fault("The Content-MD5 you specified was invalid.", code="InvalidDigest")
    return value


def _decoded(text: str, size: int) -> bytes | None:
    try:
        value = base64.b64decode(text.strip(), validate=True)
    except (binascii.Error, ValueError):
        return None
    return value if len(value) == size else None


def _digest(algorithm: str) -> _Digest:
    if algorithm not in _DIGESTS:
        raise ValueError(f"{algorithm}: not one of {', '.join(sorted(ALGORITHMS))}")
    return _DIGESTS[algorithm][1]()


def _text(digest: bytes) -> str:
    return base64.b64encode(digest).decode("ascii")
