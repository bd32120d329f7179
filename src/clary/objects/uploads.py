"""Multipart uploads in the index. Each function is work inside the caller's transaction."""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence

from sqlalchemy import Connection, delete, insert, select

from clary.objects import rows
from clary.objects.base import Assembly, Condition, Object, Part, Segment, Upload
from clary.objects.tables import PARTS, UPLOADS


def add(connection: Connection, upload: Upload) -> None:
    rows.require_bucket(connection, upload.bucket)
    statement = insert(UPLOADS).values(
        id=upload.id,
        bucket=upload.bucket,
        key=rows.key_bytes(upload.key),
        created=upload.created,
        algorithm=upload.algorithm,
        meta=rows.from_meta(upload.meta),
    )
    rows.insert_or_retry(connection, statement)


def of_bucket(connection: Connection, bucket: str, prefix: str) -> list[Upload]:
    rows.require_bucket(connection, bucket)
    start = prefix.encode()
    query = select(UPLOADS).where(UPLOADS.c.bucket == bucket, UPLOADS.c.key >= start)
    query = query.order_by(UPLOADS.c.key, UPLOADS.c.created, UPLOADS.c.id)
    return [rows.to_upload(row) for row in connection.execute(query) if row.key.startswith(start)]


def add_part(connection: Connection, upload: Upload, part: Part) -> Sequence[str]:
    """The blobs of the part it replaces."""
    rows.find_upload(connection, upload.bucket, upload.key, upload.id, lock=True)
    where = (PARTS.c.upload == upload.id, PARTS.c.number == part.number)
    old = connection.scalars(select(PARTS.c.blob).where(*where)).all()
    connection.execute(delete(PARTS).where(*where))
    connection.execute(
        insert(PARTS).values(
            upload=upload.id,
            number=part.number,
            size=part.size,
            etag=part.etag,
            modified=part.modified,
            checksums=json.dumps(dict(part.checksums)),
            blob=part.blob,
        )
    )
    return old


def complete(
    connection: Connection,
    upload: Upload,
    assemble: Callable[[Sequence[Part]], Assembly],
    *,
    modified: float,
    condition: Condition,
) -> tuple[Object, set[str]]:
    """The object that the parts become, and the blobs that nobody needs any more."""
    rows.find_upload(connection, upload.bucket, upload.key, upload.id, lock=True)
    parts = rows.find_parts(connection, upload.id)
    new = _assembled(upload, assemble(parts), modified)
    old = rows.place(connection, new, condition)
    _drop(connection, [upload.id])
    unused = {part.blob for part in parts} - {segment.blob for segment in new.segments}
    return new, unused | {segment.blob for segment in old}


def abort(connection: Connection, upload: Upload) -> list[str]:
    """The blobs of its parts."""
    rows.find_upload(connection, upload.bucket, upload.key, upload.id, lock=True)
    return _drop(connection, [upload.id])


def abort_all(connection: Connection, bucket: str) -> list[str]:
    found = connection.scalars(select(UPLOADS.c.id).where(UPLOADS.c.bucket == bucket).with_for_update())
    return _drop(connection, found.all())


def _assembled(upload: Upload, assembly: Assembly, modified: float) -> Object:
    return Object(
        bucket=upload.bucket,
        key=upload.key,
        size=sum(part.size for part in assembly.parts),
        etag=assembly.etag,
        modified=modified,
        meta=assembly.meta,
        segments=tuple(Segment(part.blob, part.size) for part in assembly.parts),
        upload=upload.id,
    )


def _drop(connection: Connection, uploads: Sequence[str]) -> list[str]:
    blobs: list[str] = []
    for upload in uploads:
        blobs += connection.scalars(select(PARTS.c.blob).where(PARTS.c.upload == upload))
        connection.execute(delete(PARTS).where(PARTS.c.upload == upload))
        connection.execute(delete(UPLOADS).where(UPLOADS.c.id == upload))
    return blobs
