"""Run a user's program under `clary run`, in an environment that knows nothing of this project."""

from __future__ import annotations

import io
import json
import os
import subprocess
import sys
import tarfile
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import pytest

from tests.server_process import ServerProcess

CLIENTS = Path(__file__).parent / "clients"
PYTHON_V3 = Path(sys.prefix) / "sdk-v3" / "bin" / "python"
PROGRAM_WITHIN_S = 420


@dataclass(frozen=True)
class Run:
    """What a program said, and what it wrote into its report."""

    output: str
    report: dict[str, Any]


def run_program(
    name: str,
    home: Path,
    folder: Path,
    python: str = sys.executable,
    *,
    prepare: Callable[[], object] = lambda: None,
) -> Run:
    """Run tests/acceptance/clients/<name> REPORT FOLDER under `clary run`, with a `python` of your choice.

    `prepare` is called once there is a FOLDER.
    """
    report = folder / "report.json"
    clary_run = [sys.executable, "-m", "clary.cli.main", "run", "--home", str(home), "--"]
    # a profile that does not exist: `clary run` must not let it through
    environment = {**own_environment(folder), "AWS_PROFILE": "somebody-elses"}
    command = [*clary_run, python, str(CLIENTS / name), str(report), str(folder)]
    return _run(command, report, environment, prepare=prepare)


def run_v3_program(
    name: str, home: Path, folder: Path, *, prepare: Callable[[], object] = lambda: None
) -> Run:
    """The same in the environment with version 3 of the SDK; skips the test where there is none."""
    if not PYTHON_V3.exists():
        pytest.skip("make setup-dev makes the environment with version 3")
    return run_program(name, home, folder, str(PYTHON_V3), prepare=prepare)


def run_notebook(name: str, home: Path, folder: Path) -> Run:
    """Run tests/acceptance/clients/<name> HOME REPORT FOLDER, which connects itself."""
    report = folder / "report.json"
    command = [sys.executable, str(CLIENTS / name), str(home), str(report), str(folder)]
    return _run(command, report, own_environment(folder))


def _run(
    command: list[str],
    report: Path,
    environment: dict[str, str],
    *,
    prepare: Callable[[], object] = lambda: None,
) -> Run:
    report.parent.mkdir()
    prepare()
    done = subprocess.run(
        command,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        env=environment,
        cwd=report.parent,
        timeout=PROGRAM_WITHIN_S,
        check=False,
    )
    assert done.returncode == 0, done.stdout[-8000:]
    return Run(done.stdout, json.loads(report.read_text()))


def own_environment(folder: Path) -> dict[str, str]:
    """A user's environment with an empty home, and an old session token that must not be used."""
    kept = {
        name: value for name, value in os.environ.items() if not name.startswith(("AWS_", "CLARY_", "PYTHON"))
    }
    return {
        **kept,
        "HOME": str(folder),
        "AWS_SESSION_TOKEN": "of yesterday",
        "SAGEMAKER_SUPPRESS_V2_WARNING": "1",
        "PYTHONUNBUFFERED": "1",
    }


def model(server: ServerProcess, uri: str) -> dict[str, bytes]:
    """The files of a model.tar.gz in a bucket."""
    where = urlsplit(uri)
    body = server.client("s3").get_object(Bucket=where.netloc, Key=where.path.lstrip("/"))["Body"].read()
    with tarfile.open(fileobj=io.BytesIO(body)) as archive:
        members = [member for member in archive.getmembers() if member.isfile()]
        return {Path(member.name).name: archive.extractfile(member).read() for member in members}  # type: ignore[union-attr]


def source_archive(folder: Path) -> bytes:
    """A folder of code as the SDK sends it: sourcedir.tar.gz."""
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w:gz") as archive:
        for path in sorted(folder.iterdir()):
            if path.is_file():
                archive.add(path, arcname=path.name)
    return buffer.getvalue()
