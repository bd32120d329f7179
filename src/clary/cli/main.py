"""The `clary` command. Each subcommand lives in a module of its own, imported only when it is asked for."""

from __future__ import annotations

import importlib

import click

import clary

COMMANDS = {
    "serve": "serve:serve_command",
    "up": "background:up_command",
    "down": "background:down_command",
    "status": "background:status_command",
    "env": "env:env_command",
    "run": "run:run_command",
    "tune": "tune:tune_command",
    "compare": "compare:compare_command",
    "demo": "demo:demo_command",
}


class LazyGroup(click.Group):
    """Knows its commands by name and imports one when it is used: `clary env` must not wait for a web server."""

    def list_commands(self, ctx: click.Context) -> list[str]:  # noqa: ARG002
        return list(COMMANDS)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:  # noqa: ARG002
        if cmd_name not in COMMANDS:
            return None
        module, _, name = COMMANDS[cmd_name].partition(":")
        command = getattr(importlib.import_module(f"clary.cli.{module}"), name)
        assert isinstance(command, click.Command)
        return command


@click.command(cls=LazyGroup, context_settings={"help_option_names": ["-h", "--help"]})
@click.version_option(clary.__version__, prog_name="clary")
def main() -> None:
    """The Amazon SageMaker model workflow on machines you own."""


if __name__ == "__main__":
    main(prog_name="clary")
