"""Objects on this machine's disk: blobs in a folder, their index in the database."""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

from sqlalchemy import Connection, Engine, delete, exists, insert, select, update
from sqlalchemy.exc import IntegrityError

from clary.errors import InternalFailure
from clary.objects import rows, uploads
from clary.objects.base import (
    Assembly,
    Bucket,
    BucketExists,
    BucketNotEmpty,
    Condition,
    Listing,
    Meta,
    NoSuchKey,
    Object,
    Opened,
    Part,
    Segment,
    Staged,
    Upload,
    unconditional,
)
from clary.objects.blobs import Blobs, StagedFile
from clary.objects.listing import Range, list_keys
from clary.objects.opened import OpenedObject
from clary.objects.tables import BUCKETS, OBJECTS, PARTS
from clary.store.sql import SqlStore
from clary.store.transactions import reading, writing

log = logging.getLogger("clary.objects")

_KEYS_PER_STATEMENT = 500
_OPEN_ATTEMPTS = 20


class DiskObjects:
    """See `base.Objects`. One process at a time may have a folder open for writing."""

    def __init__(self, engine: Engine, folder: Path, *, new_id: Callable[[int], str]) -> None:
        """`engine` from `store.database.open_engine`, its tables up to date; `new_id(n)` gives n random hex digits."""
        self._engine = engine
        self._blobs = Blobs(folder, new_id)
        index = SqlStore(engine).put_once("objects", {"index": new_id(32)})["index"]
        self._swept_here = self._blobs.claim(index)

    def create_bucket(self, bucket: Bucket) -> None:
        def work(connection: Connection) -> None:
            values = {"name": bucket.name, "created": bucket.created, "region": bucket.region}
            try:
                connection.execute(insert(BUCKETS).values(values))
            except IntegrityError as error:
                raise BucketExists(extra={"BucketName": bucket.name}) from error

        writing(self._engine, work)

    def bucket(self, name: str) -> Bucket | None:
        query = select(BUCKETS).where(BUCKETS.c.name == name)
        row = reading(self._engine, lambda connection: connection.execute(query).first())
        return None if row is None else rows.to_bucket(row)

    def buckets(self) -> Sequence[Bucket]:
        query = select(BUCKETS).order_by(BUCKETS.c.name)
        found = reading(self._engine, lambda connection: connection.execute(query).all())
        return [rows.to_bucket(row) for row in found]

    def delete_bucket(self, name: str) -> None:
        def work(connection: Connection) -> Sequence[str]:
            rows.require_bucket(connection, name)
            if connection.scalar(select(exists().where(OBJECTS.c.bucket == name))):
                raise BucketNotEmpty(extra={"BucketName": name})
            blobs = uploads.abort_all(connection, name)
            rows.insert_or_retry(connection, delete(BUCKETS).where(BUCKETS.c.name == name))
            return blobs

        self._blobs.discard(writing(self._engine, work))

    def stage(self) -> Staged:
        return self._blobs.stage()

    def stage_copy(self, source: Opened) -> Staged:
        segments = source.object.segments
        linked = self._blobs.stage_link(segments[0]) if len(segments) == 1 else None
        if linked is not None:
            return linked
        staged = self._blobs.stage()
        try:
            for chunk in source.chunks(0, source.object.size):
                staged.write(chunk)
        except BaseException:
            staged.__exit__(None, None, None)
            raise
        return staged

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
        file = _own(staged)
        rows.key_bytes(key)
        new = Object(bucket, key, staged.size, etag, modified, meta, (file.seal(),))

        def work(connection: Connection) -> tuple[Segment, ...]:
            old = rows.place(connection, new, condition)
            file.keep()
            return old

        self._discard(writing(self._engine, work))
        return new

    def head(self, bucket: str, key: str) -> Object:
        def work(connection: Connection) -> Object:
            found = rows.find_object(connection, bucket, rows.key_bytes(key))
            if found is None:
                rows.require_bucket(connection, bucket)
                raise NoSuchKey(extra={"Key": key})
            return found

        return reading(self._engine, work)

    def open(self, bucket: str, key: str) -> Opened:
        for _ in range(_OPEN_ATTEMPTS):
            found = self.head(bucket, key)
            opened = OpenedObject(found, self._blobs)
            # Between the look and the pin the key may have been written anew and these blobs be gone.
            if self._blobs.path(found.segments[0].blob).exists():
                return opened
            opened.close()
        raise InternalFailure(f"The content of {bucket}/{key} is missing on the server's disk.")

    def amend(self, bucket: str, key: str, change: Callable[[Meta], Meta]) -> Object:
        name = rows.key_bytes(key)

        def work(connection: Connection) -> None:
            found = rows.find_object(connection, bucket, name, lock=True)
            if found is not None:
                connection.execute(
                    update(OBJECTS)
                    .where(OBJECTS.c.bucket == bucket, OBJECTS.c.key == name)
                    .values(meta=rows.from_meta(change(found.meta)))
                )

        writing(self._engine, work)
        return self.head(bucket, key)

    def delete(self, bucket: str, key: str, *, condition: Condition = unconditional) -> bool:
        name = rows.key_bytes(key)

        def work(connection: Connection) -> tuple[Segment, ...]:
            old = rows.find_object(connection, bucket, name, lock=True)
            if old is None:
                rows.require_bucket(connection, bucket)
            condition(old)
            connection.execute(delete(OBJECTS).where(OBJECTS.c.bucket == bucket, OBJECTS.c.key == name))
            return old.segments if old else ()

        gone = writing(self._engine, work)
        self._discard(gone)
        return bool(gone)

    def delete_many(self, bucket: str, keys: Iterable[str]) -> None:
        names = sorted({rows.key_bytes(key) for key in keys})

        def work(connection: Connection) -> list[Segment]:
            rows.require_bucket(connection, bucket)
            gone: list[Segment] = []
            for start in range(0, len(names), _KEYS_PER_STATEMENT):
                these = OBJECTS.c.key.in_(names[start : start + _KEYS_PER_STATEMENT])
                where = (OBJECTS.c.bucket == bucket, these)
                locked = select(OBJECTS.c.segments).where(*where).order_by(OBJECTS.c.key).with_for_update()
                for text in connection.scalars(locked):
                    gone.extend(rows.to_segments(text))
                connection.execute(delete(OBJECTS).where(*where))
            return gone

        self._discard(writing(self._engine, work))

    def list(
        self, bucket: str, *, prefix: str = "", delimiter: str = "", after: str = "", limit: int = 1000
    ) -> Listing:
        columns = (OBJECTS.c.key, OBJECTS.c.size, OBJECTS.c.etag, OBJECTS.c.modified)

        def work(connection: Connection) -> Listing:
            rows.require_bucket(connection, bucket)

            def fetch(span: Range, count: int) -> Sequence[Any]:
                key = OBJECTS.c.key
                query = select(*columns).where(OBJECTS.c.bucket == bucket)
                query = query.where(key > span.start if span.behind else key >= span.start)
                if span.end is not None:
                    query = query.where(key < span.end)
                return connection.execute(query.order_by(key).limit(count)).all()

            return list_keys(fetch, prefix=prefix, delimiter=delimiter, after=after, limit=limit)

        return reading(self._engine, work)

    def create_upload(self, upload: Upload) -> None:
        writing(self._engine, lambda connection: uploads.add(connection, upload))

    def upload(self, bucket: str, key: str, upload: str) -> Upload:
        return reading(self._engine, lambda connection: rows.find_upload(connection, bucket, key, upload))

    def uploads(self, bucket: str, *, prefix: str = "") -> Sequence[Upload]:
        return reading(self._engine, lambda connection: uploads.of_bucket(connection, bucket, prefix))

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
        file = _own(staged)
        segment = file.seal()
        part = Part(number, segment.size, etag, modified, dict(checksums), segment.blob)

        def work(connection: Connection) -> Sequence[str]:
            old = uploads.add_part(connection, upload, part)
            file.keep()
            return old

        self._blobs.discard(writing(self._engine, work))
        return part

    def parts(self, upload: Upload) -> Sequence[Part]:
        return reading(self._engine, lambda connection: rows.find_parts(connection, upload.id))

    def complete_upload(
        self,
        upload: Upload,
        assemble: Callable[[Sequence[Part]], Assembly],
        *,
        modified: float,
        condition: Condition = unconditional,
    ) -> Object:
        def work(connection: Connection) -> tuple[Object, set[str]]:
            return uploads.complete(connection, upload, assemble, modified=modified, condition=condition)

        new, unused = writing(self._engine, work)
        self._blobs.discard(unused)
        return new

    def abort_upload(self, upload: Upload) -> None:
        gone = writing(self._engine, lambda connection: uploads.abort(connection, upload))
        self._blobs.discard(gone)

    def sweep(self) -> int:
        if not self._swept_here:
            # perhaps another --database-url was given by mistake: its index knows none of these objects
            log.warning("the folder of objects was made with another database: nothing is swept")
            return 0

        def work(connection: Connection) -> set[str]:
            used = set(connection.scalars(select(PARTS.c.blob)))
            for text in connection.scalars(select(OBJECTS.c.segments)):
                used.update(segment.blob for segment in rows.to_segments(text))
            return used

        return self._blobs.sweep(reading(self._engine, work))

    def _discard(self, segments: Iterable[Segment]) -> None:
        self._blobs.discard(segment.blob for segment in segments)


def _own(staged: Staged) -> StagedFile:
    if not isinstance(staged, StagedFile):
        raise TypeError("content must be staged by the object store that takes it")
    return staged
