"""Studies over boto3 against a real server, with real children."""

from __future__ import annotations

from tests.acceptance.studies import children, study, wait
from tests.server_process import ServerProcess


def test_a_random_study_runs_its_children_and_names_the_best(shared_server: ServerProcess) -> None:
    name = study(shared_server, jobs=4, parallel=2)
    described = wait(shared_server, name)
    print(described)
    assert described["HyperParameterTuningJobStatus"] == "Completed"
    found = children(shared_server, name)
    assert len(found) == 4
