"""Runs one program: starts it (confined or not), carries its output to the log, ends it when asked or out of time."""

from __future__ import annotations

import os
import selectors
import subprocess
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Literal

from clary.agent import tree
from clary.agent.failure import own_words
from clary.agent.faults import ClientFault, PlatformFault
from clary.agent.output import Log, Stream

_LOADING = frozenset({"GCONV_PATH", "GLIBC_TUNABLES", "LOCPATH", "MALLOC_TRACE", "NLSPATH"})
_CHUNK = 1 << 16
_LOOK_S = 0.1
_ASK_AGAIN_S = 0.5
_DRAIN_S = 2.0

Cause = Literal["itself", "stop", "work", "time"]
"""Who ended a program: it itself, who asked to stop the job, the job's kind of work (see `Work.is_done`), the clock."""


@dataclass(frozen=True, slots=True)
class Ended:
    """`cause` says what ended the program; `errors` are the lines that tell best why it failed."""

    exit_code: int
    cause: Cause
    errors: Sequence[str]


@dataclass(frozen=True, slots=True)
class Watch:
    """When to end a program. `deadline` is monotonic seconds; `stop_asked` and `is_done` are looked at every tenth of
    a second; `on_stop` is called once, when the end is asked for."""

    deadline: float
    grace_s: float
    stop_asked: Callable[[], bool]
    is_done: Callable[[], bool]
    on_stop: Callable[[Cause], None]

    def verdict(self, now: float) -> Cause:
        if self.stop_asked():
            return "stop"
        if self.is_done():
            return "work"
        return "time" if now >= self.deadline else "itself"


def run(
    argv: Sequence[str],
    *,
    cwd: str,
    environment: Mapping[str, str],
    sandbox: Sequence[str],
    log: Log,
    watch: Watch,
) -> Ended:
    """Returns when the program and all it left behind are gone.

    Raises ClientFault when it cannot be started, PlatformFault when the confinement cannot be set up.
    """
    with _Program(argv, cwd, environment, sandbox) as program:
        pipes = _Pipes(program, log)
        cause = _attend(program, pipes, watch)
        program.clear()
        pipes.drain()
    errors = pipes.errors()
    code = program.exit_code()
    if sandbox and code:
        _check_confinement(argv, pipes.status, errors)
    return Ended(code, cause, errors)


def _attend(program: _Program, pipes: _Pipes, watch: Watch) -> Cause:
    cause: Cause = "itself"
    asked_at = kill_at = 0.0
    told: set[tuple[int, int]] = set()
    while not program.has_ended():
        pipes.carry(_LOOK_S)
        now = time.monotonic()
        if cause == "itself":
            cause = watch.verdict(now)
            if cause == "itself" or program.has_ended():
                continue
            watch.on_stop(cause)
            kill_at = now + watch.grace_s
        if now >= kill_at:
            program.clear()
        elif now >= asked_at + _ASK_AGAIN_S:
            tree.ask_to_end(program.pid, told)
            asked_at = now
    return cause


class _Program:
    """The process, or the bubblewrap around it. Left, it is dead, with everything below it."""

    def __init__(
        self, argv: Sequence[str], cwd: str, environment: Mapping[str, str], sandbox: Sequence[str]
    ) -> None:
        reader, writer = os.pipe()
        try:
            if sandbox:
                inner, environment = _split_loading(environment)
                full = [*sandbox, *inner, "--json-status-fd", str(writer), "--chdir", cwd, "--", *argv]
                self._process = self._start(full, "/", environment, [writer])
            else:
                self._process = self._start(list(argv), cwd, environment, [])
        except BaseException:
            os.close(reader)
            raise
        finally:
            os.close(writer)
        self.status = reader
        self.pid = self._process.pid
        self.pipes = [pipe.fileno() for pipe in (self._process.stdout, self._process.stderr) if pipe]

    @staticmethod
    def _start(
        argv: list[str], cwd: str, environment: Mapping[str, str], passed: list[int]
    ) -> subprocess.Popen[bytes]:
        agent = os.getpid()
        try:
            return subprocess.Popen(
                argv,
                stdin=subprocess.DEVNULL,
                stdout=subprocess.PIPE,
                stderr=subprocess.PIPE,
                bufsize=0,
                cwd=cwd,
                env=dict(environment),
                pass_fds=passed,
                start_new_session=True,
                preexec_fn=lambda: tree.die_with(agent),  # noqa: PLW1509 - two system calls, nothing imported
            )
        except OSError as fault:
            kind = PlatformFault if passed else ClientFault
            raise kind(f"{argv[0]!r} cannot be started: {fault.strerror}") from fault
        except ValueError as fault:
            raise ClientFault(f"{argv[0]!r} cannot be started: {fault}") from fault

    def __enter__(self) -> _Program:
        return self

    def __exit__(self, *error: object) -> None:
        if not self.has_ended():
            self.clear()
        for pipe in (self._process.stdout, self._process.stderr):
            if pipe:
                pipe.close()
        os.close(self.status)

    def clear(self) -> None:
        """Ends it, and all that it left behind."""
        tree.kill_below(program=self.pid)

    def has_ended(self) -> bool:
        return self._process.poll() is not None

    def exit_code(self) -> int:
        """As a shell says it: 128 and the number of the signal for a program that was killed."""
        code = self._process.wait()
        return code if code >= 0 else 128 - code


def _split_loading(environment: Mapping[str, str]) -> tuple[list[str], dict[str, str]]:
    """bubblewrap's own words for the variables that load code into a program, and the environment without them.

    bubblewrap starts outside the confinement: what the user gives their program must not be loaded there.
    """
    loading = {
        name: value for name, value in environment.items() if name.startswith("LD_") or name in _LOADING
    }
    words = [word for name, value in loading.items() for word in ("--setenv", name, value)]
    return words, {name: value for name, value in environment.items() if name not in loading}


class _Pipes:
    """Carries what comes out of the program's pipes to where it belongs."""

    def __init__(self, program: _Program, log: Log) -> None:
        self.status = b""
        self._streams = [Stream(log) for _ in program.pipes]
        self._selector = selectors.DefaultSelector()
        for descriptor, stream in zip(program.pipes, self._streams, strict=True):
            self._selector.register(descriptor, selectors.EVENT_READ, stream)
        self._selector.register(program.status, selectors.EVENT_READ, None)
        self._pidfd = os.pidfd_open(program.pid)
        self._selector.register(self._pidfd, selectors.EVENT_READ, self)

    def carry(self, timeout_s: float) -> bool:
        """Waits for output or the program's end, at most `timeout_s`; False when there was none."""
        events = self._selector.select(timeout_s)
        now = time.monotonic()
        for key, _ in events:
            if key.data is self:
                continue
            data = os.read(key.fd, _CHUNK)
            if not data:
                self._selector.unregister(key.fd)
            elif key.data is None:
                self.status += data
            else:
                key.data.feed(data, now)
        for stream in self._streams:
            stream.tick(now)
        return bool(events)

    def drain(self) -> None:
        """What the pipes still hold. Nobody is left to write, except where a killed process withstands."""
        self._selector.unregister(self._pidfd)
        os.close(self._pidfd)
        deadline = time.monotonic() + _DRAIN_S
        while self._selector.get_map() and time.monotonic() < deadline:
            self.carry(_LOOK_S)
        for stream in self._streams:
            stream.close(time.monotonic())
        self._selector.close()

    def errors(self) -> list[str]:
        output, errors = (
            [line.decode("utf-8", "replace") for line in stream.tail] for stream in self._streams
        )
        return own_words(output, errors)


def _check_confinement(argv: Sequence[str], status: bytes, errors: Sequence[str]) -> None:
    """bubblewrap reports an exit code only for a program that it could start."""
    if b'"exit-code"' in status:
        return
    complaint = next((line for line in reversed(errors) if line.startswith("bwrap: ")), "")
    if complaint.startswith("bwrap: execvp"):
        raise ClientFault(f"{argv[0]!r} cannot be started: {complaint.rpartition(': ')[2]}")
    if complaint:
        raise PlatformFault(f"The job could not be confined: {complaint}")
