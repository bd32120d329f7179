from __future__ import annotations

import os
import socket
import tarfile
from io import BytesIO
from pathlib import Path
from typing import Any

import pytest

from clary.agent.package import upload_folder
from clary.agent.s3 import S3, Location

PLACE = Location("bucket", "out/job/output")


@pytest.fixture
def model(tmp_path: Path) -> Path:
    folder = tmp_path / "ml/model"
    (folder / "deep/er").mkdir(parents=True)
    (folder / "empty").mkdir()
    (folder / "b").write_bytes(b"bb")
    (folder / "a").write_bytes(b"a" * 100_000)
    (folder / "deep/er/c").write_bytes(b"c")
    return folder


def upload(client: S3, folder: Path, compression: Any = "GZIP") -> tuple[str, list[str]]:
    notes: list[str] = []
    uri = upload_folder(
        client, folder, PLACE, "model", compression=compression, seen="/opt/ml/model", note=notes.append
    )
    return uri, notes


def members(s3: Any) -> list[tarfile.TarInfo]:
    with tarfile.open(fileobj=BytesIO(s3.bucket["out/job/output/model.tar.gz"])) as tar:
        return tar.getmembers()


def test_the_archive_has_relative_names_in_order_and_no_owner(s3: Any, client: S3, model: Path) -> None:
    uri, notes = upload(client, model)
    assert (uri, notes) == ("s3://bucket/out/job/output/model.tar.gz", [])
    found = members(s3)
    assert [entry.name for entry in found] == ["a", "b", "deep", "empty", "deep/er", "deep/er/c"]
    assert {(entry.uid, entry.uname) for entry in found} == {(0, "")}
    assert s3.archive("out/job/output/model.tar.gz") == {"a": b"a" * 100_000, "b": b"bb", "deep/er/c": b"c"}
    first = s3.bucket["out/job/output/model.tar.gz"]
    upload(client, model)
    assert s3.bucket["out/job/output/model.tar.gz"] == first


def test_links_inside_are_kept_and_all_else_that_is_no_file_is_noted(
    s3: Any, client: S3, model: Path
) -> None:
    (model / "best").symlink_to("deep/er")
    (model / "seen").symlink_to("/opt/ml/model/b")
    (model / "out").symlink_to("/etc/passwd")
    (model / "up").symlink_to("../../..")
    (model / "dangling").symlink_to("nothing")
    os.link(model / "b", model / "hard")
    os.mkfifo(model / "pipe")
    with socket.socket(socket.AF_UNIX) as listener:
        here = Path.cwd()
        os.chdir(model)
        try:
            listener.bind("socket")
        finally:
            os.chdir(here)
        _, notes = upload(client, model)
    found = {entry.name: entry for entry in members(s3)}
    assert found["best"].linkname == "deep/er" and found["seen"].linkname == "b"
    assert found["hard"].isreg() and found["b"].isreg()
    assert {note.split()[0] for note in notes} == {"out", "up", "dangling", "pipe", "socket"}
    assert not {"out", "up", "dangling", "pipe", "socket"} & found.keys()


def test_an_empty_model_is_an_empty_archive(s3: Any, client: S3, tmp_path: Path) -> None:
    upload(client, tmp_path)
    assert members(s3) == []


def test_without_compression_each_file_is_an_object(s3: Any, client: S3, model: Path) -> None:
    (model / "out").symlink_to("/etc/passwd")
    uri, notes = upload(client, model, "NONE")
    assert uri == "s3://bucket/out/job/output/model/"
    assert s3.bucket == {
        "out/job/output/model/a": b"a" * 100_000,
        "out/job/output/model/b": b"bb",
        "out/job/output/model/deep/er/c": b"c",
    }
    assert len(notes) == 1


def test_a_large_model_goes_up_in_parts(s3: Any, client: S3, tmp_path: Path) -> None:
    data = os.urandom(40 << 20)
    (tmp_path / "weights").write_bytes(data)
    upload(client, tmp_path)
    assert s3.archive("out/job/output/model.tar.gz") == {"weights": data}
    assert sum("partNumber" in path for _, path in s3.requests) == 3
