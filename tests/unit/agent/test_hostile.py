"""Programs and archives that mean harm to the agent, which is not confined as they are."""

from __future__ import annotations

import errno
import os
import tarfile
from pathlib import Path
from typing import Any

import pytest

from clary.agent import contract, main
from clary.agent.checkpoints import Checkpoints
from clary.agent.contract import Channel, Outcome
from clary.agent.contract import Checkpoints as Wanted
from clary.agent.faults import ClientFault
from clary.agent.places import open_own
from clary.agent.s3 import S3
from clary.agent.unpack import unpack


@pytest.mark.parametrize(
    "make", ["os.mkfifo(place)", "os.mkdir(place)", "os.symlink('/etc/hostname', place)"]
)
def test_a_failure_file_that_is_no_file_holds_nobody(any_job: Any, make: str) -> None:
    base = "/opt/ml" if any_job.sandbox else str(any_job.ml)
    program = f"import os\nplace = {base!r} + '/output/failure'\n{make}\nraise ValueError('my own words')"
    outcome = any_job.run(any_job.script(program))
    assert "ValueError: my own words" in outcome.reason


def test_names_that_are_not_text_are_told_and_do_no_harm(job: Any) -> None:
    program = """
import os
for folder in (os.environ["SM_MODEL_DIR"], os.environ["SM_MODEL_DIR"] + "/../checkpoints"):
    open(os.fsencode(folder) + b"/\\xff", "w").write("odd")
    open(folder + "/plain", "w").write("plain")
"""
    outcome = job.run(job.script(program, checkpoints=Wanted("s3://bucket/ck"), compression="NONE"))
    assert outcome.status == "Completed", outcome
    saved = {key for key in job.s3.bucket if not key.startswith("code/")}
    assert saved == {"ck/plain", "out/job/output/model/plain"}
    said = [line for line in job.log() if line.startswith("clary: ")]
    assert len(said) == 2 and all("not UTF-8" in line for line in said)


def test_what_was_left_out_is_said_in_the_log(any_job: Any) -> None:
    program = "import os; os.symlink('/etc/hostname', os.environ['SM_MODEL_DIR'] + '/a\\nb')"
    assert any_job.run(any_job.script(program)).status == "Completed"
    assert any_job.log()[-1].startswith("clary: a\\nb in model links out of the folder")
    assert any_job.times() == sorted(any_job.times())


def test_an_output_folder_that_cannot_be_written_does_not_cost_the_model(job: Any) -> None:
    program = """
import os
out = os.environ["SM_OUTPUT_DIR"]
open(os.environ["SM_MODEL_DIR"] + "/weights", "w").write("w")
os.symlink("success", out + "/loop")
os.rename(out + "/loop", out + "/success")
"""
    assert job.run(job.script(program)).status == "Completed"
    assert job.s3.archive("out/job/output/model.tar.gz") == {"weights": b"w"}


@pytest.mark.parametrize("entry_point", ["../../victim", "{victim}", "link"])
def test_an_entry_point_is_a_file_of_the_code(job: Any, tmp_path: Path, entry_point: str) -> None:
    victim = tmp_path / "victim"
    job.folder.mkdir()
    for path in (victim, job.folder / "victim"):
        path.write_text("secret")
        path.chmod(0o600)
    plan = job.script("pass")
    plan.hyperparameters["sagemaker_program"] = entry_point.format(victim=victim)
    assert job.run(plan).status == "Failed"
    assert [path.stat().st_mode & 0o777 for path in (victim, job.folder / "victim")] == [0o600, 0o600]


def test_an_entry_point_with_an_endless_name_is_the_users_fault(job: Any) -> None:
    plan = job.script("pass")
    plan.hyperparameters["sagemaker_program"] = "x" * 300 + ".py"
    assert job.run(plan).reason.startswith("ClientError: The entry point 'xxx")


@pytest.mark.parametrize(
    "changes",
    [
        {"hyperparameters": {"sagemaker_program": "a.py", "sagemaker_submit_directory": "s3://bucket/"}},
        {"channels": [Channel("c", "s3://bucket", s3_data_type="ManifestFile")]},
    ],
)
def test_a_bucket_is_no_object(job: Any, changes: dict[str, Any]) -> None:
    reason = job.run(job.plan(**changes)).reason
    assert reason.startswith("ClientError: s3://bucket/ names a bucket: give the key of an object")


def test_an_archive_of_endless_folders_is_the_users_fault(tmp_path: Path) -> None:
    with tarfile.open(tmp_path / "x", "w") as tar:
        tar.addfile(tarfile.TarInfo("d/" * 2000 + "x"))
    (tmp_path / "to").mkdir()
    with pytest.raises(ClientFault, match=r"s3://b/k (holds|cannot)"):
        unpack(tmp_path / "x", tmp_path / "to", "s3://b/k")


def test_only_a_plain_file_is_opened(tmp_path: Path) -> None:
    tmp_path = tmp_path.resolve()
    (tmp_path / "file").write_text("mine")
    (tmp_path / "in").mkdir()
    (tmp_path / "in/file").write_text("mine, too")
    (tmp_path / "link").symlink_to("file")
    (tmp_path / "way").symlink_to("in")
    os.mkfifo(tmp_path / "pipe")
    with open_own(tmp_path / "in/file") as file:
        assert file.read() == b"mine, too"
    for name in ("link", "way/file", "pipe", "in", "none"):
        with pytest.raises(OSError):
            open_own(tmp_path / name)


def test_a_checkpoint_exchanged_for_a_link_is_not_copied(
    s3: Any, client: S3, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "secret").write_text("of the machine")
    folder, notes = tmp_path / "c", []
    kept = Checkpoints(client, "s3://bucket/ck", folder, notes.append)
    kept.restore(client)
    (folder / "a").write_text("a")
    looked = kept._scan()
    (folder / "a").unlink()
    (folder / "a").symlink_to(tmp_path / "secret")
    monkeypatch.setattr(kept, "_scan", lambda: looked)
    kept.finish()
    assert s3.bucket == {}
    assert notes == ["The checkpoint 'a' could not be read: Too many levels of symbolic links"]


def test_what_loads_code_is_loaded_inside_only(confined_job: Any) -> None:
    """bubblewrap itself starts outside: process 1 shows the environment that it started with."""
    program = """
import os
outer = open("/proc/1/environ", "rb").read()
print(b"LD_PRELOAD" in outer, b"GCONV_PATH" in outer, b"AWS_SECRET_ACCESS_KEY" in outer)
print(os.environ["LD_PRELOAD"], os.environ["GCONV_PATH"], os.environ["PLAIN"])
"""
    given = {"LD_PRELOAD": "libno.so", "GCONV_PATH": "/x", "PLAIN": "p"}
    assert confined_job.run(confined_job.script(program, environment=given)).status == "Completed"
    assert confined_job.log()[-2:] == ["False False True", "libno.so /x p"]


def test_no_program_takes_another_jobs_mark(any_job: Any) -> None:
    program = "import os; print(os.environ['CLARY_JOB'])"
    any_job.run(any_job.script(program, environment={"CLARY_JOB": "another"}))
    assert any_job.log() == [any_job.folder.name]


def test_a_job_that_filled_the_disk_makes_room_for_its_outcome(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    write, said = contract.write_outcome, Outcome("Failed", "Failed", 0.0, reason="my own words")
    (tmp_path / contract.ML / "model").mkdir(parents=True)
    (tmp_path / contract.ML / "model" / "big").write_text("big")

    def write_if_there_is_room(folder: Path, outcome: Outcome) -> None:
        if (folder / contract.ML).exists():
            raise OSError(errno.ENOSPC, "No space left on device")
        write(folder, outcome)

    monkeypatch.setattr(contract, "write_outcome", write_if_there_is_room)
    monkeypatch.setattr(main.time, "sleep", lambda _seconds: None)
    main._leave(tmp_path, said)
    left = contract.read_outcome(tmp_path)
    assert left is not None and left.reason == "my own words"
