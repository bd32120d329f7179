"""`clary up | down | status`: the same server, in the background."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Callable
from pathlib import Path
from typing import Any

import click

from clary.cli.options import home_option, server_options, settings_of
from clary.server import home

START_S = 30.0
END_S = 30.0


@click.command("up")
@server_options
@click.pass_context
def up_command(ctx: click.Context, /, **given: Any) -> None:
    """Start a server in the background, or say where it already runs."""
    settings = settings_of(**given)
    home.prepare(settings.home)
    if home.is_locked(settings.home):
        click.echo(f"already up: {_describe(settings.home)}")
        return
    arguments = [f"--{name.replace('_', '-')}={value}" for name, value in given.items() if _is_plain(value)]
    arguments += ["--tls"] if given["tls"] else ["--no-tls"] if given["tls"] is False else []
    log = settings.home / "server.log"
    with open(log, "ab", opener=lambda path, flags: os.open(path, flags, 0o600)) as output:
        start = output.tell()
        process = subprocess.Popen(
            [sys.executable, "-m", "clary.cli.main", "serve", *arguments],
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=output,
            start_new_session=True,
        )
    if not _wait(lambda: process.poll() is not None or _is_answering(settings.home, process.pid), START_S):
        process.terminate()
        raise click.ClickException(f"the server did not answer within {START_S:.0f} s; its log is {log}")
    if process.poll() is not None:
        with log.open("rb") as written:
            written.seek(start)
            said = written.read()[-2000:].decode("utf-8", "replace").strip()
        raise click.ClickException(f"the server did not start:\n{said}")
    click.echo(f"up: {_describe(settings.home)}")
    click.echo('next: eval "$(clary env)", or clary run -- python your_script.py')
    ctx.exit(0)


@click.command("down")
@home_option
def down_command(**given: Any) -> None:
    """Stop the server. Jobs under way go on, and the next server finds them."""
    folder = settings_of(**given).home
    connection = home.read_connection(folder)
    if connection is None or not home.is_locked(folder):
        click.echo(f"no server runs in {folder}")
        return
    os.kill(connection.pid, signal.SIGTERM)
    if not _wait(lambda: not home.is_locked(folder), END_S):
        raise click.ClickException(f"the server (pid {connection.pid}) has not ended within {END_S:.0f} s")
    click.echo("down")


@click.command("status")
@home_option
@click.option("--json", "as_json", is_flag=True, help="Print one JSON object.")
@click.pass_context
def status_command(ctx: click.Context, /, as_json: bool, **given: Any) -> None:
    """Say whether a server runs and where. Exit code 3 if none does."""
    folder = settings_of(**given).home
    connection = home.read_connection(folder)
    up = connection is not None and home.is_locked(folder) and _is_answering(folder, connection.pid)
    if as_json:
        facts = {"endpoint": connection.endpoint, "pid": connection.pid} if connection and up else {}
        click.echo(json.dumps({"up": up, "home": str(folder), **facts}))
    else:
        click.echo(
            f"up: {_describe(folder)}" if up else f"down: no server runs in {folder}; start one with clary up"
        )
    ctx.exit(0 if up else 3)


def _is_plain(value: object) -> bool:
    return value is not None and not isinstance(value, bool)


def _describe(folder: Path) -> str:
    connection = home.read_connection(folder)
    assert connection is not None
    return f"{connection.endpoint} (home {folder}, pid {connection.pid})"


def _is_answering(folder: Path, pid: int) -> bool:
    """Whether the server with this pid has written where it is and answers there."""
    connection = home.read_connection(folder)
    if connection is None or connection.pid != pid:
        return False
    import ssl

    context = ssl.create_default_context(cafile=connection.ca_bundle) if connection.ca_bundle else None
    try:
        with urllib.request.urlopen(
            f"{connection.endpoint}/_clary/health", timeout=5, context=context
        ) as answer:
            return bool(answer.status == 200)
    except (urllib.error.URLError, TimeoutError, ConnectionError):
        return False


def _wait(condition: Callable[[], bool], limit_s: float) -> bool:
    deadline = time.monotonic() + limit_s
    while time.monotonic() < deadline:
        if condition():
            return True
        time.sleep(0.05)
    return False
