"""Hosting with version 3 of the SageMaker SDK, unmodified, in a process of its own against a real server."""

from __future__ import annotations

import pytest

from tests.acceptance.models import classifier_archive
from tests.acceptance.running import Run, run_v3_program
from tests.server_process import ServerProcess

pytestmark = [pytest.mark.slow, pytest.mark.timeout(480)]


@pytest.fixture(scope="module")
def v3(shared_server: ServerProcess, tmp_path_factory: pytest.TempPathFactory) -> Run:
    folder = tmp_path_factory.mktemp("host-v3")
    archive = classifier_archive(folder)
    user = folder / "user"
    return run_v3_program(
        "host_v3.py", shared_server.home, user, prepare=lambda: archive.rename(user / "model.tar.gz")
    )


def test_a_model_builder_deploys_and_its_endpoint_answers(v3: Run) -> None:
    built = v3.report["built"]
    assert (built["status"], built["model"]) == ("InService", "built")
    (answer,) = built["answer"]
    assert answer["label"] in {"NEGATIVE", "POSITIVE"}


def test_a_deployment_shows_the_log_of_the_model_server(v3: Run) -> None:
    assert "clary: the model is loaded" in v3.output


def test_resources_are_made_read_listed_and_deleted(v3: Run) -> None:
    assert v3.report["plain"]["answer"] == v3.report["built"]["answer"]
    assert v3.report["plain"]["listed"] == ["plain"]
