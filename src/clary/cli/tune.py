"""`clary tune`: look at a tuning job. All is asked of the server as any client could."""

from __future__ import annotations

import json
import os
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any
from urllib.parse import quote

import click
from botocore.exceptions import BotoCoreError, ClientError

from clary.analytics.draw import FORMATS, CannotDraw, draw
from clary.analytics.reading import read
from clary.analytics.study import specification
from clary.cli.options import home_option, settings_of
from clary.cli.tune_table import table
from clary.client.api import service_client
from clary.client.pages import Refused, read_page
from clary.client.server import NotConnected, find_server
from clary.server.home import Connection

KNOWN_NAMES = 5
PIPED_WIDTH = 140


@click.group("tune")
def tune_command() -> None:
    """Look at tuning jobs: what was tried and found, and what the model believes."""


@tune_command.command("show")
@click.argument("name")
@click.option("--json", "as_json", is_flag=True, help="One JSON object: counters, belief, every child.")
@home_option
def show_command(name: str, as_json: bool, home: Path | None) -> None:
    """Print a tuning job's children as a table.

    The best is marked. Below the table: how much each parameter matters.
    """
    server = _server(home)
    page = _study(server, name)
    counters = _counters(server, name)
    if as_json:
        click.echo(json.dumps({**page, **counters}, indent=1))
        return
    from rich.console import Console

    # a file or a pipe has no width of its own
    console = Console(width=None if sys.stdout.isatty() or "COLUMNS" in os.environ else PIPED_WIDTH)
    for part in table(read(page), counters, why=page.get("why")):
        console.print(part, highlight=False)


@tune_command.command("plot")
@click.argument("name")
@click.option(
    "-o",
    "--output",
    type=click.Path(path_type=Path, dir_okay=False),
    help=f"File to write; its ending says what: {', '.join(FORMATS)}.  [NAME.png]",
)
@home_option
def plot_command(name: str, output: Path | None, home: Path | None) -> None:
    """Draw a tuning job, all charts on one page.

    The objective over time with the best so far; the objective against each parameter with what the model believes;
    each parameter's importance; parallel coordinates.

    Pictures need the extra: pip install 'clary[plots]'. A .json file holds the Vega-Lite specification, for which
    nothing is needed; a .html file is a page of its own that works offline.
    """
    path = output or Path(f"{name}.png")
    kind = path.suffix.removeprefix(".").lower()
    if kind not in FORMATS:
        raise click.ClickException(f"{path}: the name must end in one of .{', .'.join(FORMATS)}")
    page = _study(_server(home), name)
    try:
        path.write_bytes(draw(specification(read(page)), kind))
    except CannotDraw as problem:
        raise click.ClickException(str(problem)) from None
    except OSError as problem:
        raise click.ClickException(f"{path} cannot be written: {problem.strerror}") from None
    click.echo(path)


def _server(home: Path | None) -> Connection:
    try:
        return find_server(settings_of(home=home).home)
    except NotConnected as problem:
        raise click.ClickException(str(problem)) from None


def _study(server: Connection, name: str) -> Any:
    """The page's document. Ends the command when there is no such tuning job."""
    try:
        return read_page(server, f"/_clary/tuning/{quote(name, safe='')}")
    except Refused as problem:
        if "not found" not in str(problem):
            raise click.ClickException(f"the server refused: {problem}") from None
        others = ", ".join(_ask(server, _names))
        known = f"the newest here: {others}" if others else "there is none at all"
        raise click.ClickException(f"there is no tuning job {name!r}; {known}") from None
    except OSError as problem:
        raise click.ClickException(str(problem)) from None


def _names(sagemaker: Any) -> list[str]:
    found = sagemaker.list_hyper_parameter_tuning_jobs(
        SortBy="CreationTime", SortOrder="Descending", MaxResults=KNOWN_NAMES
    )
    return [each["HyperParameterTuningJobName"] for each in found["HyperParameterTuningJobSummaries"]]


def _counters(server: Connection, name: str) -> dict[str, Any]:
    def describe(sagemaker: Any) -> Any:
        return sagemaker.describe_hyper_parameter_tuning_job(HyperParameterTuningJobName=name)

    described = _ask(server, describe)
    names = ("TrainingJobStatusCounters", "ObjectiveStatusCounters", "FailureReason")
    return {each: described[each] for each in names if each in described}


def _ask(server: Connection, question: Callable[[Any], Any]) -> Any:
    """The answer to a question that is asked with a SageMaker client. Ends the command when there is none."""
    client = service_client(server, "sagemaker")
    try:
        return question(client)
    except (BotoCoreError, ClientError) as problem:
        raise click.ClickException(str(problem)) from None
    finally:
        client.close()
