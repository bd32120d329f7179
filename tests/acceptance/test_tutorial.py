"""The tutorial's commands, typed as they stand, after its installation."""

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

pytestmark = [pytest.mark.slow, pytest.mark.timeout(600)]

PAGE = Path(__file__).parents[2] / "docs/tutorial/first-job.md"
INSTALLATION = ("make setup", ". .venv/bin/activate")


@pytest.fixture
def environment(tmp_path):
    environment = {name: value for name, value in os.environ.items() if name != "HF_HUB_OFFLINE"}
    environment |= {
        "PATH": f"{Path(sys.executable).parent}{os.pathsep}{environment['PATH']}",
        "CLARY_HOME": str(tmp_path / "home"),
        "CLARY_PORT": "0",
    }
    yield environment
    subprocess.run(["clary", "down"], env=environment, capture_output=True, check=False)


def test_the_first_job(tmp_path, environment):
    lines = "".join(re.findall(r"```sh\n(.*?)```", PAGE.read_text("utf-8"), re.DOTALL)).splitlines()
    assert [line for line in lines if line.startswith(INSTALLATION)] == lines[:2]
    script = "\n".join(lines[2:])
    (tmp_path / "clone").mkdir()
    done = subprocess.run(
        ["bash", "-e", "-o", "pipefail", "-c", script],
        cwd=tmp_path / "clone",
        env=environment,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stdout
    for words in (
        "Training job completed",
        "epoch=11 loss=",
        "answer: [{'label': 'positive', 'score': 0.",
        "\n[{'label': 'positive', 'score': 0.",
        "argument --epochs: invalid int value: 'many'",
        "failed, as it should",
    ):
        assert words in done.stdout
    assert list((tmp_path / "clone").iterdir()) == []
