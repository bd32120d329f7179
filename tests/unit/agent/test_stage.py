from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from clary.agent.contract import Channel
from clary.agent.faults import ClientFault, Interrupted
from clary.agent.places import Places
from clary.agent.s3 import S3
from clary.agent.stage import bring_channels, relative_path, write_configuration


def bring(job: Any, *channels: Channel, **changes: Any) -> Path:
    plan = job.plan(channels=channels, **changes)
    places = Places(job.folder, confined=False)
    places.make("input/config")
    with S3(plan.access) as client:
        bring_channels(client, plan, places)
    return places.ml / "input/data"


def files(folder: Path) -> dict[str, bytes]:
    return {
        path.relative_to(folder).as_posix(): path.read_bytes() for path in folder.rglob("*") if path.is_file()
    }


@pytest.mark.parametrize(
    ("key", "prefix", "path"),
    [
        ("data/train/a", "data/train", "a"),
        ("data/train/a", "data/train/", "a"),
        ("data/train/d/a", "data/train", "d/a"),
        ("data/train2/a", "data/train", "train2/a"),
        ("data/train.csv", "data/train.csv", "train.csv"),
        ("data/train.csv", "data/tr", "train.csv"),
        ("train.csv", "train.csv", "train.csv"),
        ("d/a", "", "d/a"),
        ("/d/a", "/d", "a"),
    ],
)
def test_an_object_lands_below_its_prefix(key: str, prefix: str, path: str) -> None:
    assert relative_path(key, prefix) == path


def test_every_key_with_the_prefix_comes_and_folder_markers_become_folders(job: Any) -> None:
    job.s3.bucket.update(
        {"d/t/": b"", "d/t/a": b"1", "d/t/x/b": b"2", "d/t/empty/": b"", "d/t2/c": b"3", "d/u": b"4"}
    )
    folder = bring(job, Channel("train", "s3://bucket/d/t"), Channel("one", "s3://bucket/d/u"))
    assert files(folder) == {"train/a": b"1", "train/x/b": b"2", "train/t2/c": b"3", "one/u": b"4"}
    assert (folder / "train/empty").is_dir()


def test_many_objects_come_over_several_connections_in_spite_of_trouble(job: Any) -> None:
    wanted = {f"{number}/file": str(number).encode() for number in range(40)}
    job.s3.bucket.update({f"d/{path}": data for path, data in wanted.items()})
    job.s3.failures[:] = [None, 503, "drop", 500, "cut"]
    assert files(bring(job, Channel("c", "s3://bucket/d/"))) == {
        f"c/{path}": data for path, data in wanted.items()
    }


def test_a_manifest_names_prefix_and_keys(job: Any) -> None:
    job.s3.bucket.update({"m": json.dumps([{"prefix": "s3://bucket/d/"}, "a", "x/b"]).encode()})
    job.s3.bucket.update({"d/a": b"1", "d/x/b": b"2", "d/c": b"3"})
    assert files(bring(job, Channel("c", "s3://bucket/m", "ManifestFile"))) == {"c/a": b"1", "c/x/b": b"2"}


@pytest.mark.parametrize(
    "text",
    ["", "{}", "[]", '["a"]', '[{"prefix": ""}]', '[{"prefix": "s3://bucket/"}, 1]', "\x00", "[" * 100_000],
)
def test_a_broken_manifest_is_refused(job: Any, text: str) -> None:
    job.s3.bucket["m"] = text.encode()
    with pytest.raises(ClientFault, match="manifest s3://bucket/m of channel 'c' is not valid"):
        bring(job, Channel("c", "s3://bucket/m", "ManifestFile"))


@pytest.mark.parametrize("key", ["d/../../../etc/x", "d//x", "d/./x", "d/a\0b", "d/..", "d/a/../b"])
def test_a_key_that_is_no_path_is_refused(job: Any, key: str) -> None:
    job.s3.bucket["m"] = json.dumps([{"prefix": "s3://bucket/d/"}, key.removeprefix("d/")]).encode()
    job.s3.bucket[key] = b"evil"
    with pytest.raises(ClientFault, match="cannot become a file"):
        bring(job, Channel("c", "s3://bucket/m", "ManifestFile"))
    assert not files(job.ml / "input/data")


def test_a_file_that_is_also_a_folder_is_refused_with_both_names(job: Any) -> None:
    job.s3.bucket.update({"d/a": b"1", "d/a/b": b"2"})
    with pytest.raises(ClientFault, match="s3://bucket/d/a and s3://bucket/d/a/b of channel 'c' cannot both"):
        bring(job, Channel("c", "s3://bucket/d/"))


def test_nothing_under_a_prefix_is_the_users_fault(job: Any) -> None:
    with pytest.raises(ClientFault, match='No S3 objects found under S3 URL "s3://bucket/none"'):
        bring(job, Channel("c", "s3://bucket/none"))


def test_sharded_channels_give_each_host_its_part(job: Any) -> None:
    job.s3.bucket.update({f"d/{name}": b"" for name in "abcde"})
    channel = Channel("c", "s3://bucket/d/", distribution="ShardedByS3Key")
    hosts = ["algo-1", "algo-2"]
    assert set(files(bring(job, channel, hosts=hosts, host="algo-2"))) == {"c/b", "c/d"}


def test_a_name_the_file_system_cannot_hold_is_refused(job: Any) -> None:
    job.s3.bucket["d/" + "x" * 300] = b""
    with pytest.raises(ClientFault, match="File name too long"):
        bring(job, Channel("c", "s3://bucket/d/"))


def test_a_stop_ends_the_download(job: Any, tmp_path: Path) -> None:
    job.s3.bucket["d/a"] = b"1"
    plan = job.plan(channels=[Channel("c", "s3://bucket/d/")])
    with S3(plan.access, interrupted=lambda: True) as client, pytest.raises(Interrupted):
        bring_channels(client, plan, Places(tmp_path, confined=False))


def test_the_configuration_files_are_sagemakers(job: Any) -> None:
    channels = [Channel("a", "s3://bucket/x"), Channel("b", "s3://bucket/y", content_type="text/csv")]
    plan = job.plan(
        channels=channels, hyperparameters={"lr": "5e-05", "n": '"x"'}, instance_type="ml.m5.large"
    )
    places = Places(job.folder, confined=False)
    places.make("input/config")
    write_configuration(plan, places)
    config = {path.name: json.loads(path.read_text()) for path in (places.ml / "input/config").iterdir()}
    entry = {
        "TrainingInputMode": "File",
        "S3DistributionType": "FullyReplicated",
        "RecordWrapperType": "None",
    }
    assert config == {
        "hyperparameters.json": {"lr": "5e-05", "n": '"x"'},
        "inputdataconfig.json": {"a": entry, "b": {**entry, "ContentType": "text/csv"}},
        "resourceconfig.json": {
            "current_host": "algo-1",
            "current_instance_type": "ml.m5.large",
            "current_group_name": "homogeneousCluster",
            "hosts": ["algo-1"],
            "instance_groups": [
                {
                    "instance_group_name": "homogeneousCluster",
                    "instance_type": "ml.m5.large",
                    "hosts": ["algo-1"],
                }
            ],
            "network_interface_name": "eth0",
        },
    }
