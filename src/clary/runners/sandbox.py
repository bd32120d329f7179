"""How a job's program is confined: the command line of bubblewrap that goes before it, or none and the reason why.

What the program sees:

    /opt/ml /opt/env   the job folder's `ml` and `env`, read-write; the other children of /opt read-only
    /tmp /var/tmp      the job folder's `tmp`
    the home           of the user who runs Clary: the job folder's `home`, empty at first, read-write
    /etc               read-only, with the job's own `hosts`, without password hashes and host keys
    /usr /data ...     every other top-level directory, read-only: programs may read local models and data there
    /proc /dev         its own, the kernel's settings read-only; GPU devices when the job was given GPUs
    the interpreter    its prefixes and import path, read-only, wherever they lie
    a model's folder   the one that HF_MODEL_ID names, read-only, for who serves it
    Hugging Face cache `hub` and `datasets` of it, read-write, so that jobs share downloads; never its `token`

Hidden are Clary's home (database, objects, other jobs, credentials), all home directories, /run and /var. Whatever
else lies in a visible place shows as far as the user who runs Clary may read it: another Clary's home there, too.
The network is the machine's own: the program reaches S3 and the API over it.
"""

from __future__ import annotations

import json
import os
import shutil
import subprocess
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

import clary
from clary.agent import contract
from clary.agent.contract import Plan
from clary.runners.interpreter import interpreter_paths, is_within
from clary.settings import ISOLATIONS

_HIDDEN_TOPS = ("home", "root", "run", "var", "tmp", "lost+found")
_OWN_TOPS = ("proc", "dev", "opt")
_SECRETS = ("/etc/shadow", "/etc/shadow-", "/etc/gshadow", "/etc/gshadow-", "/etc/ssh", "/etc/ssl/private")


class SandboxUnavailable(Exception):
    """Confinement was demanded and this machine cannot give it. The message says why and what to do."""


@dataclass(frozen=True, slots=True)
class Confinement:
    """`command` is bubblewrap's command line up to its `--json-status-fd`; empty for none.

    `isolation` says it in words for Describe: `bubblewrap`, or `none: <why>`.
    """

    command: tuple[str, ...]
    isolation: str


@dataclass(frozen=True, slots=True)
class _Mount:
    """`option` and its arguments; the last one is the `place` it appears at."""

    place: Path
    arguments: tuple[str, ...]


class Sandbox:
    """Looks once whether bubblewrap works here, and writes its command line for each job. Safe for several threads.

    Each interpreter is asked for its paths once: one that gains an editable install shows it after a restart.
    """

    def __init__(
        self,
        home: Path,
        *,
        isolation: str = "auto",
        environment: Mapping[str, str] = os.environ,
        program: str = "bwrap",
        database: Path | None = None,
    ) -> None:
        """`home` is Clary's, which no job may see, nor its `database` where that is a file elsewhere.

        Raises ValueError for an unknown `isolation`, SandboxUnavailable when it is `bubblewrap` and that does not work.
        """
        if isolation not in ISOLATIONS:
            raise ValueError(f"CLARY_ISOLATION={isolation!r}: say one of {', '.join(ISOLATIONS)}")
        # mounts take no way through links, and what a link in a visible place leads to would show
        self._home = home.resolve()
        self._database = database.resolve() if database else None
        user_home = Path(environment.get("HOME") or Path.home()).absolute()
        self._user_homes = tuple(dict.fromkeys((user_home.resolve(), user_home)))
        self._model_caches = _model_caches(environment, user_home)
        self._interpreters: dict[str, tuple[Path, ...]] = {}
        self._program = shutil.which(program, path=environment.get("PATH")) or ""
        self.why_not = "isolation is switched off" if isolation == "none" else self._probe()
        if isolation == "bubblewrap" and self.why_not:
            raise SandboxUnavailable(
                f"CLARY_ISOLATION=bubblewrap: {self.why_not}. Install or allow it, or set CLARY_ISOLATION=auto "
                "to run jobs without confinement where it does not work."
            )

    @property
    def isolation(self) -> str:
        return f"none: {self.why_not}" if self.why_not else "bubblewrap"

    def confine(self, folder: Path, plan: Plan) -> Confinement:
        """Makes the directories and files in `folder` that the command line names. Raises OSError."""
        if self.why_not:
            return Confinement((), self.isolation)
        for name in (contract.ML, "env", "tmp", "home"):
            (folder / name).mkdir(mode=0o700, exist_ok=True)
        (folder / "hosts").write_text(_hosts(plan.hosts), "utf-8")
        # parents before what lies below them, whatever hides or shows them
        mounts = sorted(dict.fromkeys(self._mounts(folder, plan)), key=lambda mount: len(mount.place.parts))
        arguments = [argument for mount in mounts for argument in mount.arguments]
        command = (*self._start(), "--hostname", plan.host, *arguments, "--remount-ro", "/")
        return Confinement(command, self.isolation)

    def _probe(self) -> str:
        """Why bubblewrap cannot be used; empty when it can."""
        if not self._program:
            return "bubblewrap is not installed"
        command = [*self._start(), "--ro-bind", "/", "/", "--dev", "/dev", "--proc", "/proc", "--", "true"]
        try:
            done = subprocess.run(
                command, check=False, stdin=subprocess.DEVNULL, capture_output=True, text=True, timeout=20
            )
        except (OSError, subprocess.TimeoutExpired) as fault:
            return f"bubblewrap cannot be run: {fault}"
        return "" if done.returncode == 0 else _explain(done.stderr)

    def _start(self) -> Iterator[str]:
        yield from (self._program, "--die-with-parent", "--new-session", "--cap-drop", "ALL")
        yield from ("--unshare-pid", "--unshare-ipc", "--unshare-uts")
        if os.geteuid() != 0:
            yield "--unshare-user"

    def _mounts(self, folder: Path, plan: Plan) -> Iterator[_Mount]:
        yield from _tops()
        for child in _children(Path("/opt")):
            if child.name not in {contract.ML, "env"}:
                yield from _shown(child)
        yield _bind(folder / contract.ML, Path("/opt/ml"))
        yield _bind(folder / "env", Path("/opt/env"))
        yield _bind(folder / "tmp", Path("/tmp"))
        yield _Mount(Path("/var/tmp"), ("--symlink", "/tmp", "/var/tmp"))
        for user_home in self._user_homes:
            is_link = user_home != self._user_homes[0]
            if is_link and not is_within(user_home, _hidden_roots()):
                continue  # it shows as the link that it is
            if user_home.is_dir() and user_home != Path("/"):
                yield _bind(folder / "home", user_home)
        yield from _etc(folder)
        yield from _devices(plan)
        yield from self._shown_again(plan)
        for path in self._model_caches:
            yield from (_bind(path, path),) if path.is_dir() else ()
            yield from _covered(path.parent / "token", path.parent / "stored_tokens")

    def _shown_again(self, plan: Plan) -> Iterator[_Mount]:
        """What the program needs of hidden places, and a cover on Clary's home where it would show."""
        hidden = (*_hidden_roots(), *self._user_homes)
        needed = [path for path in self._needed(plan) if is_within(path, (*hidden, self._home))]
        yield from (_bind(path, path, "--ro-bind") for path in needed)
        if not is_within(self._home, hidden) or is_within(self._home, needed):
            yield _Mount(self._home, ("--tmpfs", str(self._home)))
        if self._database and not is_within(self._database, (self._home,)):
            beside = [self._database.with_name(self._database.name + end) for end in ("", "-wal", "-shm")]
            if not is_within(self._database, hidden) or is_within(self._database, needed):
                yield from _covered(*beside)

    def _needed(self, plan: Plan) -> Iterator[Path]:
        if plan.python not in self._interpreters:
            self._interpreters[plan.python] = interpreter_paths(plan.python)
        # an import path may well name a home directory: that much nobody needs
        homes = {path for home in self._user_homes for path in (home, *home.parents)}
        too_much = {*homes, self._home, *_hidden_roots()}
        yield from (path for path in self._interpreters[plan.python] if path not in too_much)
        if plan.model:
            yield Path(clary.__file__).parent  # the model server
            folders = [path for path in _model_folder(plan) if path not in too_much]
            yield from (path for path in folders if not is_within(path, (self._home,)))
            words = (Path(word) for word in plan.model.serve)
            yield from (
                path for path in words if path.is_absolute() and path not in too_much and path.exists()
            )
        resolver = Path(os.path.realpath("/etc/resolv.conf"))
        if resolver.exists():
            yield resolver
        if plan.access.ca_bundle:
            yield Path(plan.access.ca_bundle)


def _model_folder(plan: Plan) -> Iterator[Path]:
    """The folder that HF_MODEL_ID names, by both its names if it is a link.

    Only one whose configuration is that of a model: whoever can make an endpoint must not come to see any folder.
    """
    path = Path(plan.environment.get("HF_MODEL_ID", ""))
    try:
        is_model = path.is_absolute() and "model_type" in json.loads(
            (path / "config.json").read_text("utf-8")
        )
    except (OSError, ValueError, TypeError):
        return
    if is_model:
        yield from dict.fromkeys((path.resolve(), path))


def _model_caches(environment: Mapping[str, str], user_home: Path) -> tuple[Path, ...]:
    """Where Hugging Face's libraries keep what they download, as they find it themselves."""
    caches = Path(environment.get("XDG_CACHE_HOME") or user_home / ".cache")
    home = Path(environment.get("HF_HOME") or caches / "huggingface")
    named = (
        environment.get("HF_HUB_CACHE") or home / "hub",
        environment.get("HF_DATASETS_CACHE") or home / "datasets",
    )
    return tuple(Path(path).expanduser().absolute() for path in named)


def _hidden_roots() -> tuple[Path, ...]:
    return tuple(Path("/") / name for name in _HIDDEN_TOPS)


def _tops() -> Iterator[_Mount]:
    for path in _children(Path("/")):
        if path.name not in _HIDDEN_TOPS and path.name not in _OWN_TOPS:
            yield from _shown(path)
    for name in ("home", "root", "run", "var", "opt"):
        yield _Mount(Path("/") / name, ("--dir", f"/{name}"))
    yield _Mount(Path("/proc"), ("--proc", "/proc"))
    if os.geteuid() == 0:
        # root may write these without any capability, and core_pattern alone starts programs outside
        yield _bind(Path("/proc/sys"), Path("/proc/sys"), "--ro-bind")
    yield _Mount(Path("/dev"), ("--dev", "/dev"))


def _shown(path: Path) -> Iterator[_Mount]:
    """Read-only, as it is: links as links. Plain files and what cannot be looked at are left out."""
    if path.is_symlink():
        yield _Mount(path, ("--symlink", str(path.readlink()), str(path)))
    elif path.is_dir() and os.access(path, os.X_OK):
        yield _bind(path, path, "--ro-bind")


def _etc(folder: Path) -> Iterator[_Mount]:
    hosts = Path(os.path.realpath("/etc/hosts"))
    if hosts.exists():
        yield _bind(folder / "hosts", hosts, "--ro-bind")
    yield from _covered(*map(Path, _SECRETS))


def _covered(*paths: Path) -> Iterator[_Mount]:
    for path in paths:
        if path.is_dir():
            yield _Mount(path, ("--tmpfs", str(path)))
        elif path.exists():
            yield _bind(Path("/dev/null"), path, "--ro-bind")


def _devices(plan: Plan) -> Iterator[_Mount]:
    """All the driver's nodes: which GPUs the program uses is up to CUDA_VISIBLE_DEVICES."""
    if plan.gpus:
        # dxg is the one node of all GPUs under WSL
        for path in (*sorted(Path("/dev").glob("nvidia*")), Path("/dev/dxg")):
            if path.exists():
                yield _bind(path, path, "--dev-bind")


def _bind(source: Path, place: Path, option: str = "--bind") -> _Mount:
    return _Mount(place, (option, str(source), str(place)))


def _children(path: Path) -> list[Path]:
    return sorted(path.iterdir()) if path.is_dir() else []


def _hosts(names: Iterable[str]) -> str:
    """The machine's own hosts, and the job's hosts at the loopback address."""
    try:
        text = Path("/etc/hosts").read_text("utf-8", "replace").rstrip("\n")
    except OSError:
        text = "127.0.0.1 localhost"
    return "\n".join([text, *(f"127.0.0.1 {name}" for name in names), ""])


def _explain(complaint: str) -> str:
    text = complaint.strip().splitlines()[-1] if complaint.strip() else "it failed without a word"
    if "namespace" in text or "uid map" in text:
        return f"user namespaces are disabled for this user ({text})"
    return f"bubblewrap does not work here ({text})"
