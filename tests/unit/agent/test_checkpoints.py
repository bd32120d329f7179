from __future__ import annotations

import time
from pathlib import Path
from typing import Any

import pytest

from clary.agent.checkpoints import Checkpoints
from clary.agent.faults import ClientFault
from clary.agent.s3 import S3


def eventually(condition: Any) -> None:
    for _ in range(500):
        if condition():
            return
        time.sleep(0.01)
    raise AssertionError("it never came")


def test_what_was_there_comes_back_and_changes_go_up_as_they_appear(
    s3: Any, client: S3, tmp_path: Path
) -> None:
    s3.bucket.update({"ck/old": b"1", "ck/deep/old": b"2", "ck2/other": b"3"})
    notes: list[str] = []
    kept = Checkpoints(client, "s3://bucket/ck", tmp_path / "c", notes.append, period_s=0.02)
    kept.restore(client)
    assert (tmp_path / "c/old").read_bytes() == b"1" and (tmp_path / "c/deep/old").read_bytes() == b"2"
    kept.start()
    (tmp_path / "c/new").write_bytes(b"new")
    (tmp_path / "c/old").unlink()
    eventually(lambda: s3.bucket.get("ck/new") == b"new" and "ck/old" not in s3.bucket)
    (tmp_path / "c/new").write_bytes(b"newer")
    eventually(lambda: s3.bucket.get("ck/new") == b"newer")
    (tmp_path / "c/last").write_bytes(b"last")
    kept.finish()
    assert s3.bucket == {"ck/new": b"newer", "ck/deep/old": b"2", "ck/last": b"last", "ck2/other": b"3"}
    assert ("PUT", "/bucket/ck/deep/old") not in s3.requests
    assert notes == []


def test_a_file_that_is_still_growing_waits_for_the_end(s3: Any, client: S3, tmp_path: Path) -> None:
    kept = Checkpoints(client, "s3://bucket/ck/", tmp_path, lambda text: None, period_s=0.05)
    kept.restore(client)
    kept.start()
    with open(tmp_path / "grows", "wb", buffering=0) as file:
        for _ in range(40):
            file.write(b"x")
            time.sleep(0.01)
    kept.finish()
    assert s3.bucket["ck/grows"] == b"x" * 40


def test_trouble_in_between_is_noted_and_made_good_at_the_end(s3: Any, client: S3, tmp_path: Path) -> None:
    notes: list[str] = []
    kept = Checkpoints(client, "s3://bucket/ck", tmp_path, notes.append, period_s=0.02)
    kept.restore(client)
    s3.failures[:] = [403]
    (tmp_path / "a").write_bytes(b"a")
    kept.start()
    eventually(lambda: s3.failures == [] and notes)
    kept.finish()
    assert s3.bucket == {"ck/a": b"a"}
    assert "s3://bucket/ck/a" in notes[0]


def test_a_key_that_leaves_the_folder_is_refused(s3: Any, client: S3, tmp_path: Path) -> None:
    s3.bucket["ck/../../evil"] = b"x"
    with pytest.raises(ClientFault, match="CheckpointConfig cannot become a file"):
        Checkpoints(client, "s3://bucket/ck", tmp_path, lambda text: None).restore(client)


def test_a_path_longer_than_a_key_keeps_no_other_file_from_being_copied(
    s3: Any, client: S3, tmp_path: Path
) -> None:
    kept = Checkpoints(client, "s3://bucket/ck", tmp_path / "c", lambda text: None)
    kept.restore(client)
    deep = tmp_path / "c" / "/".join(["d" * 200] * 5)
    deep.mkdir(parents=True)
    (deep / ("e" * 100)).write_bytes(b"long")
    (tmp_path / "c/later").write_bytes(b"x")
    with pytest.raises(ClientFault, match=r"^1 of the .* at most 1,024 bytes: shorten the path of 'eee"):
        kept.finish()
    assert s3.bucket == {"ck/later": b"x"}
    (deep / ("e" * 100)).unlink()
    kept.finish()
