"""The laws of objects/base.py, with the index in each database."""

from __future__ import annotations

import os
import resource
import secrets
import threading
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import inspect, select

from clary.errors import S3Fault
from clary.objects import blobs as blobs_module
from clary.objects.base import (
    Assembly,
    Bucket,
    BucketExists,
    BucketNotEmpty,
    KeyTooLong,
    Meta,
    NoSuchBucket,
    NoSuchKey,
    NoSuchUpload,
    Object,
    OutOfSpace,
    Part,
    Upload,
)
from clary.objects.blobs import SegmentStream
from clary.objects.disk import DiskObjects
from clary.objects.tables import METADATA, OBJECTS
from clary.store.database import open_engine, upgrade
from clary.store.transactions import reading
from clary.wire.http import FileBody

B = "bucket"


@pytest.fixture(params=["sqlite", "postgresql"])
def engine(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Any]:
    url = f"sqlite:///{tmp_path / 'clary.db'}"
    if request.param == "postgresql":
        url = request.getfixturevalue("postgres_database")
    opened = open_engine(url)
    upgrade(opened)
    yield opened
    opened.dispose()


@pytest.fixture
def objects(engine: Any, tmp_path: Path) -> DiskObjects:
    made = DiskObjects(engine, tmp_path / "objects", new_id=lambda n: secrets.token_hex(n // 2))
    made.create_bucket(Bucket(B, 1.0))
    return made


def put(objects: DiskObjects, key: str, data: bytes = b"data", bucket: str = B, **given: Any) -> Object:
    values = {"etag": f"etag-{len(data)}", "modified": 5.0, "meta": Meta(), **given}
    with objects.stage() as staged:
        staged.write(data)
        return objects.put(bucket, key, staged, **values)


def content(objects: DiskObjects, key: str, bucket: str = B) -> bytes:
    with objects.open(bucket, key) as opened:
        return b"".join(opened.chunks(0, opened.object.size))


def sent(body: FileBody | Iterator[bytes]) -> bytes:
    if not isinstance(body, FileBody):
        return b"".join(body)
    try:
        return os.pread(body.fd, body.length, body.offset)
    finally:
        os.close(body.fd)


def files(tmp_path: Path) -> list[Path]:
    return [path for path in (tmp_path / "objects").glob("??/*") if path.is_file()]


def keys(objects: DiskObjects, **given: Any) -> list[str]:
    return [entry.key for entry in objects.list(B, **given).entries]


def begin(objects: DiskObjects, key: str = "big", number: int = 1) -> Upload:
    upload = Upload(f"upload-{number}", B, key, float(number), Meta({"ContentType": "x/y"}))
    objects.create_upload(upload)
    return upload


def add_part(objects: DiskObjects, upload: Upload, number: int, data: bytes) -> Part:
    with objects.stage() as staged:
        staged.write(data)
        return objects.put_part(
            upload, number, staged, etag=f"p{number}", modified=7.0, checksums={"crc32": "AA=="}
        )


def every_part(parts: Sequence[Part]) -> Assembly:
    return Assembly(parts, f"all-{len(parts)}", Meta({"ContentType": "x/y"}))


def fail(_: Any) -> Any:
    raise S3Fault("no", code="Refused")


# --- tables


def test_migrations_make_exactly_the_declared_tables(engine: Any) -> None:
    found = inspect(engine)
    for table in METADATA.sorted_tables:
        columns = {column["name"]: column for column in found.get_columns(table.name)}
        assert set(columns) == set(table.columns.keys())
        for column in table.columns:
            assert columns[column.name]["nullable"] == column.nullable
            declared = column.type.compile(engine.dialect).replace(' COLLATE "C"', "")
            actual = columns[column.name]["type"].compile(engine.dialect).replace(' COLLATE "C"', "")
            assert actual == declared
        assert found.get_pk_constraint(table.name)["constrained_columns"] == [
            c.name for c in table.primary_key
        ]
        targets = {
            (key["constrained_columns"][0], key["referred_table"])
            for key in found.get_foreign_keys(table.name)
        }
        assert targets == {(key.parent.name, key.column.table.name) for key in table.foreign_keys}
        indexes = {index["name"]: index["column_names"] for index in found.get_indexes(table.name)}
        assert indexes == {index.name: [c.name for c in index.columns] for index in table.indexes}


# --- buckets


def test_buckets_are_made_once_and_listed_by_name(objects: DiskObjects) -> None:
    objects.create_bucket(Bucket("a-first", 2.5, "eu-west-1"))
    assert objects.buckets() == [Bucket("a-first", 2.5, "eu-west-1"), Bucket(B, 1.0)]
    with pytest.raises(BucketExists):
        objects.create_bucket(Bucket(B, 9.0, "x"))
    assert objects.bucket(B) == Bucket(B, 1.0)
    assert objects.bucket("other") is None


def test_a_bucket_is_deleted_only_when_empty(objects: DiskObjects, tmp_path: Path) -> None:
    put(objects, "k")
    with pytest.raises(BucketNotEmpty):
        objects.delete_bucket(B)
    objects.delete(B, "k")
    add_part(objects, begin(objects), 1, b"x")
    objects.delete_bucket(B)
    assert objects.buckets() == []
    assert files(tmp_path) == []
    with pytest.raises(NoSuchBucket):
        objects.delete_bucket(B)


def test_every_method_tells_a_missing_bucket(objects: DiskObjects, tmp_path: Path) -> None:
    missing = Upload("u", "none", "k", 1.0, Meta())
    for call in (
        lambda: put(objects, "k", bucket="none"),
        lambda: objects.head("none", "k"),
        lambda: objects.open("none", "k"),
        lambda: objects.delete("none", "k"),
        lambda: objects.delete_many("none", ["k"]),
        lambda: objects.list("none"),
        lambda: objects.amend("none", "k", lambda meta: meta),
        lambda: objects.create_upload(missing),
        lambda: objects.uploads("none"),
        lambda: objects.upload("none", "k", "u"),
        lambda: add_part(objects, missing, 1, b"x"),
        lambda: objects.complete_upload(missing, every_part, modified=1.0),
        lambda: objects.abort_upload(missing),
    ):
        with pytest.raises(NoSuchBucket):
            call()
    assert files(tmp_path) == []


# --- objects


def test_an_object_comes_back_as_it_was_put(objects: DiskObjects) -> None:
    meta = Meta({"Metadata": {"a": "ü"}, "ContentType": "t/x"}, {"tag": "v"}, {"crc32": "AAAA"}, "COMPOSITE")
    made = put(objects, "k", b"hello", meta=meta, modified=12.75)
    assert objects.head(B, "k") == made
    assert (made.size, made.etag, made.modified, made.meta, made.upload) == (5, "etag-5", 12.75, meta, "")
    assert content(objects, "k") == b"hello"


def test_an_empty_object(objects: DiskObjects) -> None:
    put(objects, "empty", b"")
    assert content(objects, "empty") == b""
    with objects.open(B, "empty") as opened:
        assert sent(opened.body(0, 0)) == b""


ODD_KEYS = [
    "a",
    "a/b",
    "a/",
    "/",
    "//",
    "/a",
    "..",
    "../../etc/passwd",
    "./x",
    "sp ace+plus%41",
    "ünïcödé/模型/🎈",
    "nul\x00\x01\x1f\x7f",
    "\uffff",
    "😀",
    "k" * 1024,
    "\\'\";--%_*",
]


def test_any_key_is_just_a_name(objects: DiskObjects, tmp_path: Path) -> None:
    for key in ODD_KEYS:
        put(objects, key, key.encode())
    assert [content(objects, key) for key in ODD_KEYS] == [key.encode() for key in ODD_KEYS]
    # by bytes, not by UTF-16 and not by the locale
    assert keys(objects) == sorted(ODD_KEYS, key=str.encode)
    for key in ODD_KEYS:
        assert objects.delete(B, key)
    assert keys(objects) == []
    assert files(tmp_path) == []


def test_a_key_has_at_most_1024_bytes(objects: DiskObjects, tmp_path: Path) -> None:
    for key in ("k" * 1025, "ü" * 513):
        with pytest.raises(KeyTooLong):
            put(objects, key)
    put(objects, "ü" * 512)
    assert len(files(tmp_path)) == 1


def test_missing_keys(objects: DiskObjects) -> None:
    for call in (objects.head, objects.open):
        with pytest.raises(NoSuchKey) as caught:
            call(B, "none")
        assert caught.value.extra == {"Key": "none"}
    assert objects.delete(B, "none") is False


def test_an_overwrite_replaces_all_and_frees_the_old_content(objects: DiskObjects, tmp_path: Path) -> None:
    put(objects, "k", b"old", meta=Meta({"ContentType": "a"}, {"t": "1"}))
    put(objects, "k", b"newer", meta=Meta({"ContentType": "b"}))
    assert objects.head(B, "k").meta == Meta({"ContentType": "b"})
    assert content(objects, "k") == b"newer"
    assert len(files(tmp_path)) == 1


def test_a_reader_is_not_disturbed_by_overwrite_or_delete(objects: DiskObjects, tmp_path: Path) -> None:
    put(objects, "k", b"old content")
    with objects.open(B, "k") as opened:
        early = opened.body(0, 11)
        put(objects, "k", b"new")
        late = opened.body(4, 7)
        objects.delete(B, "k")
        chunks = opened.chunks(0, 3)
    assert sent(early) == b"old content"
    assert sent(late) == b"content"
    assert b"".join(chunks) == b"old"
    assert files(tmp_path) == []


def test_what_is_staged_is_seen_only_when_put(objects: DiskObjects, tmp_path: Path) -> None:
    with objects.stage() as staged:
        staged.write(b"abc")
        assert staged.size == 3
        assert keys(objects) == []
    assert files(tmp_path) == []
    with pytest.raises(S3Fault), objects.stage() as staged:
        staged.write(b"abc")
        fail(None)
    assert files(tmp_path) == []


def test_a_condition_sees_the_current_object_and_can_refuse(objects: DiskObjects, tmp_path: Path) -> None:
    seen: list[Object | None] = []
    put(objects, "k", b"1", condition=seen.append)
    first = objects.head(B, "k")
    put(objects, "k", b"22", condition=seen.append)
    assert seen == [None, first]
    with pytest.raises(S3Fault, match="no"):
        put(objects, "k", b"333", condition=fail)
    with pytest.raises(S3Fault, match="no"):
        objects.delete(B, "k", condition=fail)
    assert content(objects, "k") == b"22"
    assert len(files(tmp_path)) == 1


def test_one_of_many_creators_wins(objects: DiskObjects, tmp_path: Path) -> None:
    def only_new(current: Object | None) -> None:
        if current is not None:
            fail(current)

    barrier = threading.Barrier(8)

    def race(number: int) -> bool:
        barrier.wait(30)
        try:
            put(objects, "k", bytes([number]) * 1000, condition=only_new)
        except S3Fault:
            return False
        return True

    with ThreadPoolExecutor(8) as pool:
        won = list(pool.map(race, range(8)))
    assert won.count(True) == 1
    assert content(objects, "k") == bytes([won.index(True)]) * 1000
    assert len(files(tmp_path)) == 1


def test_writers_readers_and_deleters_of_one_key_never_mix(objects: DiskObjects, tmp_path: Path) -> None:
    put(objects, "k", b"0" * 5000)

    def write(number: int) -> None:
        for turn in range(10):
            size = 1000 + number * 100 + turn
            put(objects, "k", str(number).encode() * size, meta=Meta({"Metadata": {"n": str(number)}}))

    def read(_: int) -> None:
        for _turn in range(25):
            with objects.open(B, "k") as opened:
                data = b"".join(opened.chunks(0, opened.object.size))
                assert len(set(data)) == 1
                assert len(data) == opened.object.size
                assert opened.object.meta.headers.get("Metadata", {"n": "0"})["n"] == data[:1].decode()

    with ThreadPoolExecutor(8) as pool:
        for done in [pool.submit(write, n) for n in range(4)] + [pool.submit(read, n) for n in range(4)]:
            done.result(120)
    assert len(files(tmp_path)) == 1


def test_amend_changes_the_meta_alone(objects: DiskObjects) -> None:
    made = put(objects, "k", meta=Meta({"ContentType": "a"}))
    amended = objects.amend(B, "k", lambda meta: replace(meta, tags={"x": "y"}))
    assert amended == replace(made, meta=Meta({"ContentType": "a"}, {"x": "y"})) == objects.head(B, "k")
    with pytest.raises(NoSuchKey):
        objects.amend(B, "none", lambda meta: meta)


def test_delete_many(objects: DiskObjects, tmp_path: Path) -> None:
    for number in range(12):
        put(objects, f"k{number:02}")
    objects.delete_many(B, [*(f"k{number:02}" for number in range(10)), "none", "k01"])
    assert keys(objects) == ["k10", "k11"]
    assert len(files(tmp_path)) == 2
    objects.delete_many(B, [])


def test_a_copy_lives_on_by_itself(objects: DiskObjects, tmp_path: Path) -> None:
    put(objects, "a", b"content")
    with objects.open(B, "a") as source, objects.stage_copy(source) as staged:
        assert staged.size == 7
        objects.put(B, "b", staged, etag="e", modified=1.0, meta=Meta())
    objects.delete(B, "a")
    assert content(objects, "b") == b"content"
    with objects.open(B, "b") as source, objects.stage_copy(source):
        assert len(files(tmp_path)) == 2
    assert len(files(tmp_path)) == 1


# --- listing


def test_listing_by_prefix_delimiter_and_page(objects: DiskObjects) -> None:
    for key in ("a", "b/1", "b/2", "b/c/3", "b0", "d//x", "d/y", "é/1", "é/2", "z"):
        put(objects, key)
    whole = objects.list(B, delimiter="/")
    assert [entry.key for entry in whole.entries] == ["a", "b0", "z"]
    assert list(whole.prefixes) == ["b/", "d/", "é/"]
    assert whole.next is None
    inner = objects.list(B, prefix="b/", delimiter="/")
    assert ([entry.key for entry in inner.entries], list(inner.prefixes)) == (["b/1", "b/2"], ["b/c/"])
    assert list(objects.list(B, prefix="d/", delimiter="/").prefixes) == ["d//"]
    assert keys(objects, prefix="b") == ["b/1", "b/2", "b/c/3", "b0"]
    assert keys(objects, after="b/2", limit=2) == ["b/c/3", "b0"]
    assert objects.list(B, limit=0).next is None
    assert list(objects.list(B, delimiter="/c").prefixes) == ["b/c"]


@pytest.mark.parametrize("delimiter", ["", "/", "1"])
@pytest.mark.parametrize("limit", [1, 2, 3, 7, 1000])
def test_pages_add_up_to_what_a_simple_walk_gives(objects: DiskObjects, delimiter: str, limit: int) -> None:
    names = [f"{a}{b}{c}" for a in ("", "p/", "q1/") for b in ("", "1/", "2") for c in ("x", "y/z", "/")]
    for name in names:
        put(objects, name)
    for prefix in ("", "p", "p/", "q1/2"):
        expected = simple_listing(names, prefix, delimiter)
        found, after = [], ""
        while True:
            page = objects.list(B, prefix=prefix, delimiter=delimiter, after=after, limit=limit)
            assert len(page.entries) + len(page.prefixes) <= limit
            found += [entry.key for entry in page.entries] + list(page.prefixes)
            if page.next is None:
                break
            after = page.next
        assert sorted(found) == expected


def simple_listing(names: list[str], prefix: str, delimiter: str) -> list[str]:
    found = set()
    for name in names:
        if name.startswith(prefix):
            rest = name[len(prefix) :]
            head, cut, _ = rest.partition(delimiter) if delimiter else (rest, "", "")
            found.add(prefix + head + cut)
    return sorted(found)


def test_a_delimiter_jumps_over_what_it_covers(objects: DiskObjects, engine: Any) -> None:
    row = {"size": 1, "etag": "e", "modified": 1.0, "upload": "", "meta": "{}", "segments": "x:1"}
    with engine.begin() as connection:
        rows = [{"bucket": B, "key": f"big{n % 3}/{n:06}".encode(), **row} for n in range(9000)]
        connection.execute(OBJECTS.insert(), rows)
    read: list[int] = []
    from sqlalchemy import event

    def count(*args: Any) -> None:
        read.append(1)

    event.listen(engine, "after_cursor_execute", count)
    try:
        listing = objects.list(B, delimiter="/")
    finally:
        event.remove(engine, "after_cursor_execute", count)
    assert list(listing.prefixes) == ["big0/", "big1/", "big2/"]
    assert len(read) < 10


# --- uploads


def test_parts_become_one_object_in_order(objects: DiskObjects, tmp_path: Path) -> None:
    upload = begin(objects)
    add_part(objects, upload, 3, b"ccc")
    add_part(objects, upload, 1, b"first try")
    add_part(objects, upload, 1, b"a")
    add_part(objects, upload, 2, b"bb")
    assert [(part.number, part.size, part.etag) for part in objects.parts(upload)] == [
        (1, 1, "p1"),
        (2, 2, "p2"),
        (3, 3, "p3"),
    ]
    assert objects.parts(upload)[0].checksums == {"crc32": "AA=="}
    assert keys(objects) == []
    done = objects.complete_upload(upload, every_part, modified=9.0)
    assert objects.head(B, "big") == done
    assert (done.size, done.etag, done.upload, done.modified) == (6, "all-3", upload.id, 9.0)
    assert content(objects, "big") == b"abbccc"
    assert len(files(tmp_path)) == 3
    with pytest.raises(NoSuchUpload):
        objects.upload(B, "big", upload.id)


@pytest.mark.parametrize(("offset", "length"), [(0, 6), (0, 1), (1, 2), (0, 2), (2, 3), (5, 1), (3, 0)])
def test_any_stretch_of_a_multipart_object(objects: DiskObjects, offset: int, length: int) -> None:
    upload = begin(objects)
    for number, data in enumerate((b"a", b"bb", b"", b"ccc"), start=1):
        add_part(objects, upload, number, data)
    objects.complete_upload(upload, every_part, modified=9.0)
    with objects.open(B, "big") as opened:
        body = opened.body(offset, length)
    objects.delete(B, "big")
    assert sent(body) == b"abbccc"[offset : offset + length]


def test_a_half_read_multipart_object_goes_when_its_reader_does(objects: DiskObjects, tmp_path: Path) -> None:
    upload = begin(objects)
    for number in (1, 2):
        add_part(objects, upload, number, b"x" * 10)
    objects.complete_upload(upload, every_part, modified=9.0)
    with objects.open(B, "big") as opened:
        body = opened.body(0, 20)
        never_read = opened.body(0, 20)
    assert isinstance(body, SegmentStream)
    assert isinstance(never_read, SegmentStream)
    next(body)
    objects.delete(B, "big")
    assert len(files(tmp_path)) == 2
    body.close()
    assert len(files(tmp_path)) == 2
    del never_read
    assert files(tmp_path) == []


def test_parts_not_chosen_are_dropped_and_old_content_too(objects: DiskObjects, tmp_path: Path) -> None:
    put(objects, "big", b"old")
    upload = begin(objects)
    for number in (1, 2, 3):
        add_part(objects, upload, number, str(number).encode())
    objects.complete_upload(upload, lambda parts: every_part([parts[0], parts[2]]), modified=9.0)
    assert content(objects, "big") == b"13"
    assert len(files(tmp_path)) == 2


def test_a_refused_completion_changes_nothing(objects: DiskObjects, tmp_path: Path) -> None:
    put(objects, "big", b"old")
    upload = begin(objects)
    add_part(objects, upload, 1, b"1")
    for given in ({"assemble": fail}, {"assemble": every_part, "condition": fail}):
        with pytest.raises(S3Fault, match="no"):
            objects.complete_upload(upload, **given, modified=9.0)  # type: ignore[arg-type]
    assert content(objects, "big") == b"old"
    assert len(objects.parts(upload)) == 1
    assert len(files(tmp_path)) == 2


def test_an_aborted_upload_leaves_nothing(objects: DiskObjects, tmp_path: Path) -> None:
    upload = begin(objects)
    add_part(objects, upload, 1, b"1")
    objects.abort_upload(upload)
    assert files(tmp_path) == []
    for call in (
        lambda: objects.abort_upload(upload),
        lambda: add_part(objects, upload, 2, b"2"),
        lambda: objects.complete_upload(upload, every_part, modified=9.0),
    ):
        with pytest.raises(NoSuchUpload):
            call()
    assert files(tmp_path) == []


def test_an_upload_is_known_by_its_key_too(objects: DiskObjects) -> None:
    upload = begin(objects)
    assert objects.upload(B, "big", upload.id) == upload
    with pytest.raises(NoSuchUpload):
        objects.upload(B, "other", upload.id)


def test_uploads_are_listed_by_key_then_time(objects: DiskObjects) -> None:
    for number, key in ((3, "b"), (2, "b"), (1, "é"), (4, "a")):
        begin(objects, key, number)
    assert [(upload.key, upload.id) for upload in objects.uploads(B)] == [
        ("a", "upload-4"),
        ("b", "upload-2"),
        ("b", "upload-3"),
        ("é", "upload-1"),
    ]
    assert [upload.key for upload in objects.uploads(B, prefix="b")] == ["b", "b"]


def test_parts_arrive_from_many_threads(objects: DiskObjects, tmp_path: Path) -> None:
    upload = begin(objects)
    with ThreadPoolExecutor(8) as pool:
        list(pool.map(lambda n: add_part(objects, upload, n, bytes([n]) * 100), range(1, 25)))
        list(pool.map(lambda n: add_part(objects, upload, 1, b"\x01" * 100), range(8)))
    objects.complete_upload(upload, every_part, modified=9.0)
    assert content(objects, "big") == b"".join(bytes([n]) * 100 for n in range(1, 25))
    assert len(files(tmp_path)) == 24


# --- what a crash leaves


def test_a_sweep_removes_what_nothing_refers_to(objects: DiskObjects, tmp_path: Path) -> None:
    put(objects, "k", b"kept")
    upload = begin(objects)
    add_part(objects, upload, 1, b"part")
    stray = tmp_path / "objects" / "ab" / "abcdef"
    stray.write_bytes(b"left by a crash")
    assert objects.sweep() == 1
    assert not stray.exists()
    assert content(objects, "k") == b"kept"
    objects.complete_upload(upload, every_part, modified=9.0)
    assert objects.sweep() == 0
    assert content(objects, "big") == b"part"


def test_a_sweep_spares_what_another_index_knows(objects: DiskObjects, engine: Any, tmp_path: Path) -> None:
    put(objects, "k", b"kept")
    other = open_engine(f"sqlite:///{tmp_path / 'other.db'}")
    upgrade(other)
    mistaken = DiskObjects(other, tmp_path / "objects", new_id=lambda n: secrets.token_hex(n // 2))
    assert mistaken.sweep() == 0
    other.dispose()
    assert content(objects, "k") == b"kept"
    assert objects.sweep() == 0


def test_everything_is_there_for_the_next_process(objects: DiskObjects, engine: Any, tmp_path: Path) -> None:
    made = put(objects, "k", b"kept")
    again = DiskObjects(engine, tmp_path / "objects", new_id=lambda n: secrets.token_hex(n // 2))
    assert again.sweep() == 0
    assert again.head(B, "k") == made
    assert content(again, "k") == b"kept"


def test_content_is_synced_before_the_index_speaks_of_it(
    objects: DiskObjects, engine: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    steps: list[str] = []
    real = os.fsync

    def fsync(fd: int) -> None:
        rows = reading(engine, lambda connection: connection.execute(select(OBJECTS.c.key)).all())
        steps.append("indexed" if rows else "dir" if os.path.isdir(f"/proc/self/fd/{fd}") else "file")  # noqa: PTH112
        real(fd)

    monkeypatch.setattr(blobs_module.os, "fsync", fsync)
    put(objects, "k", b"x")
    assert steps == ["file", "dir"]


def test_a_full_disk_is_told_and_leaves_nothing(objects: DiskObjects, tmp_path: Path) -> None:
    put(objects, "k", b"old")
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (8 << 20, hard))
    try:
        with pytest.raises(OutOfSpace):
            put(objects, "k", bytes(9 << 20))
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))
    assert content(objects, "k") == b"old"
    assert len(files(tmp_path)) == 1
