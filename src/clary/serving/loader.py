"""The process that loads a model: then it is the template of its workers, or a worker itself.

News beside a template's own (see `template`):

    {"say": "loaded", "shared", "batch", "report"}
    {"say": "failed", "kind": "missing" | "model", "message", "traceback"}
"""

from __future__ import annotations

import os
import socket
import sys
import traceback
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from clary.serving.faults import LoadFault
from clary.serving.handler import Handler
from clary.serving.template import Template, count_threads, freeze, say
from clary.serving.worker import Worker, leave_if_forked

_LONGEST_TRACEBACK = 20_000


class ModelMissing(Exception):
    """There is no model of that name."""


@dataclass(frozen=True, slots=True)
class Loading:
    """How models are loaded.

    prepare: imports what `load` will need, in the process that all loaders are forked from: it must start no thread,
    touch no GPU and run no code of the user's. load: see `loading.load`. fetch: brings the model of that name into a
    folder and returns the folder; raises ModelMissing.
    """

    load: Callable[[Path, Mapping[str, str]], Handler]
    prepare: Callable[[Path, Mapping[str, str]], None] = lambda _folder, _environment: None
    fetch: Callable[[str, Path, Mapping[str, str]], Path] | None = None


def loader(loading: Loading) -> Callable[[Mapping[str, Any], Sequence[socket.socket]], int]:
    """The role of a loader. Its order is {"folder", "name" (of a model that must be fetched)}, its sockets are one to
    work on and one to tell of itself."""

    def run(order: Mapping[str, Any], sockets: Sequence[socket.socket]) -> int:
        channel, control = sockets
        handler = _loaded(loading, order, control)
        if handler is None:
            return 1
        is_shared = handler.shared and _may_fork()
        news = {"say": "loaded", "shared": is_shared, "batch": max(1, handler.batch)}
        say(control, news | {"report": dict(handler.report)})
        if is_shared:
            channel.close()
            freeze()
            Template(control, _worker(handler)).run()
        else:
            control.close()
            Worker(handler, channel).run()
        return 0

    return run


def _loaded(loading: Loading, order: Mapping[str, Any], control: socket.socket) -> Handler | None:
    folder = Path(order["folder"])
    environment = dict(os.environ)
    try:
        if order.get("name") and loading.fetch is not None:
            folder = loading.fetch(order["name"], folder, environment)
        return _load(loading, folder, environment)
    except ModelMissing as missing:
        say(control, {"say": "failed", "kind": "missing", "message": str(missing), "traceback": ""})
    except BaseException as error:  # noqa: BLE001 - user code: whatever it raises is told
        message, lines = _told(error)
        say(control, {"say": "failed", "kind": "model", "message": message[-2000:], "traceback": lines})
    return None


def _load(loading: Loading, folder: Path, environment: Mapping[str, str]) -> Handler:
    pid = os.getpid()
    try:
        return loading.load(folder, environment)
    finally:
        leave_if_forked(pid)


def _told(error: BaseException) -> tuple[str, str]:
    """Message and traceback. A LoadFault says all that its reader can use."""
    if isinstance(error, LoadFault):
        return str(error), ""
    message = traceback.format_exception_only(error)[-1].strip()
    return message, "".join(traceback.format_exception(error))[-_LONGEST_TRACEBACK:]


def _worker(handler: Handler) -> Callable[[Mapping[str, Any], Sequence[socket.socket]], int]:
    def run(_order: Mapping[str, Any], sockets: Sequence[socket.socket]) -> int:
        Worker(handler, sockets[0]).run()
        return 0

    return run


def _may_fork() -> bool:
    """A process with threads cannot be forked safely: then every worker loads for itself."""
    threads = count_threads()
    if threads > 1:
        print(
            f"clary: loading the model left {threads - 1} threads behind: each worker loads it for itself",
            file=sys.stderr,
            flush=True,
        )
    return threads == 1
