"""A process that does nothing but fork, on the front's word, so that what is forked starts in milliseconds.

It has one thread and never enters a parallel region (a child of a process that did hangs in its first one), works on
nothing itself, and so answers at once. Orders and news are JSON, one a message, on a socket that keeps messages apart:

    front -> template  {"do": "fork", "child", "order": what the child is to do} with the child's sockets beside it
                       {"do": "kill", "child"}
    template -> front  {"say": "died", "child", "exit" or "signal"}
                       what its owner has to say: see `loader`

It ends, and its children with it, when the front closes the socket or dies.
"""

from __future__ import annotations

import atexit
import ctypes
import gc
import json
import os
import random
import select
import signal
import socket
import sys
import threading
import time
import traceback
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any

MESSAGE_BYTES = 160_000
"""The longest order or news."""
_MOST_SOCKETS = 2
_PATIENCE_S = 2.0
_PR_SET_PDEATHSIG = 1

Role = Callable[[Mapping[str, Any], Sequence[socket.socket]], int]
"""What a child does: with its order and its sockets, to its exit code."""


class Template:
    def __init__(self, control: socket.socket, role: Role) -> None:
        self._control = control
        self._role = role
        self._children: dict[int, int] = {}

    def run(self) -> None:
        """Until the front closes the socket."""
        woken, wake = socket.socketpair()
        with woken, wake:
            wake.setblocking(False)
            woken.setblocking(False)
            signal.signal(signal.SIGCHLD, lambda *_: None)
            signal.set_wakeup_fd(wake.fileno(), warn_on_full_buffer=False)
            waiting = select.poll()
            waiting.register(self._control, select.POLLIN)
            waiting.register(woken, select.POLLIN)
            try:
                while self._turn(waiting, woken):
                    pass
            finally:
                signal.set_wakeup_fd(-1)
                signal.signal(signal.SIGCHLD, signal.SIG_DFL)
        self._end_children()

    def _turn(self, waiting: select.poll, woken: socket.socket) -> bool:
        """False when the front is done with it."""
        for descriptor, _ in waiting.poll():
            if descriptor == woken.fileno():
                with suppress(BlockingIOError):
                    woken.recv(4096)
                self._reap()
            elif not self._obey():
                return False
        return True

    def _obey(self) -> bool:
        try:
            message, descriptors, _, _ = socket.recv_fds(self._control, MESSAGE_BYTES, _MOST_SOCKETS)
        except ConnectionResetError:
            return False
        if not message:
            return False
        order = json.loads(message)
        sockets = [socket.socket(fileno=descriptor) for descriptor in descriptors]
        if order["do"] == "fork":
            self._fork(order["child"], order["order"], sockets)
        elif order["do"] == "kill":
            self._kill(order["child"])
        for one in sockets:
            one.close()
        return True

    def _fork(self, child: int, order: Mapping[str, Any], sockets: Sequence[socket.socket]) -> None:
        parent = os.getpid()
        _flush()  # or the child would say again what is still unsaid
        try:
            pid = os.fork()
        except OSError as error:
            say(self._control, {"say": "died", "child": child, "exit": 1, "why": f"no process: {error}"})
            return
        if pid:
            self._children[pid] = child
            return
        self._control.close()
        run_child(lambda: self._role(order, sockets), parent)

    def _kill(self, child: int) -> None:
        for pid, known in self._children.items():
            if known == child:
                os.kill(pid, signal.SIGKILL)

    def _reap(self) -> None:
        while self._children:
            pid, status = os.waitpid(-1, os.WNOHANG)
            if not pid:
                return
            child = self._children.pop(pid, None)
            if child is not None:
                say(self._control, {"say": "died", "child": child, **_death(status)})

    def _end_children(self) -> None:
        """They end by themselves when their sockets are closed; those that do not are killed."""
        deadline = time.monotonic() + _PATIENCE_S
        while self._children:
            with suppress(ChildProcessError):
                pid, _ = os.waitpid(-1, os.WNOHANG)
                self._children.pop(pid, None)
                if pid:
                    continue
            if time.monotonic() > deadline:
                for pid in self._children:
                    os.kill(pid, signal.SIGKILL)
                deadline += _PATIENCE_S
            time.sleep(0.01)


def run_child(work: Callable[[], int], parent: int) -> None:
    """What a forked child does instead of going back into its parent's code. Never returns."""
    code = 1
    try:
        die_with(parent)
        _become_own()
        code = work()
    except BaseException:  # noqa: BLE001 - the end of a process
        traceback.print_exc()
    finally:
        with suppress(Exception):
            atexit._run_exitfuncs()
        _flush()
        os._exit(code)


def _flush() -> None:
    with suppress(Exception):
        sys.stdout.flush()
        sys.stderr.flush()


def die_with(parent: int) -> None:
    """The kernel kills this process when `parent`, the process that forked it, is no more (Linux)."""
    if sys.platform == "linux":
        ctypes.CDLL(None).prctl(_PR_SET_PDEATHSIG, signal.SIGKILL, 0, 0, 0)
    if os.getppid() != parent:
        os._exit(1)


def _become_own() -> None:
    """Signals as in a fresh process, but for those that ask the whole server to end: the front sees to that.

    What the parent registered for its own end is not the child's, nor is its place in streams of random numbers.
    """
    atexit._clear()
    signal.set_wakeup_fd(-1)
    signal.signal(signal.SIGCHLD, signal.SIG_DFL)
    for name in (signal.SIGTERM, signal.SIGINT):
        signal.signal(name, lambda *_: None)
    random.seed()
    if "numpy" in sys.modules:
        sys.modules["numpy"].random.seed()
    if "torch" in sys.modules:
        sys.modules["torch"].seed()


def freeze() -> None:
    """Before forking: no collection may write into the pages that the children share."""
    gc.collect()
    gc.freeze()


def count_threads() -> int:
    """Of this process."""
    try:
        return len(list(Path("/proc/self/task").iterdir()))
    except OSError:
        return threading.active_count()


def say(control: socket.socket, news: Mapping[str, Any]) -> None:
    """To the front; if it is no more there is nobody to tell."""
    with suppress(BrokenPipeError, ConnectionResetError):
        control.send(json.dumps(news).encode())


def _death(status: int) -> dict[str, int]:
    code = os.waitstatus_to_exitcode(status)
    return {"signal": -code} if code < 0 else {"exit": code}
