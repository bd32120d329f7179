"""`clary env`: the lines that point a shell at the server."""

from __future__ import annotations

import json
import shlex
from collections.abc import Mapping
from pathlib import Path

import click

from clary.cli.options import home_option, settings_of
from clary.client.environment import client_environment
from clary.client.server import NotConnected, find_server


@click.command("env")
@home_option
@click.option(
    "--shell",
    type=click.Choice(["sh", "fish", "powershell"]),
    default="sh",
    show_default=True,
    help="Dialect.",
)
@click.option("--json", "as_json", is_flag=True, help="A JSON object; null for a variable to remove.")
def env_command(home: Path | None, shell: str, as_json: bool) -> None:
    """Print what points a shell at the server: eval "$(clary env)".

    Enough for boto3, the aws command and s3fs. Programs of the SageMaker SDK also need `clary run`, or
    clary.connect() inside them.
    """
    try:
        connection = find_server(settings_of(home=home).home)
    except NotConnected as problem:
        raise click.ClickException(str(problem)) from None
    changes = client_environment(connection)
    click.echo(json.dumps(changes, indent=2) if as_json else render(changes, shell))


def render(changes: Mapping[str, str | None], shell: str) -> str:
    """The lines that make these changes in a shell: sh, fish or powershell. None removes a variable."""
    lines = [
        _remove(name, shell) if value is None else _set(name, value, shell) for name, value in changes.items()
    ]
    return "\n".join(lines)


def _set(name: str, value: str, shell: str) -> str:
    if shell == "powershell":
        quoted = value.replace("'", "''")
        return f"$env:{name} = '{quoted}'"
    if shell == "fish":
        quoted = value.replace("\\", "\\\\").replace("'", "\\'")
        return f"set -gx {name} '{quoted}'"
    return f"export {name}={shlex.quote(value)}"


def _remove(name: str, shell: str) -> str:
    if shell == "powershell":
        return f"Remove-Item -ErrorAction SilentlyContinue Env:{name}"
    return f"set -e {name}" if shell == "fish" else f"unset {name}"
