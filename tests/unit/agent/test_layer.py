from __future__ import annotations

import os
import subprocess
import sys
import zipfile
from pathlib import Path

import pytest

from clary.agent import layer
from clary.agent.faults import PlatformFault

DOCUMENT = "Metadata-Version: 2.1\nName: {name}\nVersion: {version}\n"


def make_wheel(folder: Path, name: str, version: str) -> Path:
    """A package whose `version` attribute says what it is."""
    path = folder / f"{name}-{version}-py3-none-any.whl"
    info = f"{name}-{version}.dist-info"
    files = {
        f"{name}.py": f"version = {version!r}\n",
        f"{info}/METADATA": DOCUMENT.format(name=name, version=version),
        f"{info}/WHEEL": "Wheel-Version: 1.0\nGenerator: test\nRoot-Is-Purelib: true\nTag: py3-none-any\n",
        f"{info}/entry_points.txt": f"[console_scripts]\n{name}-cli = {name}:main\n",
    }
    files[f"{info}/RECORD"] = "".join(f"{entry},,\n" for entry in [*files, f"{info}/RECORD"])
    with zipfile.ZipFile(path, "w") as archive:
        for entry, text in files.items():
            archive.writestr(entry, text)
    return path


def call(*command: str | Path, **environment: str) -> str:
    done = subprocess.run(
        [str(part) for part in command],
        env={"PATH": "/usr/bin:/bin", "PIP_NO_INDEX": "1", "HOME": "/nonexistent", **environment},
        capture_output=True,
        text=True,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout.strip()


def snapshot(folder: Path) -> set[tuple[str, int]]:
    return {
        (str(path), path.stat().st_mtime_ns)
        for path in folder.rglob("*")
        if "__pycache__" not in path.parts and path.is_file()
    }


@pytest.fixture(scope="module")
def base(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A virtual environment with pip, one package, and one editable install."""
    folder = tmp_path_factory.mktemp("base")
    call(sys.executable, "-m", "venv", folder / "venv")
    wheel = make_wheel(folder, "thing", "1.0")
    call(folder / "venv/bin/pip", "install", "-q", wheel)
    (folder / "editable").mkdir()
    (folder / "editable/edited.py").write_text("here = True\n")
    packages = next((folder / "venv/lib").glob("python3*")) / "site-packages"
    (packages / "_editable_edited.pth").write_text(f"{folder / 'editable'}\n")
    return folder / "venv"


def test_the_layer_sees_the_base_and_installs_only_into_itself(base: Path, tmp_path: Path) -> None:
    env = tmp_path / "env"
    layer.build(str(base / "bin/python"), env)
    before = snapshot(base)
    python = env / "bin/python"
    assert call(python, "-c", "import thing, edited; print(thing.version)") == "1.0"
    make_wheel(tmp_path, "other", "3.0")
    newer = make_wheel(tmp_path, "thing", "2.0")
    call(env / "bin/pip", "install", "-q", "--find-links", tmp_path, "other")
    call(env / "bin/pip", "install", "-q", newer)
    assert call(python, "-c", "import thing, other; print(thing.version, other.version)") == "2.0 3.0"
    assert call(base / "bin/python", "-c", "import thing; print(thing.version)") == "1.0"
    assert snapshot(base) == before
    assert (env / "bin/other-cli").exists()
    assert "Requirement already satisfied: thing" in call(env / "bin/pip3", "install", "thing")
    assert call(python, "-c", "import sys; print(sys.prefix)") == str(env)


def test_uninstalling_cannot_touch_the_base(base: Path, tmp_path: Path) -> None:
    layer.build(str(base / "bin/python"), tmp_path)
    before = snapshot(base)
    call(tmp_path / "bin/pip", "uninstall", "-y", "thing")
    assert snapshot(base) == before


def test_a_launcher_of_the_base_runs_in_the_layer(base: Path, tmp_path: Path) -> None:
    for name, interpreter in (("torchrun", f"{base}/bin/python"), ("deepspeed", "/usr/bin/env python3")):
        (base / "bin" / name).write_text(f"#!{interpreter}\nimport sys; print(sys.prefix, *sys.argv[1:])\n")
        (base / "bin" / name).chmod(0o755)
    layer.build(str(base / "bin/python"), tmp_path)
    assert call(tmp_path / "bin/torchrun", "a b") == f"{tmp_path} a b"
    assert not (tmp_path / "bin/deepspeed").exists()


def test_it_may_be_moved(base: Path, tmp_path: Path) -> None:
    layer.build(str(base / "bin/python"), tmp_path / "one")
    (tmp_path / "one").rename(tmp_path / "two")
    assert call(tmp_path / "two/bin/python", "-c", "import thing, sys; print(sys.prefix)") == str(
        tmp_path / "two"
    )


def test_the_usual_layouts_need_no_question(base: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    asked = layer._ask(base / "bin/python")
    monkeypatch.setattr(layer, "_ask", lambda python: pytest.fail("asked"))
    read = layer.find_base(base / "bin/python")
    assert read == asked
    assert read.interpreter == Path(os.path.realpath(sys.executable))


def test_a_layer_over_the_interpreter_itself_sees_its_packages(tmp_path: Path) -> None:
    real = os.path.realpath(sys.executable)
    layer.build(real, tmp_path)
    ask = "import site; print(site.getsitepackages()[0])"
    folder = call(real, "-I", "-c", ask)
    assert folder in call(tmp_path / "bin/python", "-c", "import sys; print(sys.path)")


def test_a_venv_that_sees_the_system_shows_both(tmp_path: Path) -> None:
    call(sys.executable, "-m", "venv", "--without-pip", "--system-site-packages", tmp_path / "venv")
    found = layer.find_base(tmp_path / "venv/bin/python")
    assert len(found.packages) >= 2


@pytest.mark.parametrize("path", ["/nonexistent/bin/python", "/bin/true"])
def test_what_is_no_python_is_named(path: str, tmp_path: Path) -> None:
    with pytest.raises(PlatformFault, match=path):
        layer.build(path, tmp_path)
