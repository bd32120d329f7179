"""`clary run`: start any program so that it talks to the server."""

from __future__ import annotations

import os
from pathlib import Path

import click

from clary.cli.options import home_option, settings_of
from clary.client.environment import apply_changes, client_environment, with_shim
from clary.client.server import NotConnected, find_server

# what a shell answers for these
_CANNOT_RUN, _NOT_FOUND = 126, 127


@click.command("run", context_settings={"ignore_unknown_options": True, "allow_interspersed_args": False})
@home_option
@click.argument("command", nargs=-1, required=True, type=click.UNPROCESSED)
def run_command(home: Path | None, command: tuple[str, ...]) -> None:
    """Run a program against the server: clary run -- python notebook.py.

    The program takes this one's place: it gets the signals, and its exit status is the one you see. It runs in its
    own Python environment, which need not have Clary installed.
    """
    try:
        connection = find_server(settings_of(home=home).home)
    except NotConnected as problem:
        raise click.ClickException(str(problem)) from None
    changes = {**client_environment(connection), **with_shim()}
    if home is not None:
        changes["CLARY_HOME"] = str(home.expanduser().absolute())
    try:
        os.execvpe(command[0], command, apply_changes(changes, os.environ))
    except OSError as problem:
        click.echo(f"clary run: {command[0]}: {problem.strerror}", err=True)
        status = _NOT_FOUND if isinstance(problem, FileNotFoundError) else _CANNOT_RUN
        raise click.exceptions.Exit(status) from None
