"""Options that several commands share."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import click

from clary.settings import ISOLATIONS, Settings, read_settings

Decorator = Callable[[Callable[..., Any]], Callable[..., Any]]

home_option: Decorator = click.option(
    "--home", type=click.Path(path_type=Path), help="Folder that holds all state.  [CLARY_HOME or ~/.clary]"
)


def server_options(command: Callable[..., Any]) -> Callable[..., Any]:
    """What `serve` and `up` take: each is a setting, and a CLARY_<NAME> variable too."""
    for option in (
        click.option("--isolation", type=click.Choice(ISOLATIONS), help="How jobs are confined."),
        click.option("--tls/--no-tls", default=None, help="Serve HTTPS with a self-signed certificate."),
        click.option("--region", help="AWS region that names and ARNs speak of.  [us-east-1]"),
        click.option(
            "--database-url",
            help="SQLAlchemy URL; SQLite in the home unless given. One with a password: CLARY_DATABASE_URL.",
        ),
        click.option("--port", type=click.IntRange(0, 65535), help="Port; 0 picks a free one.  [7370]"),
        click.option("--host", help="Address to listen on.  [127.0.0.1]"),
        home_option,
    ):
        command = option(command)
    return command


def settings_of(**given: Any) -> Settings:
    """The settings these options and the environment give. Ends the command with what is wrong with them."""
    try:
        return read_settings(**given)
    except ValueError as error:
        raise click.ClickException(str(error)) from None
