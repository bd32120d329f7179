"""The job's own thin Python environment: sees all packages of a base environment, takes every installation itself.

Made by hand in about a millisecond, without starting Python: a link to the interpreter, `pyvenv.cfg`, and one `.pth`
file that adds the base's package directories after the layer's own. It may be mounted elsewhere: only the base is
named by an absolute path.
"""

from __future__ import annotations

import os
from collections.abc import Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

from clary.agent.faults import PlatformFault

_LAUNCHERS = ("torchrun", "accelerate", "accelerate-launch", "deepspeed", "horovodrun")
"""Commands of the base that run the user's code. They name the base's interpreter; the layer's runs them instead."""
_RELAY = ".in-layer"
_RELAYED = '#!/bin/sh\nexec "$(dirname "$0")/python" {bin}/"$(basename "$0")" "$@"\n'
_PIP = '#!/bin/sh\nexec "$(dirname "$0")/python" -m pip "$@"\n'


@dataclass(frozen=True, slots=True)
class Base:
    """`interpreter` is the real executable, `version` as in 3.11, `bin` where the environment keeps its commands."""

    interpreter: Path
    version: str
    bin: Path
    packages: Sequence[str]


def build(python: str, env: Path) -> Base:
    """Makes the layer at `env` over the environment that `python` is the interpreter of.

    Raises PlatformFault when that is no working Python.
    """
    base = find_base(Path(python))
    bin_folder = env / "bin"
    packages = env / "lib" / f"python{base.version}" / "site-packages"
    bin_folder.mkdir(parents=True, exist_ok=True)
    packages.mkdir(parents=True, exist_ok=True)
    (env / "pyvenv.cfg").write_text(
        f"home = {base.interpreter.parent}\ninclude-system-site-packages = false\nversion = {base.version}\n",
        "utf-8",
    )
    # addsitedir, so that the base's own .pth files (editable installs) count
    lines = [f"import site; site.addsitedir({folder!r})\n" for folder in base.packages]
    (packages / "_clary_base.pth").write_text("".join(lines), "utf-8")
    for name in ("python", "python3", f"python{base.version}"):
        _link(bin_folder / name, base.interpreter)
    for name in ("pip", "pip3", f"pip{base.version}"):
        _write_script(bin_folder / name, _PIP)
    launchers = list(_launchers(base))
    if launchers:
        _write_script(bin_folder / _RELAY, _RELAYED.format(bin=_quoted(str(base.bin))))
    for name in launchers:
        _link(bin_folder / name, Path(_RELAY))
    return base


def find_base(python: Path) -> Base:
    """Reads it off the paths where the layout is the usual one; asks the interpreter otherwise."""
    interpreter = Path(os.path.realpath(python))
    prefix = python.absolute().parent.parent
    config = _read_config(prefix / "pyvenv.cfg")
    if config is None:
        return _plain_base(interpreter) or _ask(python)
    packages = sorted(prefix.glob("lib/python3.*/site-packages"))
    if len(packages) != 1 or config.get("include-system-site-packages", "false").lower() == "true":
        return _ask(python)
    version = packages[0].parent.name.removeprefix("python")
    # a layer over a venv: the venv's own .pth files lead further down, if it has a base itself
    return Base(interpreter, version, prefix / "bin", [str(packages[0])])


def _plain_base(interpreter: Path) -> Base | None:
    prefix = interpreter.parent.parent
    packages = sorted(prefix.glob("lib/python3.*/site-packages"))
    # distributions patch the directories of the system's Python
    if len(packages) != 1 or prefix in (Path("/usr"), Path("/")):
        return None
    version = packages[0].parent.name.removeprefix("python")
    if interpreter.name != f"python{version}":
        return None
    return Base(interpreter, version, interpreter.parent, [str(packages[0])])


_QUESTION = """
import json, site, sys, sysconfig
print(json.dumps([
    sys.executable, "%d.%d" % sys.version_info[:2], sysconfig.get_path("scripts"),
    [path for path in site.getsitepackages() if path in sys.path],
]))
"""


def _ask(python: Path) -> Base:
    import json
    import subprocess

    try:
        done = subprocess.run(
            [python, "-E", "-s", "-c", _QUESTION],
            stdin=subprocess.DEVNULL,
            capture_output=True,
            check=True,
            timeout=60,
        )
        executable, version, scripts, packages = json.loads(done.stdout)
    except (OSError, ValueError, subprocess.SubprocessError) as fault:
        raise PlatformFault(f"{python} is not a working Python interpreter: {fault}") from fault
    return Base(Path(os.path.realpath(executable)), version, Path(scripts), packages)


def _read_config(path: Path) -> dict[str, str] | None:
    try:
        lines = path.read_text("utf-8").splitlines()
    except OSError:
        return None
    pairs = (line.partition("=") for line in lines if "=" in line)
    return {name.strip().lower(): value.strip() for name, _, value in pairs}


def _launchers(base: Base) -> Iterator[str]:
    own = {f"#!{base.bin / name}".encode() for name in ("python", "python3", f"python{base.version}")}
    for name in _LAUNCHERS:
        with suppress(OSError), open(base.bin / name, "rb") as file:
            if file.readline(300).rstrip() in own:
                yield name


def _quoted(text: str) -> str:
    return "'" + text.replace("'", "'\\''") + "'"


def _link(path: Path, target: Path) -> None:
    path.unlink(missing_ok=True)
    path.symlink_to(target)


def _write_script(path: Path, text: str) -> None:
    path.unlink(missing_ok=True)
    path.write_text(text, "utf-8")
    path.chmod(0o755)
