"""The shim inside programs of its own: fresh interpreters, with small packages in the place of the SDKs."""

from __future__ import annotations

import importlib
import os
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest

OTHER_PYTHONS = ["python3.8", "python3.9", "python3.12", "python3.13"]
Program = Callable[..., str]


@pytest.fixture
def program(tmp_path: Path, shim_folder: Path, notifier: Any) -> Program:
    """Runs source with the shim first on the path and a folder of packages behind it; gives what it printed."""
    packages = tmp_path / "packages"
    for name, source in {
        "sagemaker/__init__.py": "",
        "sagemaker/session.py": "import time\nfrom time import sleep as pause\ndef wait(): time.sleep(600)\n",
        "sagemaker/data.txt": "data",
        "sagemaker/broken.py": "raise RuntimeError('their own fault')\n",
        "sagemaker/telemetry/__init__.py": "",
        "sagemaker/telemetry/telemetry_logging.py": "TELEMETRY_OPT_OUT_MESSAGING = 'we collect'\n"
        "def _send_telemetry_request(*a): print('sent')\ndef emit(): _send_telemetry_request(1)\n",
    }.items():
        path = packages / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(source)

    def run(source: str, python: str = sys.executable, *, endpoint: str | None = notifier.url) -> str:
        environment = {
            "PATH": os.environ["PATH"],
            "PYTHONPATH": os.pathsep.join([str(shim_folder), str(packages)]),
            "PYTHONDONTWRITEBYTECODE": "1",
            "AWS_ACCESS_KEY_ID": "id",
            "AWS_SECRET_ACCESS_KEY": "secret",
            **({"CLARY_ENDPOINT": endpoint} if endpoint else {}),
        }
        done = subprocess.run(
            [python, "-c", source], env=environment, capture_output=True, text=True, timeout=60, check=False
        )
        assert done.returncode == 0, done.stderr
        assert done.stderr == ""
        return done.stdout

    return run


def test_modules_of_the_sdk_get_the_clock_when_they_are_imported(program: Program) -> None:
    out = program(
        "import sagemaker.session as s, time; print(type(s.time).__name__, s.pause == s.time.sleep, time)"
    )

    assert out.startswith("Clock True <module 'time'")


def test_a_loop_of_the_sdk_is_woken_by_the_server(program: Program, notifier: Any) -> None:
    program("import sagemaker.session as s; s.wait()")

    assert notifier.asked == [notifier.asked[0]]
    assert notifier.asked[0].startswith("/_clary/changes?since=0")


def test_without_an_endpoint_nothing_is_touched(program: Program) -> None:
    source = (
        "import sys, sagemaker.session as s; print(type(s.time).__name__, 'clary_shim.hook' in sys.modules)"
    )

    assert program(source, endpoint=None).split() == ["module", "False"]


def test_a_program_without_the_sdks_loads_only_the_finder(program: Program) -> None:
    out = program("import sys, json; print(sorted(n for n in sys.modules if n.startswith('clary_shim')))")

    assert out.strip() == "['clary_shim', 'clary_shim.hook']"


def test_the_sitecustomize_it_hides_is_run(program: Program, tmp_path: Path) -> None:
    (tmp_path / "packages" / "sitecustomize.py").write_text("import builtins\nbuiltins.mine = __file__\n")

    out = program(
        "import sitecustomize; print(mine, sitecustomize.__file__, 'clary_shim' in __import__('sys').modules)"
    )

    own = str(tmp_path / "packages" / "sitecustomize.py")
    assert out.split() == [own, own, "True"]


def test_loaders_keep_their_type_and_their_resources(program: Program) -> None:
    out = program(
        "import sagemaker, pkgutil, importlib.machinery as m\n"
        "print(type(sagemaker.__loader__) is m.SourceFileLoader, pkgutil.get_data('sagemaker', 'data.txt'))"
    )

    assert out.split() == ["True", "b'data'"]


def test_errors_of_a_module_are_its_own(program: Program) -> None:
    assert program(
        "try:\n import sagemaker.broken\nexcept RuntimeError as e:\n print(e)\n"
        "try:\n import sagemaker.missing\nexcept ModuleNotFoundError as e:\n print(e)"
    ).splitlines() == ["their own fault", "No module named 'sagemaker.missing'"]


def test_another_tools_finder_that_asks_all_finders_does_not_make_a_circle(program: Program) -> None:
    out = program(
        "import sys, importlib.util\n"
        "class Other:\n"
        "    busy = False\n"
        "    def find_spec(self, name, path=None, target=None):\n"
        "        if Other.busy: return None\n"
        "        Other.busy = True\n"
        "        try: return importlib.util.find_spec(name)\n"
        "        finally: Other.busy = False\n"
        "sys.meta_path.insert(1, Other())\n"
        "import sagemaker.session as s; print(type(s.time).__name__)"
    )

    assert out.strip() == "Clock"


def test_telemetry_is_off(program: Program) -> None:
    out = program(
        "import sagemaker.telemetry.telemetry_logging as t; t.emit(); print(t.TELEMETRY_OPT_OUT_MESSAGING)"
    )

    assert "sent" not in out
    assert "we collect" not in out


def test_telemetry_is_the_users_choice_without_clary(program: Program) -> None:
    assert program("import sagemaker.telemetry.telemetry_logging as t; t.emit()", endpoint=None) == "sent\n"


@pytest.mark.parametrize("python", OTHER_PYTHONS)
def test_other_versions_of_python_can_load_it(program: Program, python: str) -> None:
    found = shutil.which(python)
    if found is None or subprocess.run([found, "-c", ""], capture_output=True, check=False).returncode:
        pytest.skip(f"{python} is not on this machine")

    out = program(
        "import clary_shim.endpoints, clary_shim.notices, sagemaker.session as s; print(type(s.time).__name__)",
        found,
    )

    assert out.strip() == "Clock"


def test_modules_that_are_imported_already_are_patched(program: Program) -> None:
    out = program(
        "import sagemaker.session as s, clary_shim\n"
        "print(type(s.time).__name__)\n"
        "clary_shim.install(clary_shim.Target('http://127.0.0.1:1', 'r', 'k', 's'))\n"
        "print(type(s.time).__name__)",
        endpoint=None,
    )

    assert out.split() == ["module", "Clock"]


def test_an_interrupt_ends_a_wait(shim_folder: Path, tmp_path: Path, notifier: Any, program: Program) -> None:
    notifier.version = (0, 0)  # nothing is ever new, so the second sleep waits
    environment = {
        "PATH": os.environ["PATH"],
        "PYTHONPATH": os.pathsep.join([str(shim_folder), str(tmp_path / "packages")]),
        "CLARY_ENDPOINT": notifier.url,
        "AWS_ACCESS_KEY_ID": "id",
        "AWS_SECRET_ACCESS_KEY": "secret",
    }
    command = [sys.executable, "-c", "import sagemaker.session as s; s.wait(); s.wait(); s.wait()"]
    with subprocess.Popen(command, env=environment, stderr=subprocess.PIPE, text=True) as process:
        assert notifier.waiting.wait(60)
        process.send_signal(signal.SIGINT)
        _, error = process.communicate(timeout=60)

    assert process.returncode != 0
    assert error.rstrip().endswith("KeyboardInterrupt")


def test_what_the_shim_cannot_do_does_not_stop_the_program(
    shim: ModuleType, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    hook = importlib.import_module("clary_shim.hook")

    class Stubborn(ModuleType):
        def __setattr__(self, name: str, value: object) -> None:
            raise AttributeError(f"{name} is mine")

    module = Stubborn("sagemaker.stubborn")
    module.__dict__["time"] = time

    hook.patch(module)

    assert "could not adapt sagemaker.stubborn" in caplog.text
    assert module.time is time
