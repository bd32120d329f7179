"""Records to rows of the index and back, and the statements that more than one method needs."""

from __future__ import annotations

import json
from collections.abc import Iterable, Sequence
from typing import Any

from sqlalchemy import Connection, Row, insert, select, update
from sqlalchemy.exc import IntegrityError

from clary.objects.base import (
    MAX_KEY_BYTES,
    Bucket,
    Condition,
    KeyTooLong,
    Meta,
    NoSuchBucket,
    NoSuchUpload,
    Object,
    Part,
    Segment,
    Upload,
)
from clary.objects.tables import BUCKETS, OBJECTS, PARTS, UPLOADS
from clary.store.transactions import Interrupted


def key_bytes(key: str) -> bytes:
    data = key.encode("utf-8", "surrogatepass")
    if len(data) > MAX_KEY_BYTES:
        raise KeyTooLong(extra={"Size": str(len(data)), "MaxSizeAllowed": str(MAX_KEY_BYTES)})
    return data


def require_bucket(connection: Connection, name: str) -> None:
    if connection.execute(select(BUCKETS.c.name).where(BUCKETS.c.name == name)).first() is None:
        raise NoSuchBucket(extra={"BucketName": name})


def to_bucket(row: Row[Any]) -> Bucket:
    return Bucket(row.name, row.created, row.region)


def find_object(connection: Connection, bucket: str, key: bytes, *, lock: bool = False) -> Object | None:
    query = select(OBJECTS).where(OBJECTS.c.bucket == bucket, OBJECTS.c.key == key)
    row = connection.execute(query.with_for_update() if lock else query).first()
    return None if row is None else to_object(row)


def to_object(row: Row[Any]) -> Object:
    return Object(
        bucket=row.bucket,
        key=row.key.decode("utf-8", "surrogatepass"),
        size=row.size,
        etag=row.etag,
        modified=row.modified,
        meta=to_meta(row.meta),
        segments=to_segments(row.segments),
        upload=row.upload,
    )


def place(connection: Connection, new: Object, condition: Condition) -> tuple[Segment, ...]:
    """Make the key mean this object; the segments it no longer needs."""
    key = key_bytes(new.key)
    old = find_object(connection, new.bucket, key, lock=True)
    if old is None:
        require_bucket(connection, new.bucket)
    condition(old)
    values = {
        "size": new.size,
        "etag": new.etag,
        "modified": new.modified,
        "upload": new.upload,
        "meta": from_meta(new.meta),
        "segments": from_segments(new.segments),
    }
    if old is not None:
        connection.execute(
            update(OBJECTS).where(OBJECTS.c.bucket == new.bucket, OBJECTS.c.key == key).values(values)
        )
        return old.segments
    insert_or_retry(connection, insert(OBJECTS).values(bucket=new.bucket, key=key, **values))
    return ()


def insert_or_retry(connection: Connection, statement: Any) -> None:
    """A row that another writer made, or a parent that one removed, since we looked: look again."""
    try:
        connection.execute(statement)
    except IntegrityError as error:
        raise Interrupted from error


def find_upload(connection: Connection, bucket: str, key: str, upload: str, *, lock: bool = False) -> Upload:
    query = select(UPLOADS).where(UPLOADS.c.id == upload)
    row = connection.execute(query.with_for_update() if lock else query).first()
    if row is None or row.bucket != bucket or row.key != key_bytes(key):
        require_bucket(connection, bucket)
        raise NoSuchUpload(extra={"UploadId": upload})
    return to_upload(row)


def to_upload(row: Row[Any]) -> Upload:
    key = row.key.decode("utf-8", "surrogatepass")
    return Upload(row.id, row.bucket, key, row.created, to_meta(row.meta), row.algorithm)


def find_parts(connection: Connection, upload: str) -> Sequence[Part]:
    query = select(PARTS).where(PARTS.c.upload == upload).order_by(PARTS.c.number)
    return [to_part(row) for row in connection.execute(query)]


def to_part(row: Row[Any]) -> Part:
    return Part(row.number, row.size, row.etag, row.modified, json.loads(row.checksums), row.blob)


def from_meta(meta: Meta) -> str:
    return json.dumps(
        {
            "headers": dict(meta.headers),
            "tags": dict(meta.tags),
            "checksums": dict(meta.checksums),
            "type": meta.checksum_type,
        }
    )


def to_meta(text: str) -> Meta:
    document = json.loads(text)
    return Meta(document["headers"], document["tags"], document["checksums"], document["type"])


def from_segments(segments: Iterable[Segment]) -> str:
    return ",".join(f"{segment.blob}:{segment.size}" for segment in segments)


def to_segments(text: str) -> tuple[Segment, ...]:
    pairs = (part.partition(":") for part in text.split(","))
    return tuple(Segment(blob, int(size)) for blob, _, size in pairs)
