"""`clary up | down | status`: the same server, in the background."""

from __future__ import annotations

import http.client
import json
import os
import signal
import subprocess
import sys
import time
import urllib.request
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import Any

import click

from clary.cli.options import home_option, server_options, settings_of
from clary.client.server import home_words
from clary.server import home

START_S = 30.0
END_S = 30.0


@click.command("up")
@server_options
@click.pass_context
def up_command(ctx: click.Context, /, **given: Any) -> None:
    """Start a server in the background, or say where it already runs."""
    settings = settings_of(**given)
    try:
        home.prepare(settings.home)
    except home.NotAHome as error:
        raise click.ClickException(str(error)) from None
    except OSError as error:
        raise click.ClickException(f"cannot keep anything in {settings.home}: {error}") from None
    if home.is_locked(settings.home):
        _find_up(settings.home)
        return
    log = settings.home / "server.log"
    start, process = _spawn(log, **given)
    if not _wait(lambda: process.poll() is not None or _is_answering(settings.home, process.pid), START_S):
        process.terminate()
        raise click.ClickException(f"the server did not answer within {START_S:.0f} s; its log is {log}")
    if process.poll() is not None and home.is_locked(settings.home):
        _find_up(settings.home)  # somebody else was quicker
        return
    if process.poll() is not None:
        with log.open("rb") as written:
            written.seek(start)
            said = written.read()[-2000:].decode("utf-8", "replace").strip()
        raise click.ClickException(f"the server did not start:\n{said}")
    click.echo(f"up: {_describe(settings.home)}")
    words = home_words(settings.home)
    click.echo(f'next: eval "$(clary env{words})", or clary run{words} -- python your_script.py')
    ctx.exit(0)


@click.command("down")
@home_option
def down_command(**given: Any) -> None:
    """Stop the server. Jobs under way go on, and the next server finds them."""
    folder = settings_of(**given).home
    pid = home.holder(folder)
    if pid is None:
        click.echo(f"no server runs in {folder}")
        return
    with suppress(ProcessLookupError):
        os.kill(pid, signal.SIGTERM)
    if not _wait(lambda: not home.is_locked(folder), END_S):
        raise click.ClickException(f"the server (pid {pid}) has not ended within {END_S:.0f} s")
    click.echo("down")


@click.command("status")
@home_option
@click.option("--json", "as_json", is_flag=True, help="Print one JSON object.")
@click.pass_context
def status_command(ctx: click.Context, /, as_json: bool, **given: Any) -> None:
    """Say whether a server runs and where. Exit code 3 if none does."""
    folder = settings_of(**given).home
    connection = _connection(folder)
    up = _is_up(folder)
    if as_json:
        facts = {"endpoint": connection.endpoint, "pid": connection.pid} if connection and up else {}
        click.echo(json.dumps({"up": up, "home": str(folder), **facts}))
    else:
        click.echo(
            f"up: {_describe(folder)}" if up else f"down: no server runs in {folder}; start one with clary up"
        )
    ctx.exit(0 if up else 3)


def _spawn(log: Path, **given: Any) -> tuple[int, subprocess.Popen[bytes]]:
    """The process of a server that outlives this one, and where in the log its words begin."""
    environment = dict(os.environ)
    if url := given.pop("database_url"):
        # it may hold a password, and a command line is everybody's to read
        environment["CLARY_DATABASE_URL"] = url
    arguments = [f"--{name.replace('_', '-')}={value}" for name, value in given.items() if _is_plain(value)]
    arguments += ["--tls"] if given["tls"] else ["--no-tls"] if given["tls"] is False else []
    with open(log, "ab", opener=lambda path, flags: os.open(path, flags, 0o600)) as output:
        return output.tell(), subprocess.Popen(
            [sys.executable, "-m", "clary.cli.main", "serve", *arguments],
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=output,
            env=environment,
            start_new_session=True,
        )


def _find_up(folder: Path) -> None:
    if not _wait(lambda: _is_up(folder), START_S):
        raise click.ClickException(
            f"a server runs in {folder} and does not answer; see {folder / 'server.log'}"
        )
    click.echo(f"already up: {_describe(folder)}")


def _is_plain(value: object) -> bool:
    return value is not None and not isinstance(value, bool)


def _describe(folder: Path) -> str:
    connection = _connection(folder)
    assert connection is not None
    return f"{connection.endpoint} (home {folder}, pid {connection.pid})"


def _connection(folder: Path) -> home.Connection | None:
    """None, too, for one that somebody spoiled: the next server writes it anew."""
    try:
        return home.read_connection(folder)
    except (OSError, ValueError, TypeError):
        return None


def _is_up(folder: Path) -> bool:
    pid = home.holder(folder)
    return pid is not None and _is_answering(folder, pid)


def _is_answering(folder: Path, pid: int) -> bool:
    """Whether the server with this pid has written where it is and answers there."""
    connection = _connection(folder)
    if connection is None or connection.pid != pid:
        return False
    import ssl

    context = ssl.create_default_context(cafile=connection.ca_bundle) if connection.ca_bundle else None
    direct = urllib.request.build_opener(
        urllib.request.ProxyHandler({}), urllib.request.HTTPSHandler(context=context)
    )
    try:
        with direct.open(f"{connection.endpoint}/_clary/health", timeout=5) as answer:
            return bool(answer.status == 200)
    except (OSError, http.client.HTTPException):
        return False


def _wait(condition: Callable[[], bool], limit_s: float) -> bool:
    deadline = time.monotonic() + limit_s
    while time.monotonic() < deadline:
        if condition():
            return True
        time.sleep(0.05)
    return False
