from __future__ import annotations

import gzip
import io
import tarfile

import pytest

from clary.client import archives
from clary.client.archives import file_digests


def archive(files, *, mtime=0, mode="w:gz"):
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode=mode) as tar:
        for name, content in files.items():
            member = tarfile.TarInfo(name)
            member.size, member.mtime = len(content), mtime
            tar.addfile(member, io.BytesIO(content))
    return buffer.getvalue()


def test_the_same_files_have_the_same_digests_whenever_they_were_packed():
    files = {"train.py": b"print(1)", "./requirements.txt": b"x"}
    first, second = (file_digests(archive(files, mtime=mtime)) for mtime in (1, 2))
    assert first == second
    assert sorted(first) == ["requirements.txt", "train.py"]
    assert file_digests(archive({**files, "train.py": b"print(2)"}))["train.py"] != first["train.py"]


def test_what_is_no_archive_has_no_files():
    assert file_digests(b"not a tar") == {}
    assert file_digests(archive({"a": b"x" * 3000})[:60]) == {}


@pytest.mark.parametrize("mode", ["w:gz", "w:xz", "w:bz2"])
def test_damage_anywhere_is_no_failure(mode):
    whole = archive({"a": bytes(range(256)) * 8, "b": b"b" * 5000}, mode=mode)
    for place in range(len(whole)):
        file_digests(whole[:place] + bytes([whole[place] ^ 0x55]) + whole[place + 1 :])


def test_an_archive_that_swells_is_left_alone(monkeypatch):
    monkeypatch.setattr(archives, "MOST_BYTES", 1000)
    assert file_digests(gzip.compress(gzip.decompress(archive({"bomb": b"\0" * 100_000})))) == {}
