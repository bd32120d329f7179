"""`clary compare`: which of several runs is better, and whether that is real."""

from __future__ import annotations

import json
import os
import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import click
import numpy as np
from botocore.exceptions import BotoCoreError, ClientError

from clary.analytics.comparison import Comparison, Run, common_metric, compare, relabelled
from clary.cli.compare_table import table
from clary.cli.options import home_option, settings_of
from clary.client.api import service_client
from clary.client.evaluations import Unreadable
from clary.client.runs import Runs, UnknownRun
from clary.client.server import NotConnected, find_server

FORMATS = (".html", ".json")
PIPED_WIDTH = 140
SEED = 0


@click.command("compare")
@click.argument("runs", nargs=-1, required=True, metavar="RUN...")
@click.option("--metric", help="What to compare by.  [accuracy, exact match, or what all runs have]")
@click.option("--json", "as_json", is_flag=True, help="One JSON object: figures, tests, differences.")
@click.option(
    "-o",
    "--output",
    type=click.Path(path_type=Path, dir_okay=False),
    help=f"File to write; its ending says what: {', '.join(FORMATS)}.",
)
@home_option
def compare_command(
    runs: tuple[str, ...], metric: str | None, as_json: bool, output: Path | None, home: Path | None
) -> None:
    """Compare runs: a leaderboard, paired tests against the leader, and in what the runs differ.

    A RUN is a job, a trial component, an evaluation's s3:// URI, or a folder that holds an evaluation.json. A model's
    training job stands for the newest evaluation of the model. A single name is an experiment or a tuning job: all its
    runs.

    Whether a lead is real is told where the runs' predictions on the same examples are known: a processing job that
    ran clary.recipes.evaluate leaves them.
    """
    if output is not None and output.suffix.lower() not in FORMATS:
        raise click.ClickException(f"{output}: the name must end in {' or '.join(FORMATS)}")
    with _reader(home) as reader:
        found = _read(reader, runs, metric)
        comparison = _compare(found, metric, reader.notes)
    notes = (*reader.notes, *_uneven(comparison), *_relabelled(comparison))
    if output is not None:
        _write(output, comparison, notes)
    if as_json:
        click.echo(json.dumps(document(comparison, notes), indent=1))
        return
    from rich.console import Console
    from rich.text import Text

    # a file or a pipe has no width of its own
    is_seen = sys.stdout.isatty() or "COLUMNS" in os.environ
    console = Console(width=None if is_seen else PIPED_WIDTH)
    for part in table(comparison, notes):
        console.print(part, highlight=False, soft_wrap=not is_seen and isinstance(part, Text))
    if output is not None:
        click.echo(output)


def document(comparison: Comparison, notes: Sequence[str]) -> dict[str, Any]:
    """The comparison as JSON; figures as they are, not in points."""
    return {
        "metric": comparison.metric,
        "runs": [
            {
                "name": run.name,
                "metrics": {
                    name: {
                        "value": figure.value,
                        **({"interval": [figure.low, figure.high]} if figure.low is not None else {}),
                    }
                    for name, figure in run.figures.items()
                },
            }
            for run in comparison.runs
        ],
        "findings": [
            {
                "leader": finding.leader,
                "other": finding.other,
                "sentence": finding.sentence,
                "is_real": finding.is_real,
                **(
                    {
                        "difference": found.value,
                        "interval": [found.low, found.high],
                        "p": finding.p,
                        "p_uncorrected": found.p,
                        "examples": found.examples,
                        "needed_examples": found.needed,
                    }
                    if (found := finding.difference)
                    else {}
                ),
            }
            for finding in comparison.findings
        ],
        "differing": {name: list(values) for name, values in comparison.differing.items()},
        "notes": list(notes),
    }


@contextmanager
def _reader(home: Path | None) -> Iterator[Runs]:
    try:
        server = find_server(settings_of(home=home).home)
    except NotConnected as problem:
        raise click.ClickException(str(problem)) from None
    sagemaker, s3 = service_client(server, "sagemaker"), service_client(server, "s3")
    try:
        yield Runs(sagemaker, s3)
    except (UnknownRun, Unreadable, BotoCoreError, ClientError) as problem:
        raise click.ClickException(str(problem)) from None
    finally:
        sagemaker.close()
        s3.close()


def _read(reader: Runs, names: Sequence[str], metric: str | None) -> Sequence[Run]:
    repeated = sorted({name for name in names if names.count(name) > 1})
    if repeated:
        raise click.ClickException(f"named twice: {', '.join(repeated)}")
    if len(names) > 1:
        return [reader.read(name) for name in names]
    return reader.of_experiment(reader.experiment(names[0]), metric)


def _compare(runs: Sequence[Run], metric: str | None, notes: Sequence[str]) -> Comparison:
    chosen = metric or common_metric(runs)
    if chosen is None:
        known = "; ".join(f"{run.name}: {', '.join(sorted(run.figures)) or 'none'}" for run in runs)
        why = "".join(f"\n{note}" for note in notes)
        raise click.ClickException(
            f"the runs have no metric in common ({known}): name one with --metric{why}"
        )
    try:
        return compare(runs, chosen, np.random.default_rng(SEED))
    except ValueError as problem:
        raise click.ClickException(str(problem)) from None


def _uneven(comparison: Comparison) -> Iterator[str]:
    """Where two runs were evaluated on different data, their figures are not of the same examples as their test."""
    sizes = {run.name: len(run.predictions.examples) for run in comparison.runs if run.predictions}
    for finding in comparison.findings:
        if finding.difference is None:
            continue
        leader, other = sizes[finding.leader], sizes[finding.other]
        both = finding.difference.examples
        if both < max(leader, other):
            yield (
                f"{finding.leader} was evaluated on {leader:,} examples and {finding.other} on {other:,}: "
                f"the test is of the {both:,} that both have, the figures are of all"
            )


def _relabelled(comparison: Comparison) -> Iterator[str]:
    predictions = {run.name: run.predictions for run in comparison.runs if run.predictions}
    leader = predictions.get(comparison.runs[0].name)
    for other, theirs in list(predictions.items()):
        if leader is not None and (count := relabelled(leader, theirs)):
            yield (
                f"{comparison.runs[0].name} and {other} have different labels for {count:,} of the same examples: "
                "being right does not mean the same in both"
            )


def _write(path: Path, comparison: Comparison, notes: Sequence[str]) -> None:
    if path.suffix.lower() == ".json":
        text = json.dumps(document(comparison, notes), indent=1) + "\n"
    else:
        from clary.analytics.comparison_page import page

        text = page(comparison, notes)
    try:
        path.write_text(text, "utf-8")
    except OSError as problem:
        raise click.ClickException(f"{path} cannot be written: {problem.strerror}") from None
