"""The object store's records and faults, and the laws every object store obeys.

Sizes, offsets and lengths are bytes; times are seconds since the epoch; an ETag is stored without its quotes.
Each fault is an S3Fault, so a service may let it through to the client as it is.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from types import TracebackType
from typing import Any, Protocol, Self

from clary.errors import S3Fault
from clary.wire.http import FileBody

MAX_KEY_BYTES = 1024


class NoSuchBucket(S3Fault):
    """The specified bucket does not exist"""

    code, status = "NoSuchBucket", 404


class NoSuchKey(S3Fault):
    """The specified key does not exist."""

    code, status = "NoSuchKey", 404


class NoSuchUpload(S3Fault):
    """The specified upload does not exist.

    The upload ID may be invalid, or the upload may have been aborted or completed."""

    code, status = "NoSuchUpload", 404


class BucketExists(S3Fault):
    """Your previous request to create the named bucket succeeded and you already own it."""

    code, status = "BucketAlreadyOwnedByYou", 409


class BucketNotEmpty(S3Fault):
    """The bucket you tried to delete is not empty"""

    code, status = "BucketNotEmpty", 409


class KeyTooLong(S3Fault):
    """Your key is too long"""

    code, status = "KeyTooLongError", 400


class OutOfSpace(S3Fault):
    """The disk that holds the objects is full. Free some space there and try again."""

    code, status = "InsufficientStorage", 507


@dataclass(frozen=True, slots=True)
class Bucket:
    """`region` is the location constraint given when it was made, "" for none."""

    name: str
    created: float
    region: str = ""


@dataclass(frozen=True, slots=True)
class Segment:
    """One immutable file of content."""

    blob: str
    size: int


@dataclass(frozen=True, slots=True)
class Meta:
    """What is kept beside the content.

    `headers`: members of S3's model that are given back as they came (ContentType, Metadata, ...).
    `checksums`: algorithm in lower case -> base64 text. `checksum_type`: FULL_OBJECT or COMPOSITE.
    """

    headers: Mapping[str, Any] = field(default_factory=dict)
    tags: Mapping[str, str] = field(default_factory=dict)
    checksums: Mapping[str, str] = field(default_factory=dict)
    checksum_type: str = "FULL_OBJECT"


@dataclass(frozen=True, slots=True)
class Object:
    """`upload` is the multipart upload it came from, "" for a single put; its parts are its segments, in order."""

    bucket: str
    key: str
    size: int
    etag: str
    modified: float
    meta: Meta
    segments: tuple[Segment, ...]
    upload: str = ""


@dataclass(frozen=True, slots=True)
class Entry:
    """An object as a listing shows it."""

    key: str
    size: int
    etag: str
    modified: float


@dataclass(frozen=True, slots=True)
class Listing:
    """Entries and common prefixes, each in key order. `next` as `after` continues behind it; None: that was all."""

    entries: Sequence[Entry]
    prefixes: Sequence[str]
    next: str | None


@dataclass(frozen=True, slots=True)
class Upload:
    """A multipart upload under way. `meta.headers` will be the object's; `algorithm` is "" when none was asked for."""

    id: str
    bucket: str
    key: str
    created: float
    meta: Meta
    algorithm: str = ""


@dataclass(frozen=True, slots=True)
class Part:
    number: int
    size: int
    etag: str
    modified: float
    checksums: Mapping[str, str]
    blob: str


@dataclass(frozen=True, slots=True)
class Assembly:
    """What a complete upload becomes: its parts in order, and the object's ETag and meta."""

    parts: Sequence[Part]
    etag: str
    meta: Meta


Condition = Callable[[Object | None], None]


def unconditional(_: Object | None) -> None:
    """The condition that always holds."""


class Staged(Protocol):
    """Content being written, seen by nobody. Leaving the `with` block drops it unless a put took it.

    `write` raises OutOfSpace when the disk is full. `size` is what was written so far.
    """

    @property
    def size(self) -> int: ...
    def write(self, data: bytes, /) -> None: ...
    def __enter__(self) -> Self: ...
    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None, /
    ) -> None: ...


class Opened(Protocol):
    """An object held for reading: its content stays as it is whatever becomes of the key.

    Close it (`with`) when done; bodies taken from it before live on by themselves.
    """

    @property
    def object(self) -> Object: ...
    def body(self, offset: int, length: int) -> FileBody | Iterator[bytes]:
        """The stretch to send. An iterator is to be closed (`close()`) by who sends it."""
        ...

    def chunks(self, offset: int, length: int) -> Iterator[bytes]: ...
    def __enter__(self) -> Self: ...
    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None, /
    ) -> None: ...


class Objects(Protocol):
    """Buckets, objects and multipart uploads. Laws, each checked by `tests/contract/test_objects.py`:

    - A key is any text of 1 to 1,024 bytes of UTF-8; keys are ordered by those bytes and are never paths.
    - A method that returns has committed durably, content included; one that raises has changed nothing.
    - Content becomes visible whole and with its meta, or not at all. Of two writers of a key one wins; never a mixture.
    - `condition` is called with the object that is about to be replaced or deleted (None: there is none) under a lock
      that no other writer of the key passes; what it raises goes to the caller and nothing changes.
    - Who has opened an object reads it to its end though it is overwritten or deleted meanwhile.
    - Content that no object or part refers to is gone after `sweep`.
    - Every method raises NoSuchBucket for a bucket that is not there, unless it says otherwise.
    - All of it may be called from many threads of one process.
    """

    def create_bucket(self, bucket: Bucket) -> None:
        """Raises BucketExists."""
        ...

    def bucket(self, name: str) -> Bucket | None: ...
    def buckets(self) -> Sequence[Bucket]:
        """By name."""
        ...

    def delete_bucket(self, name: str) -> None:
        """Uploads under way are aborted. Raises BucketNotEmpty."""
        ...

    def stage(self) -> Staged: ...
    def stage_copy(self, source: Opened) -> Staged:
        """The same content again, at no cost when the file system and the source allow it."""
        ...

    def put(
        self,
        bucket: str,
        key: str,
        staged: Staged,
        *,
        etag: str,
        modified: float,
        meta: Meta,
        condition: Condition = unconditional,
    ) -> Object:
        """Raises KeyTooLong."""
        ...

    def head(self, bucket: str, key: str) -> Object:
        """Raises NoSuchKey."""
        ...

    def open(self, bucket: str, key: str) -> Opened:
        """Raises NoSuchKey."""
        ...

    def amend(self, bucket: str, key: str, change: Callable[[Meta], Meta]) -> Object:
        """Replace the meta of an object; content, ETag and time stay. Raises NoSuchKey."""
        ...

    def delete(self, bucket: str, key: str, *, condition: Condition = unconditional) -> bool:
        """False if there was none."""
        ...

    def delete_many(self, bucket: str, keys: Iterable[str]) -> None:
        """All of them or none, whether they exist or not."""
        ...

    def list(
        self, bucket: str, *, prefix: str = "", delimiter: str = "", after: str = "", limit: int = 1000
    ) -> Listing:
        """At most `limit` entries and common prefixes together, those whose key or prefix comes after `after`.

        A common prefix that `after` begins with counts as listed already, so continuing behind a prefix skips it all.
        """
        ...

    def create_upload(self, upload: Upload) -> None:
        """Raises KeyTooLong."""
        ...

    def upload(self, bucket: str, key: str, upload: str) -> Upload:
        """Raises NoSuchUpload."""
        ...

    def uploads(self, bucket: str, *, prefix: str = "") -> Sequence[Upload]:
        """By key, then by time of creation."""
        ...

    def put_part(
        self,
        upload: Upload,
        number: int,
        staged: Staged,
        *,
        etag: str,
        modified: float,
        checksums: Mapping[str, str],
    ) -> Part:
        """Replaces a part of the same number. Raises NoSuchUpload."""
        ...

    def parts(self, upload: Upload) -> Sequence[Part]:
        """By number."""
        ...

    def complete_upload(
        self,
        upload: Upload,
        assemble: Callable[[Sequence[Part]], Assembly],
        *,
        modified: float,
        condition: Condition = unconditional,
    ) -> Object:
        """Turn parts into the object without copying them; parts not chosen are dropped. `assemble` must be pure.

        Raises NoSuchUpload.
        """
        ...

    def abort_upload(self, upload: Upload) -> None:
        """Raises NoSuchUpload."""
        ...

    def sweep(self) -> int:
        """Remove content that nothing refers to and say how many files. Only while nobody writes: at start.

        Does nothing to content that another index was made for.
        """
        ...
