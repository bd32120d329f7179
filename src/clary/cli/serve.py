"""`clary serve`: a server in the foreground."""

from __future__ import annotations

import gc
import logging
import os
import shutil
import signal
import sys
from collections.abc import Callable
from contextlib import suppress
from datetime import UTC, datetime
from types import FrameType
from typing import Any

import click
import uvicorn

from clary.cli.options import server_options, settings_of
from clary.runners.sandbox import SandboxUnavailable
from clary.runners.tables import TableFault
from clary.server import home
from clary.server.protocol import BoundedProtocol
from clary.server.tls import certificate
from clary.server.wiring import Server, build
from clary.settings import Settings
from clary.store.database import CannotOpen
from clary.wire.models import SERVICES, service_model

DRAIN_S = 5
REFUSALS = (
    *(home.HomeInUse, home.NotAHome, home.NotTogether, home.CannotListen),
    *(SandboxUnavailable, TableFault, CannotOpen),
)


@click.command("serve")
@server_options
def serve_command(**given: Any) -> None:
    """Run a server in the foreground until Ctrl-C. Jobs under way go on without it."""
    settings = settings_of(**given)
    logging.basicConfig(format="%(asctime)s %(levelname)-7s %(name)s: %(message)s")
    logging.getLogger("clary").setLevel(logging.INFO)
    if shutil.which(settings.python) is None:
        raise click.ClickException(f"CLARY_PYTHON={settings.python!r}: there is no such program")
    try:
        serve(settings)
    except REFUSALS as error:
        raise click.ClickException(str(error)) from None
    except OSError as error:
        raise click.ClickException(f"cannot serve from {settings.home}: {error}") from None


def serve(settings: Settings) -> None:
    """Serve until SIGINT or SIGTERM. Raises OSError when the home or the address cannot be had."""
    os.umask(0o077)
    home.prepare(settings.home)
    held = home.lock(settings.home)
    try:
        _serve(settings)
    finally:
        os.close(held)


def _serve(settings: Settings) -> None:
    listener = home.listen(settings, home.read_connection)
    host, port = listener.getsockname()[:2]
    address = f"[{host}]" if ":" in host else host
    endpoint = f"{'https' if settings.tls else 'http'}://{_reachable(address)}:{port}"
    tls: dict[str, Any] = {}
    ca_bundle = None
    if settings.tls:
        ca_bundle, cert, key = certificate(settings.home / "tls", [host], now=datetime.now(UTC))
        tls = {"ssl_certfile": cert, "ssl_keyfile": key}
    server = build(settings, endpoint=endpoint, ca_bundle=ca_bundle)
    home.write_connection(
        settings.home,
        home.Connection(
            endpoint=endpoint,
            region=settings.region,
            access_key_id=server.credential.access_key_id,
            secret_access_key=server.credential.secret,
            account_id=server.account.id,
            role_arn=server.account.role_arn,
            bucket=server.account.default_bucket,
            ca_bundle=str(ca_bundle) if ca_bundle else None,
            pid=os.getpid(),
        ),
    )
    _warn_of_open_address(host)
    with suppress(KeyboardInterrupt):  # uvicorn raises it again once it has ended in good order
        _run(server, listener, settings, endpoint, tls)


def _run(server: Server, listener: Any, settings: Settings, endpoint: str, tls: dict[str, Any]) -> None:
    config = uvicorn.Config(
        server.app,
        log_level="warning",
        log_config=None,
        access_log=False,
        lifespan="off",
        server_header=False,
        timeout_graceful_shutdown=DRAIN_S,
        http=BoundedProtocol,
        ws="none",
        **tls,
    )
    line = f"Clary serves {settings.home} at {endpoint} (jobs: {server.isolation})"
    running = _Announcing(config, line, server.end_waits)
    # once it has ended in good order uvicorn sends itself the signal it got: that must not cut short the end below
    signal.signal(signal.SIGTERM, lambda *_: None if running.should_exit else sys.exit(0))
    _load_models()
    server.start()
    try:
        running.run(sockets=[listener])
    finally:
        server.close()


def _load_models() -> None:
    """Load what stays until the end, and take it out of the garbage collector's sight.

    Walking over the published models, which it does every few large answers, held up all requests for some 70 ms.
    """
    for service in SERVICES:
        service_model(service)
    gc.collect()
    gc.freeze()


class _Announcing(uvicorn.Server):
    """Says where it is once it listens. On a second signal it leaves at once."""

    def __init__(self, config: uvicorn.Config, line: str, end_waits: Callable[[], None]) -> None:
        super().__init__(config)
        self._line = line
        self._end_waits = end_waits

    async def startup(self, sockets: Any = None) -> None:
        await super().startup(sockets)
        print(self._line, flush=True)

    async def shutdown(self, sockets: Any = None) -> None:
        self._end_waits()
        await super().shutdown(sockets)

    def handle_exit(self, sig: int, frame: FrameType | None) -> None:
        if self.should_exit and sig == signal.SIGINT:
            os._exit(130)
        super().handle_exit(sig, frame)


def _reachable(address: str) -> str:
    """Where clients on this machine find a server that listens on every address."""
    return {"0.0.0.0": "127.0.0.1", "[::]": "[::1]"}.get(address, address)


def _warn_of_open_address(host: str) -> None:
    if host not in {"127.0.0.1", "::1", "localhost"}:
        message = f"warning: listening on {host}: others on this network can reach this server"
        print(message, file=sys.stderr, flush=True)
