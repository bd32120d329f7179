"""`clary tune` as a person uses it, on a study that a real server ran."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest

from tests.acceptance.studies import children, study, wait
from tests.server_process import ServerProcess

SCRIPT = """
import argparse
parser = argparse.ArgumentParser()
parser.add_argument("--rate", type=float)
parser.add_argument("--kind")
given, _ = parser.parse_known_args()
if given.rate > 0.9: raise ValueError("the rate is [too] high")
print("f1=", 1 - (given.rate - 0.3) ** 2 - (given.kind == "b"), flush=True)
"""
RANGES = {
    "ContinuousParameterRanges": [{"Name": "rate", "MinValue": "0", "MaxValue": "1"}],
    "CategoricalParameterRanges": [{"Name": "kind", "Values": ['"a"', '"b"']}],
}
NAME = "told"


def clary(server: ServerProcess, *words: str) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "clary.cli.main", "tune", *words, "--home", str(server.home)]
    return subprocess.run(command, capture_output=True, text=True, timeout=120, check=False)


@pytest.fixture(scope="module")
def finished(shared_server: ServerProcess) -> ServerProcess:
    study(shared_server, SCRIPT, name=NAME, jobs=8, parallel=2, config={"ParameterRanges": RANGES})
    assert wait(shared_server, NAME)["HyperParameterTuningJobStatus"] == "Completed"
    return shared_server


def test_show_prints_a_table(finished: ServerProcess) -> None:
    done = clary(finished, "show", NAME)
    assert done.returncode == 0, done.stderr
    lines = done.stdout.splitlines()
    assert lines[0] == f"{NAME}: maximize f1; Random, Completed"
    best = wait(finished, NAME)["BestTrainingJob"]["TrainingJobName"]
    (starred,) = [line for line in lines if line.startswith("*")]
    assert starred.split()[1] == best.removeprefix(f"{NAME}-")
    for each in children(finished, NAME):
        assert each["TrainingJobName"].removeprefix(f"{NAME}-") in done.stdout
    assert any(line.startswith("  kind ") and "%" in line for line in lines)


def test_show_as_json(finished: ServerProcess) -> None:
    document = json.loads(clary(finished, "show", NAME, "--json").stdout)
    assert document["TrainingJobStatusCounters"] == wait(finished, NAME)["TrainingJobStatusCounters"]
    told = {each["name"]: each["values"] for each in document["children"]}
    assert told == {
        each["TrainingJobName"]: each["TunedHyperParameters"] for each in children(finished, NAME)
    }
    assert [each["name"] for each in document["definitions"][0]["belief"]["responses"]] == ["rate", "kind"]


def test_plot_writes_what_the_name_asks_for(finished: ServerProcess, tmp_path: Path) -> None:
    spec = tmp_path / "study.json"
    done = clary(finished, "plot", NAME, "-o", str(spec))
    assert (done.returncode, done.stdout.strip()) == (0, str(spec))
    assert json.loads(spec.read_text())["title"]["text"] == f"{NAME}: maximize f1"
    pytest.importorskip("vl_convert")
    picture = tmp_path / "study.png"
    done = clary(finished, "plot", NAME, "-o", str(picture))
    assert (done.returncode, done.stderr) == (0, "")
    assert picture.read_bytes()[:8] == b"\x89PNG\r\n\x1a\n"


def test_a_study_that_is_not_there(finished: ServerProcess) -> None:
    for words in (("show", "tald"), ("plot", "tald")):
        done = clary(finished, *words)
        assert done.returncode == 1
        assert done.stderr.startswith(f"Error: there is no tuning job '{words[1]}'")
        assert NAME in done.stderr


def test_a_file_name_that_says_nothing(finished: ServerProcess, tmp_path: Path) -> None:
    done = clary(finished, "plot", NAME, "-o", str(tmp_path / "study.gif"))
    assert done.returncode == 1
    assert "must end in one of .png, .svg, .html, .json" in done.stderr
    done = clary(finished, "plot", NAME, "-o", str(tmp_path / "missing" / "study.json"))
    assert done.returncode == 1
    assert "cannot be written: No such file or directory" in done.stderr
