"""Runs a job's agent as a process of its own on this machine."""

from __future__ import annotations

import fcntl
import json
import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import asdict, replace
from importlib.util import find_spec
from pathlib import Path

import clary
from clary.agent import contract
from clary.agent.contract import Outcome, Plan
from clary.runners.base import Launched
from clary.runners.processes import Identity, family
from clary.runners.sandbox import Sandbox

LAUNCH_LOCK = "launch.lock"
LAUNCHED = "launched.json"
AGENT_LOG = "agent.log"

_KEPT = (
    *("PATH", "HOME", "USER", "LOGNAME", "SHELL", "LANG", "LANGUAGE", "TZ", "TMPDIR", "LD_LIBRARY_PATH"),
    *("SSL_CERT_FILE", "SSL_CERT_DIR", "REQUESTS_CA_BUNDLE", "XDG_CACHE_HOME", "TOKENIZERS_PARALLELISM"),
    *("HTTP_PROXY", "HTTPS_PROXY", "NO_PROXY", "http_proxy", "https_proxy", "no_proxy"),
)
_KEPT_PREFIXES = ("LC_", "HF_", "TRANSFORMERS_", "CUDA_", "NVIDIA_", "OMP_", "MKL_", "PIP_", "UV_")
_SECRET = ("TOKEN", "SECRET", "PASSWORD", "CREDENTIAL", "API_KEY", "ACCESS_KEY")


class LocalRunner:
    """A `Runner` for this machine. Threads and processes may share a folder; `launch.lock` in it keeps order."""

    def __init__(
        self,
        sandbox: Sandbox,
        *,
        agent: Sequence[str] = (),
        environment: Mapping[str, str] = os.environ,
        clear_s: float = 10.0,
        clock: Callable[[], float] = time.time,
    ) -> None:
        """`agent` is the command that is given the folder; `clear_s` bounds the wait for killed processes."""
        self._sandbox = sandbox
        self._agent = tuple(agent) or agent_command()
        self._environment = agent_environment(environment)
        self._clear_s = clear_s
        self._clock = clock

    def launch(self, folder: Path, plan: Plan) -> Launched:
        """Raises OSError when the folder cannot be written."""
        folder = folder.absolute()
        folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        with _launching(folder):
            plan = self._settle_plan(folder, plan)
            if not _was_launched(folder):
                self._start(folder)
        return Launched(isolation=plan.isolation)

    def is_alive(self, folder: Path) -> bool:
        identity = agent_of(folder)
        return identity is not None and identity.is_running()

    def stop(self, folder: Path) -> None:
        """The file is what counts, also for an agent that starts later; the signal only spares the agent its next look.

        A young agent is not signalled: before it has written `agent.json` it may not have its handler yet.
        """
        folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        if (folder / contract.OUTCOME).exists() or not _leave_file(folder / contract.STOP):
            return
        identity = _read_identity(folder / contract.AGENT)
        if identity:
            identity.send(signal.SIGTERM)

    def clear(self, folder: Path) -> None:
        """Raises TimeoutError when a process withstands SIGKILL (stuck in the kernel) for `clear_s`."""
        mark = f"{contract.MARK}={contract.mark(folder)}".encode()
        agent = agent_of(folder)
        # looked for while the agent lives: once it is gone its children are nobody's
        left = family(agent, mark=mark)
        if agent:
            agent.send(signal.SIGKILL)
        deadline = time.monotonic() + self._clear_s
        while left:
            for identity in left:
                identity.send(signal.SIGKILL)
            if time.monotonic() > deadline:
                pids = ", ".join(str(identity.pid) for identity in left)
                raise TimeoutError(f"{folder.name}: processes {pids} survive SIGKILL")
            time.sleep(0.01)
            left = {identity for identity in left if identity.is_running()} | family(None, mark=mark)

    def _settle_plan(self, folder: Path, plan: Plan) -> Plan:
        """The first plan stays: an agent may have read it."""
        if (folder / contract.PLAN).exists():
            return contract.read_plan(folder)
        confinement = self._sandbox.confine(folder, plan)
        plan = replace(plan, sandbox=confinement.command, isolation=confinement.isolation)
        contract.write_plan(folder, plan)
        return plan

    def _start(self, folder: Path) -> None:
        environment = {**self._environment, contract.MARK: contract.mark(folder)}
        try:
            with open(folder / AGENT_LOG, "ab", opener=_private) as log:
                process = subprocess.Popen(
                    [*self._agent, str(folder)],
                    stdin=subprocess.DEVNULL,
                    stdout=log,
                    stderr=log,
                    cwd="/",
                    env=environment,
                    start_new_session=True,
                )
        except OSError as fault:
            reason = f"InternalServerError: the job's agent could not be started: {fault}"
            contract.write_outcome(folder, Outcome("Failed", "Failed", self._clock(), reason=reason))
            return
        identity = Identity.of(process.pid)
        if identity:
            contract.write_document(folder / LAUNCHED, asdict(identity))
        else:
            contract.write_document(folder / LAUNCHED, {"pid": process.pid, "started": 0, "boot": ""})
        # takes the exit status, so that an agent that ends while this process lives leaves no zombie
        threading.Thread(target=process.wait, name=f"agent-{process.pid}", daemon=True).start()


def agent_command(python: str = sys.executable) -> tuple[str, ...]:
    """The agent of the installed package, in an interpreter that skips `site`: a few milliseconds to its first line.

    Packages that the agent can use but does not need (isal compresses the model faster) are put within its reach.
    """
    roots = [str(Path(clary.__file__).parents[1])]
    isal = find_spec("isal")
    if isal and isal.origin:
        roots.append(str(Path(isal.origin).parents[1]))
    paths = list(dict.fromkeys(roots))
    program = (
        f"import sys; sys.path[:] = {paths[:1]!r} + sys.path + {paths[1:]!r}; "
        "from clary.agent.main import main; sys.exit(main(sys.argv[1:]))"
    )
    return (python, "-I", "-S", "-X", "utf8", "-c", program)


def agent_environment(environment: Mapping[str, str]) -> dict[str, str]:
    """What an agent, and the program below it, may see of the server's environment: no secrets."""
    return {
        name: value
        for name, value in environment.items()
        if (name in _KEPT or name.startswith(_KEPT_PREFIXES)) and not any(word in name for word in _SECRET)
    }


def agent_of(folder: Path) -> Identity | None:
    """Who the folder's agent is or was: by its own word, or the launcher's until it has spoken."""
    return _read_identity(folder / contract.AGENT) or _read_identity(folder / LAUNCHED)


def _read_identity(path: Path) -> Identity | None:
    try:
        return Identity.parse(json.loads(path.read_bytes()))
    except (FileNotFoundError, NotADirectoryError):
        return None


def _was_launched(folder: Path) -> bool:
    return any((folder / name).exists() for name in (contract.OUTCOME, contract.AGENT, LAUNCHED))


@contextmanager
def _launching(folder: Path) -> Iterator[None]:
    """One launcher at a time, over threads and processes; the kernel frees it when its holder dies."""
    with open(folder / LAUNCH_LOCK, "ab", opener=_private) as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        yield


def _leave_file(path: Path) -> bool:
    """Durably. False when it was there already."""
    try:
        descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    except FileExistsError:
        return False
    os.close(descriptor)
    directory = os.open(path.parent, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(directory)
    finally:
        os.close(directory)
    return True


def _private(path: str, flags: int) -> int:
    return os.open(path, flags, 0o600)
