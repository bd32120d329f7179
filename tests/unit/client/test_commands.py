"""`clary env` and `clary run` as a shell uses them."""

from __future__ import annotations

import json
import os
import shutil
import signal
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner

from clary.cli.env import render
from clary.cli.main import main
from clary.client.environment import SHIM

SECRET = 'it\'s "s3cret" $HOME `x` \\'


def run(home: Path, *command: str, **options: Any) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        _clary_run(home, *command), capture_output=True, text=True, timeout=60, check=False, **options
    )


def _clary_run(home: Path, *command: str) -> list[str]:
    source = "from clary.cli.run import run_command; run_command(prog_name='clary run')"
    return [sys.executable, "-c", source, "--home", str(home), *command]


@pytest.mark.parametrize("shell", ["sh", "fish"])
def test_a_shell_reads_the_lines_back_as_they_were(home: Path, shell: str, tmp_path: Path) -> None:
    found = shutil.which(shell)
    if found is None:
        pytest.skip(f"{shell} is not on this machine")
    runner = CliRunner(env={"AWS_PROFILE": "work"})
    lines = runner.invoke(main, ["env", "--home", str(home), "--shell", shell], catch_exceptions=False).output
    script = tmp_path / "script"
    script.write_text(
        f"{lines}\n{sys.executable} -c 'import os, json; print(json.dumps(dict(os.environ)))'\n"
    )

    out = subprocess.run(
        [found, str(script)],
        capture_output=True,
        text=True,
        check=True,
        env={**os.environ, "AWS_PROFILE": "work"},
    )

    environment = json.loads(out.stdout)
    assert environment["AWS_SECRET_ACCESS_KEY"] == SECRET
    assert environment["AWS_ENDPOINT_URL"].startswith("http://127.0.0.1:")
    assert "AWS_PROFILE" not in environment


def test_the_other_dialects() -> None:
    changes = {"A": "it's \\", "B": None}

    assert render(changes, "powershell").splitlines() == [
        "$env:A = 'it''s \\'",
        "Remove-Item -ErrorAction SilentlyContinue Env:B",
    ]
    assert render(changes, "fish").splitlines() == ["set -gx A 'it\\'s \\\\'", "set -e B"]


def test_as_json(home: Path) -> None:
    runner = CliRunner(env={"AWS_PROFILE": "work"})

    document = json.loads(runner.invoke(main, ["env", "--home", str(home), "--json"]).output)

    assert document["AWS_SECRET_ACCESS_KEY"] == SECRET
    assert document["AWS_PROFILE"] is None


def test_without_a_server_there_is_a_hint_and_no_line(tmp_path: Path) -> None:
    done = CliRunner().invoke(main, ["env", "--home", str(tmp_path / "none")])

    assert done.exit_code == 1
    assert "clary up" in done.output
    assert "export" not in done.output


def test_a_program_gets_environment_arguments_and_input(home: Path) -> None:
    source = (
        "import os, sys, json; print(json.dumps([sys.argv[1:], sys.stdin.read(), os.environ['AWS_SECRET_ACCESS_KEY'],"
        "os.environ['PYTHONPATH'], os.environ['CLARY_HOME'], 'clary_shim' in sys.modules]))"
    )
    own = {**os.environ, "PYTHONPATH": "/my/own"}

    done = run(home, "--", sys.executable, "-c", source, "--home", "x", "-v", input="typed", env=own)

    assert json.loads(done.stdout) == [
        ["--home", "x", "-v"],
        "typed",
        SECRET,
        os.pathsep.join([str(SHIM), "/my/own"]),
        str(home),
        True,
    ]


def test_its_exit_status_is_passed_on_and_dashes_are_not_needed(home: Path) -> None:
    assert run(home, sys.executable, "-c", "raise SystemExit(41)").returncode == 41


def test_it_is_the_program_that_gets_the_signals(home: Path) -> None:
    source = (
        "import signal, sys, time\n"
        "signal.signal(signal.SIGTERM, lambda *_: sys.exit(42))\n"
        "print('ready', flush=True)\n"
        "time.sleep(60)\n"
    )
    command = _clary_run(home, "--", sys.executable, "-c", source)
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        assert process.stdout.readline() == "ready\n"
        process.send_signal(signal.SIGTERM)
        assert process.wait(30) == 42


def test_a_program_that_is_not_there(home: Path, tmp_path: Path) -> None:
    missing = run(home, "--", "no-such-program")
    assert (missing.returncode, missing.stderr) == (
        127,
        "clary run: no-such-program: No such file or directory\n",
    )

    text = tmp_path / "text"
    text.write_text("")
    assert run(home, "--", str(text)).returncode == 126


def test_without_a_server_nothing_is_run(tmp_path: Path) -> None:
    done = run(tmp_path / "none", "--", sys.executable, "-c", "print('ran')")

    assert done.returncode == 1
    assert done.stdout == ""
    assert "clary up" in done.stderr
