"""S3 through the tools people use, over HTTP and HTTPS, each unmodified."""

from __future__ import annotations

import filecmp
import io
import random
import shutil
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.server_process import ServerProcess

MIB = 1 << 20


@pytest.fixture(scope="module", params=["http", "https"])
def place(
    request: pytest.FixtureRequest,
    tmp_path_factory: pytest.TempPathFactory,
    database_options: Callable[[], tuple[str, ...]],
) -> Iterator[ServerProcess]:
    tls = ("--tls",) if request.param == "https" else ()
    made = ServerProcess(tmp_path_factory.mktemp("server") / "home", options=(*tls, *database_options()))
    made.start()
    try:
        assert made.url.startswith(f"{request.param}://")
        yield made
    finally:
        made.stop()


@pytest.fixture
def tree(tmp_path: Path) -> Path:
    folder = tmp_path / "tree"
    random_bytes = random.Random(5).randbytes
    for name, size in (
        ("top.txt", 10),
        ("empty", 0),
        ("deep/er/file.bin", 100_000),
        ("sp ace/ünïcode+%.txt", 1000),
        ("big.bin", 17 * MIB + 3),
    ):
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(random_bytes(size))
    return folder


def same(left: Path, right: Path) -> bool:
    names = sorted(path.relative_to(left) for path in left.rglob("*") if path.is_file())
    others = sorted(path.relative_to(right) for path in right.rglob("*") if path.is_file())
    return names == others and all(filecmp.cmp(left / name, right / name, shallow=False) for name in names)


def aws(place: ServerProcess, tmp_path: Path, *words: str) -> str:
    program = shutil.which("aws") or str(Path(sys.prefix) / "sdk-v3" / "bin" / "aws")
    if not Path(program).exists():
        pytest.skip("the aws command is not installed")
    done = subprocess.run(
        [program, *words],
        env={**place.env(), "HOME": str(tmp_path), "AWS_PAGER": ""},
        capture_output=True,
        text=True,
        timeout=150,
    )
    assert done.returncode == 0, done.stderr + place.log
    return done.stdout


def test_aws_s3_sync(place: ServerProcess, tree: Path, tmp_path: Path) -> None:
    aws(place, tmp_path, "s3", "mb", "s3://cli-bucket")
    aws(place, tmp_path, "s3", "sync", str(tree), "s3://cli-bucket/tree", "--no-progress")
    assert aws(place, tmp_path, "s3", "sync", str(tree), "s3://cli-bucket/tree", "--no-progress") == ""
    aws(place, tmp_path, "s3", "sync", "s3://cli-bucket/tree", str(tmp_path / "back"), "--no-progress")
    assert same(tree, tmp_path / "back")
    if place.url.startswith("https"):
        return  # the transport matters to content; the rest was seen over HTTP
    (tree / "top.txt").unlink()
    gone = aws(place, tmp_path, "s3", "sync", str(tree), "s3://cli-bucket/tree", "--delete", "--no-progress")
    assert gone.split() == ["delete:", "s3://cli-bucket/tree/top.txt"]
    listed = aws(place, tmp_path, "s3", "ls", "s3://cli-bucket/tree/")
    names = [line.split(maxsplit=1 if "PRE " in line else 3)[-1] for line in listed.splitlines()]
    assert names == ["deep/", "sp ace/", "big.bin", "empty"]
    aws(
        place,
        tmp_path,
        "s3",
        "cp",
        "s3://cli-bucket/tree/big.bin",
        "s3://cli-bucket/copy.bin",
        "--no-progress",
    )
    aws(place, tmp_path, "s3", "rb", "s3://cli-bucket", "--force")
    assert "cli-bucket" not in aws(place, tmp_path, "s3", "ls")


def filesystem(place: ServerProcess) -> Any:
    import s3fs

    s3fs.S3FileSystem.clear_instance_cache()
    return s3fs.S3FileSystem(**storage_options(place))


def storage_options(place: ServerProcess) -> dict[str, Any]:
    bundle = place.connection.ca_bundle
    return {
        "key": place.access_key_id,
        "secret": place.secret_access_key,
        "client_kwargs": {
            "endpoint_url": place.url,
            "region_name": place.region,
            **({"verify": bundle} if bundle else {}),
        },
    }


def test_s3fs(place: ServerProcess, tree: Path, tmp_path: Path) -> None:
    files = filesystem(place)
    files.mkdir("fs-bucket")
    files.put(str(tree), "fs-bucket/tree", recursive=True)
    assert sorted(Path(name).name for name in files.ls("fs-bucket/tree")) == [
        "big.bin",
        "deep",
        "empty",
        "sp ace",
        "top.txt",
    ]
    assert files.find("fs-bucket/tree/sp ace") == ["fs-bucket/tree/sp ace/ünïcode+%.txt"]
    files.get("fs-bucket/tree", str(tmp_path / "back"), recursive=True)
    assert same(tree, tmp_path / "back")
    data = random.Random(6).randbytes(13 * MIB)
    with files.open("fs-bucket/written.bin", "wb", block_size=5 * MIB) as out:
        for start in range(0, len(data), MIB):
            out.write(data[start : start + MIB])
    with files.open("fs-bucket/written.bin", "rb") as source:
        source.seek(6 * MIB)
        assert source.read(100) == data[6 * MIB : 6 * MIB + 100]
    assert files.info("fs-bucket/written.bin")["size"] == len(data)
    files.mv("fs-bucket/written.bin", "fs-bucket/moved.bin")
    assert not files.exists("fs-bucket/written.bin")
    assert files.cat("fs-bucket/moved.bin") == data
    files.rm("fs-bucket", recursive=True)
    assert not files.exists("fs-bucket")


def test_datasets_saved_and_loaded(place: ServerProcess) -> None:
    datasets = pytest.importorskip("datasets")
    filesystem(place).mkdir("data-bucket")
    made = datasets.Dataset.from_dict(
        {"text": [f"säntence {n}" for n in range(500)], "label": [n % 2 for n in range(500)]}
    )
    made.save_to_disk("s3://data-bucket/set", storage_options=storage_options(place))
    again = datasets.load_from_disk("s3://data-bucket/set", storage_options=storage_options(place))
    assert again.to_dict() == made.to_dict()


def test_boto3_transfer(place: ServerProcess) -> None:
    s3 = place.client("s3")
    s3.create_bucket(Bucket="transfer-bucket")
    data = random.Random(7).randbytes(20 * MIB + 1)
    s3.upload_fileobj(io.BytesIO(data), "transfer-bucket", "big")
    target = io.BytesIO()
    s3.download_fileobj("transfer-bucket", "big", target)
    assert target.getvalue() == data
    s3.put_object(Bucket="transfer-bucket", Key="small", Body=b"x" * 70_000)
    small = s3.head_object(Bucket="transfer-bucket", Key="small", ChecksumMode="ENABLED")
    assert (small["ContentLength"], small["ChecksumType"]) == (70_000, "FULL_OBJECT")
    assert "ContentEncoding" not in small
