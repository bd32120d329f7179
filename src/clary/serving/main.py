"""The model server: a front that speaks HTTP, and the processes behind it.

    front      this process: HTTP, the queue, no model (`front`, `pool`, `models`)
    nursery    forked before anything else, forks loaders (`template`)
    loader     loads a model; then forks its workers, which share its memory, or is a worker itself (`loader`)
    worker     answers (`worker`)

What dies takes along what it has forked. The front ends when the nursery does, or when the model cannot be served.
"""

from __future__ import annotations

import asyncio
import os
import signal
import socket
import sys
import time
from collections.abc import Callable, Mapping
from functools import partial
from itertools import count
from pathlib import Path

from clary.serving.configuration import BadVariable, Configuration, configuration
from clary.serving.early import prepare
from clary.serving.fetching import fetch
from clary.serving.forker import Forker
from clary.serving.front import Front
from clary.serving.handler import Handler
from clary.serving.http import Connection
from clary.serving.loader import Loading, loader
from clary.serving.models import Models
from clary.serving.pool import Failure, Pool
from clary.serving.template import Template, run_child

_TURN_S = 0.1
_TURNS = 10
_ONE_THREAD = {"OMP_NUM_THREADS": "1", "MKL_NUM_THREADS": "1", "TOKENIZERS_PARALLELISM": "false"}
_NO_LOADING_THREADS = {"HF_DEACTIVATE_ASYNC_LOAD": "1"}


def main() -> None:
    sys.exit(run(Loading(load=_load, prepare=prepare, fetch=fetch)))


def _load(model_dir: Path, environment: Mapping[str, str]) -> Handler:
    from clary.serving.loading import load  # needs what the user's environment has; the HTTP side does not

    return load(model_dir, environment)


def run(loading: Loading) -> int:
    """Serves, as the environment says, until SIGTERM. The exit code: 0, or 1 when the model cannot be served."""
    try:
        told = configuration(os.environ)
    except BadVariable as fault:
        _tell(str(fault))
        return 1
    for name, value in (_ONE_THREAD | _NO_LOADING_THREADS).items():
        os.environ.setdefault(name, value)
    control, nursery = _fork_nursery(loading, told)
    try:
        listener = _listen(told)
    except OSError as error:
        _tell(f"cannot listen at {told.host}:{told.port} (SAGEMAKER_BIND_TO_PORT): {error.strerror}")
        return 1
    code = asyncio.run(_serve(told, listener, control))
    if code:
        os.kill(nursery, signal.SIGKILL)
    os.waitpid(nursery, 0)
    return code


def _fork_nursery(loading: Loading, told: Configuration) -> tuple[socket.socket, int]:
    ours, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
    parent = os.getpid()
    pid = os.fork()
    if pid:
        theirs.close()
        return ours, pid
    ours.close()
    run_child(partial(_be_nursery, theirs, loading, told), parent)
    return ours, pid


def _be_nursery(control: socket.socket, loading: Loading, told: Configuration) -> int:
    folder = told.models_dir if told.multi_model else told.model_dir
    loading.prepare(folder, os.environ)
    Template(control, loader(loading)).run()
    return 0


def _listen(told: Configuration) -> socket.socket:
    family = socket.AF_INET6 if ":" in told.host else socket.AF_INET
    return socket.create_server((told.host, told.port), family=family, backlog=2048)


async def _serve(told: Configuration, listener: socket.socket, control: socket.socket) -> int:
    loop = asyncio.get_running_loop()
    end: asyncio.Future[Failure | None] = loop.create_future()
    for name in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(name, partial(_settle, end, None))
    gone = Failure("model", "the process that forks the workers is no more")
    nursery = Forker(control, on_gone=partial(_settle, end, gone), on_news=lambda _: None)
    served = _served(told, nursery, end)
    front = Front(served, told, clock=time.monotonic)
    connections: set[Connection] = set()
    server = await loop.create_server(
        lambda: Connection(front.serve, limit=told.max_body, open_ones=connections), sock=listener
    )
    host, port = listener.getsockname()[:2]
    # not on stderr: whoever looks there for why a server ended needs no greeting
    print(f"clary: listening at http://{host}:{port}", flush=True)
    checking = asyncio.create_task(_check(served.check, connections))
    failure = await end
    if failure is None:
        server.close()
        await _wind_up(connections)
    checking.cancel()
    if failure is not None:
        _tell_failure(failure)
        return 1
    served.close()
    nursery.close()
    return 0


def _served(told: Configuration, nursery: Forker, end: asyncio.Future[Failure | None]) -> Pool | Models:
    if told.multi_model:
        return Models(nursery, told, clock=time.monotonic)

    def changed(pool: Pool) -> None:
        if pool.failure is not None:
            _settle(end, pool.failure)

    return Pool(nursery, told, {"folder": str(told.model_dir)}, clock=time.monotonic, on_change=changed)


async def _check(check: Callable[[float], None], connections: set[Connection]) -> None:
    for turn in count():
        await asyncio.sleep(_TURN_S)
        now = time.monotonic()
        check(now)
        for connection in [] if turn % _TURNS else list(connections):
            connection.check(now)


async def _wind_up(connections: set[Connection]) -> None:
    """Until all that has been asked is answered."""
    while connections:
        for connection in list(connections):
            connection.wind_up()
        await asyncio.sleep(0.02)


def _settle(end: asyncio.Future[Failure | None], failure: Failure | None) -> None:
    if not end.done():
        end.set_result(failure)


def _tell_failure(failure: Failure) -> None:
    """The traceback comes last: whoever reads the log takes the end of it for the reason."""
    _tell(f"the model cannot be served: {failure.message}")
    if failure.traceback:
        print(failure.traceback, end="", file=sys.stderr, flush=True)


def _tell(line: str) -> None:
    print(f"clary: {line}", file=sys.stderr, flush=True)
