"""Text that is read while a model makes it: a real model, unmodified SDK version 2 and boto3."""

from __future__ import annotations

import tarfile

import pytest

from tests.acceptance.running import Run, run_program
from tests.server_process import ServerProcess
from tests.unit.serving.folders import save_gpt2

pytestmark = [pytest.mark.slow, pytest.mark.timeout(240)]


@pytest.fixture(scope="module")
def run(shared_server: ServerProcess, tmp_path_factory: pytest.TempPathFactory) -> Run:
    folder = tmp_path_factory.mktemp("stream")
    user = folder / "user"

    def pack() -> None:
        with tarfile.open(user / "model.tar.gz", "w:gz") as file:
            for path in sorted(save_gpt2(folder / "model").iterdir()):
                file.add(path, arcname=path.name)

    return run_program("stream_v2.py", shared_server.home, user, prepare=pack)


def test_what_is_streamed_is_what_is_answered_whole(run: Run) -> None:
    report = run.report
    assert report["whole"].strip()
    assert report["bytes"].strip() == report["whole"].strip()
    assert len(report["pieces"]) > 1 and "".join(report["pieces"]) == report["bytes"]
    assert report["type"].startswith("text/plain")


def test_streams_that_are_left_take_no_place(run: Run) -> None:
    assert run.report["after"] == run.report["whole"]


def test_a_request_that_cannot_be_streamed_is_refused_before_the_stream(run: Run) -> None:
    status, message = run.report["error"]
    assert status == 400 and "one prompt expected" in message
