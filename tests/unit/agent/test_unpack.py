from __future__ import annotations

import io
import os
import tarfile
from pathlib import Path

import pytest

from clary.agent.faults import ClientFault
from clary.agent.unpack import unpack


def member(name: str, kind: bytes = tarfile.REGTYPE, link: str = "") -> tarfile.TarInfo:
    info = tarfile.TarInfo(name)
    info.type, info.linkname = kind, link
    return info


def archive(folder: Path, *members: tarfile.TarInfo) -> Path:
    with tarfile.open(folder / "a.tar.gz", "w:gz") as tar:
        for entry in members:
            tar.addfile(entry, io.BytesIO(b""))
    return folder / "a.tar.gz"


@pytest.fixture(params=["with filters", "without filters"], autouse=True)
def python_of_the_job(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> None:
    """Python got its extraction filters in 3.11.4."""
    if request.param == "without filters":
        monkeypatch.delattr(tarfile, "data_filter")
        monkeypatch.delattr(tarfile, "FilterError")


@pytest.mark.parametrize(
    "members",
    [
        [member("/etc/evil")],
        [member("../evil")],
        [member("a/../../evil")],
        [member("link", tarfile.SYMTYPE, "../outside"), member("link/evil")],
        [member("link", tarfile.SYMTYPE, "/etc")],
        [member("hard", tarfile.LNKTYPE, "../outside")],
        [member("device", tarfile.CHRTYPE)],
        [member("pipe", tarfile.FIFOTYPE)],
    ],
)
def test_a_hostile_archive_is_refused(tmp_path: Path, members: list[tarfile.TarInfo]) -> None:
    target = tmp_path / "deep/target"
    target.mkdir(parents=True)
    with pytest.raises(ClientFault, match=r"^s3://b/k "):
        unpack(archive(tmp_path, *members), target, "s3://b/k")
    assert not list(target.iterdir()) or {path.name for path in target.iterdir()} <= {"link"}
    assert {path.name for path in tmp_path.iterdir()} == {"deep", "a.tar.gz"}


def test_an_ordinary_archive_is_unpacked(tmp_path: Path) -> None:
    target = tmp_path / "target"
    target.mkdir()
    members = [
        member("d", tarfile.DIRTYPE),
        member("d/f"),
        member("./g"),
        *([member("l", tarfile.SYMTYPE, "d/f")] if hasattr(tarfile, "data_filter") else []),
    ]
    unpack(archive(tmp_path, *members), target, "x")
    found = {path.relative_to(target).as_posix() for path in target.rglob("*")}
    assert found - {"l"} == {"d", "d/f", "g"}
    assert len(found) == len(members)


@pytest.mark.parametrize("data", [b"", b"not a tar", b"\x1f\x8b\x08\x00broken"])
def test_what_is_no_archive_is_refused(tmp_path: Path, data: bytes) -> None:
    (tmp_path / "x").write_bytes(data)
    with pytest.raises(ClientFault, match="cannot be unpacked as a tar archive"):
        unpack(tmp_path / "x", tmp_path, "s3://b/k")


def test_an_archive_that_says_it_is_larger_than_the_disk_is_refused(tmp_path: Path) -> None:
    info = member("big")
    info.size = 1 << 55
    (tmp_path / "x").write_bytes(info.tobuf(tarfile.GNU_FORMAT) + b"\0" * 1024)
    with pytest.raises(ClientFault, match="too large to unpack"):
        unpack(tmp_path / "x", tmp_path, "s3://b/k")


@pytest.mark.parametrize("damage", ["none", "cut", "middle"])
def test_a_large_archive(tmp_path: Path, damage: str) -> None:
    """Unpacked by another library, where that can be had."""
    weights = os.urandom(9 << 20)
    with tarfile.open(tmp_path / "x", "w:gz", compresslevel=1) as tar:
        info = member("deep/weights")
        info.size = len(weights)
        tar.addfile(info, io.BytesIO(weights))
    data = bytearray((tmp_path / "x").read_bytes())
    if damage == "cut":
        del data[-(1 << 19) :]
    elif damage == "middle":
        data[1 << 20 : (1 << 20) + (1 << 17)] = b"\xff" * (1 << 17)
    (tmp_path / "x").write_bytes(data)
    target = tmp_path / "target"
    target.mkdir()
    if damage == "none":
        unpack(tmp_path / "x", target, "s3://b/k")
        assert (target / "deep/weights").read_bytes() == weights
        return
    with pytest.raises(ClientFault, match="s3://b/k cannot be unpacked as a tar archive: "):
        unpack(tmp_path / "x", target, "s3://b/k")
