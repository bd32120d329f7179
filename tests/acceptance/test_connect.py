"""clary.connect() in a program that loaded the SageMaker SDK before, over HTTP and HTTPS."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.acceptance.running import run_notebook
from tests.server_process import ServerProcess

pytestmark = [pytest.mark.slow, pytest.mark.timeout(300)]


@pytest.mark.parametrize("kind", ["server", "tls_server"])
def test_a_notebook_connects_trains_and_lets_go(
    kind: str, request: pytest.FixtureRequest, tmp_path: Path
) -> None:
    server: ServerProcess = request.getfixturevalue(kind)

    run = run_notebook("notebook.py", server.home, tmp_path / "user")

    connection = server.connection
    print("seconds from the job's end to the end of the wait:", run.report.pop("late_s"))
    assert run.report == {
        "role": [connection.role_arn] * 2,
        "bucket": [connection.bucket] * 2,
        "status": "Completed",
        "jobs": 1,
        "restored": True,
    }
    assert "training  on 1 lines" in run.output
