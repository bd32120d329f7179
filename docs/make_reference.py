"""Writes the reference pages that follow from the code: settings, commands, operations.

python docs/make_reference.py           writes them
python docs/make_reference.py --check   says which are out of date, with exit code 1
"""

from __future__ import annotations

import importlib
import sys
from collections.abc import Iterator
from dataclasses import MISSING, fields
from pathlib import Path

import click

from clary.cli.main import COMMANDS
from clary.cli.main import main as clary_command
from clary.server.wiring import SERVICES
from clary.services.operations import OPERATIONS
from clary.settings import Settings

PAGES = Path(__file__).parent / "reference"
NOTE = "<!-- written by docs/make_reference.py -->\n"

TITLES = {
    "sagemaker": "SageMaker",
    "sagemaker-runtime": "SageMaker Runtime",
    "sagemaker-metrics": "SageMaker Metrics",
    "application-autoscaling": "Application Auto Scaling",
    "s3": "S3",
    "logs": "CloudWatch Logs",
    "cloudwatch": "CloudWatch",
    "sts": "STS",
    "iam": "IAM",
}


def settings_page() -> str:
    lines = [
        f"{NOTE}# Settings\n",
        "Variables of the environment. `clary serve` and `clary up` have options for some ([commands](commands.md)); "
        "an option wins over a variable.\n",
        "| variable | default | meaning |",
        "|---|---|---|",
    ]
    for entry in fields(Settings):
        assert entry.default is not MISSING
        default = "the interpreter Clary runs with" if entry.name == "python" else f"`{entry.default}`"
        unit = f" ({entry.metadata['unit']})" if entry.metadata["unit"] else ""
        default = default if entry.default != "" else "none"
        lines.append(f"| `CLARY_{entry.name.upper()}` | {default}{unit} | {entry.metadata['help']} |")
    return "\n".join(lines) + "\n"


def commands_page() -> str:
    settings = clary_command.context_settings
    context = click.Context(clary_command, info_name="clary", max_content_width=100, **settings)
    parts = [f"{NOTE}# Commands\n"]
    for name in COMMANDS:
        command = clary_command.get_command(context, name)
        assert command is not None
        parts += _helps(name, command, context)
    return "\n".join(parts)


def _helps(name: str, command: click.Command, parent: click.Context) -> Iterator[str]:
    """A section for a command, and for each command in it."""
    context = click.Context(command, parent, info_name=name)
    text = "\n".join(line.rstrip() for line in command.get_help(context).splitlines())
    yield f"## {context.command_path}\n\n```\n{text}\n```\n"
    if isinstance(command, click.Group):
        for inner, one in command.commands.items():
            yield from _helps(inner, one, context)


def operations_page() -> str:
    for name in SERVICES:
        importlib.import_module(f"clary.services.{name}")
    lines = [
        f"{NOTE}# Operations\n",
        "What the server answers. Any other operation of these services is refused with "
        "`UnknownOperationException` (S3: `NotImplemented`), never with a made-up answer.",
    ]
    for service in sorted({service for service, _ in OPERATIONS}, key=list(TITLES).index):
        lines += ["", f"## {TITLES[service]}", ""]
        lines += list(_rows(service))
    return "\n".join(lines) + "\n"


def _rows(service: str) -> Iterator[str]:
    yield "| operation | notes |"
    yield "|---|---|"
    for (owner, name), function in sorted(OPERATIONS.items()):
        if owner == service:
            first = (function.__doc__ or "").strip().split("\n\n")[0].replace("\n", " ")
            yield f"| {name} | {' '.join(first.split())} |"


PAGE_MAKERS = {"settings.md": settings_page, "commands.md": commands_page, "operations.md": operations_page}


def main() -> int:
    stale = []
    for name, make in PAGE_MAKERS.items():
        path, text = PAGES / name, make()
        if not path.exists() or path.read_text("utf-8") != text:
            stale.append(name)
            if "--check" not in sys.argv:
                path.write_text(text, "utf-8")
    if stale and "--check" in sys.argv:
        print(f"out of date: {', '.join(stale)}; run python docs/make_reference.py")
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
