"""How good is a model? An evaluation as a SageMaker processing script, and as a function.

    python -m clary.recipes.evaluate --model DIR_OR_TAR --data FILE_OR_DIR --output DIR

As a job: `code=clary.recipes.evaluate.__file__` of a HuggingFaceProcessor or ScriptProcessor, with model, data and
output where the defaults are. The model is what `save_pretrained` wrote (with its tokenizer); the data have a column
of texts, or two of pairs, and one of labels, or are questions as SQuAD has them. It writes evaluation.json,
predictions.parquet, the charts as PNG and report.html.
"""

from __future__ import annotations

import argparse
import os
import sys
import tempfile
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from hashlib import sha256
from importlib.metadata import version
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal, TypeAlias

from clary.recipes.artifact import Artifact, open_model, weight_files
from clary.recipes.intervals import RESAMPLES, Bootstrap
from clary.recipes.labelled import Columns, labelled
from clary.recipes.refusal import CannotEvaluate
from clary.recipes.rows import Row, data_files, read_rows
from clary.recipes.slicing import check_columns

if TYPE_CHECKING:
    from clary.recipes.evaluation import Evaluation

MODEL, DATA, OUTPUT = (Path("/opt/ml/processing") / name for name in ("model", "test", "evaluation"))
MESSAGE = Path("/opt/ml/output/message")  # what a processing job's ExitMessage is read from
MIN_LENGTH = 8  # tokens: a few beside those that a tokenizer puts around a text
MIN_RESAMPLES = 2  # one has no deviation
Precision: TypeAlias = Literal["auto", "fp32", "bf16"]
PACKAGES = ("clary", "torch", "transformers", "scikit-learn", "torchmetrics")


def evaluate(
    model: str | Path,
    data: str | Path,
    *,
    columns: Columns | None = None,
    labels: Sequence[str] | None = None,
    slice_by: Sequence[str] = (),
    precision: Precision = "auto",
    max_length: int | None = None,
    encoding: str | None = None,
    resamples: int = RESAMPLES,
    seed: int = 0,
    texts: bool = True,
) -> Evaluation:
    """The evaluation of a model (a folder or its model.tar.gz) on labelled data (a file or a folder of files).

    `labels` are names of the classes in the model's order where its own configuration has none; `texts` False leaves
    the texts out of what is written. Raises CannotEvaluate; the data are checked before the model loads.
    """
    bootstrap = Bootstrap(resamples, seed)
    with tempfile.TemporaryDirectory(prefix="clary-evaluate-") as scratch:
        artifact = open_model(Path(model), scratch=Path(scratch))
        rows = read_rows(Path(data), encoding=encoding)
        check_columns(rows, slice_by)
        task = _classification if artifact.task == "text-classification" else _question_answering
        return task(
            _Wish(
                artifact, Path(data), rows, columns, labels, slice_by, precision, max_length, bootstrap, texts
            )
        )


@dataclass(frozen=True, slots=True)
class _Wish:
    artifact: Artifact
    data: Path
    rows: Sequence[Row]
    columns: Columns | None
    labels: Sequence[str] | None
    slice_by: Sequence[str]
    precision: Precision
    max_length: int | None
    bootstrap: Bootstrap
    texts: bool


def _classification(wish: _Wish) -> Evaluation:
    examples = labelled(wish.rows, _class_names(wish.artifact, wish.labels), columns=wish.columns)
    from clary.recipes import running  # torch and transformers: seconds, after the data are known to be good
    from clary.recipes.classification import evaluate_classification

    encoder = running.load(wish.artifact, precision=wish.precision, max_length=wish.max_length)
    started = time.monotonic()
    classified = running.classify(encoder, wish.artifact, examples.texts, examples.pairs)
    seconds = time.monotonic() - started
    chosen = {"text": examples.columns.text, "pair": examples.columns.pair, "label": examples.columns.label}
    return evaluate_classification(
        examples,
        classified,
        by=wish.slice_by,
        bootstrap=wish.bootstrap,
        facts=_facts(wish, chosen, classified.facts, seconds),
        texts=wish.texts,
    )


def _question_answering(wish: _Wish) -> Evaluation:
    from clary.recipes import running
    from clary.recipes.question_answering import evaluate_answers
    from clary.recipes.questions import questions_of

    questions = questions_of(wish.rows)
    encoder = running.load(wish.artifact, precision=wish.precision, max_length=wish.max_length)
    started = time.monotonic()
    answers = running.answer(encoder, wish.artifact, questions)
    seconds = time.monotonic() - started
    chosen = {"question": "question", "context": "context", "answers": "answers"}
    return evaluate_answers(
        questions,
        answers,
        by=wish.slice_by,
        bootstrap=wish.bootstrap,
        facts=_facts(wish, chosen, running.facts_of(encoder), seconds),
        texts=wish.texts,
    )


def _class_names(artifact: Artifact, given: Sequence[str] | None) -> Sequence[str]:
    if given is None:
        return artifact.names
    if len(given) != len(artifact.names):
        raise CannotEvaluate(f"--labels: {len(given)} names for a model of {len(artifact.names)} classes")
    return list(given)


def _facts(
    wish: _Wish, columns: Mapping[str, str | None], inference: Mapping[str, Any], seconds: float
) -> dict[str, Any]:
    """What was evaluated on what, and how: what two runs are told apart by."""
    artifact, examples = wish.artifact, len(wish.rows)
    return {
        "model": {
            "source": artifact.source,
            "architecture": next(iter(artifact.config.get("architectures") or ["unknown"])),
            "sha256": _digest(weight_files(artifact.folder)),
        },
        "data": {
            "source": str(wish.data),
            "examples": examples,
            "files": [{"name": file.name, "sha256": _digest([file])} for file in data_files(wish.data)],
            "columns": {kind: name for kind, name in columns.items() if name is not None},
        },
        "run": {
            "inference": dict(inference),
            "seconds": round(seconds, 3),
            "examples_per_second": round(examples / max(seconds, 1e-9), 2),
            "resamples": wish.bootstrap.resamples,
            "seed": wish.bootstrap.seed,
            "versions": {name: version(name) for name in PACKAGES},
        },
    }


def _digest(files: Sequence[Path]) -> str:
    found = sha256()
    for file in files:
        with file.open("rb") as stream:
            while block := stream.read(1 << 20):
                found.update(block)
    return found.hexdigest()


def main(arguments: Sequence[str] | None = None) -> int:
    """The command; the exit status."""
    args = _parser().parse_args(arguments)
    os.environ.setdefault("HF_HUB_DISABLE_PROGRESS_BARS", "1")  # they fill a job's log
    try:
        _refuse_unwritable(args.output)
        evaluation = evaluate(
            args.model,
            args.data,
            columns=Columns(args.text_column, args.pair_column, args.label_column),
            labels=args.labels,
            slice_by=args.slice_by,
            precision=args.precision,
            max_length=args.max_length,
            encoding=args.encoding,
            resamples=args.resamples,
            seed=args.seed,
            texts=args.texts,
        )
    except ImportError as missing:
        print(f"evaluate: {missing}; the extra nlp brings it: pip install 'clary[nlp]'", file=sys.stderr)
        return 1
    except CannotEvaluate as refusal:
        print(f"evaluate: {refusal}", file=sys.stderr)
        _leave_message(str(refusal))
        return 1
    try:
        written = evaluation.write(args.output)
    except OSError as fault:
        print(f"evaluate: --output {args.output} cannot be written: {fault}", file=sys.stderr)
        _leave_message(f"{args.output} cannot be written: {fault}")
        return 1
    for path in written:
        print(path)
    for name, value in evaluation.metrics.items():
        print(f"{name}: {value:.6f}")  # for MetricDefinitions: "accuracy: ([0-9.]+)"
    print(evaluation.headline)
    _leave_message(evaluation.headline)
    return 0


def _refuse_unwritable(folder: Path) -> None:
    """Before the model has worked for an hour. Raises CannotEvaluate."""
    there = next(each for each in (folder, *folder.absolute().parents) if each.exists())
    if not there.is_dir():
        raise CannotEvaluate(f"--output {folder}: {there} is no folder")
    if not os.access(there, os.W_OK):
        raise CannotEvaluate(f"--output {folder}: {there} cannot be written to")


def _leave_message(text: str) -> None:
    """The job's ExitMessage; outside of a job there is no such folder."""
    if MESSAGE.parent.is_dir() and os.access(MESSAGE.parent, os.W_OK):
        MESSAGE.write_text(text[:1024], encoding="utf-8")


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="evaluate", description="How good is a model, really?")
    add = parser.add_argument
    add("--model", type=Path, default=MODEL, help=f"the model's folder or model.tar.gz [{MODEL}]")
    add("--data", type=Path, default=DATA, help=f"labelled data: a file, or a folder of files [{DATA}]")
    add("--output", type=Path, default=OUTPUT, help=f"folder to write to [{OUTPUT}]")
    add("--text-column", metavar="NAME", help="column of the texts [text, sentence, review, ...]")
    add("--pair-column", metavar="NAME", help="column of the second texts, for pairs [sentence2, ...]")
    add("--label-column", metavar="NAME", help="column of the labels: names or numbers [label, ...]")
    add(
        "--labels",
        type=_names,
        metavar="A,B,...",
        help="the classes' names in the model's order [the model's own]",
    )
    add(
        "--slice-by",
        type=_names,
        default=[],
        metavar="A,B,...",
        help="columns to slice by, beside label and length",
    )
    add(
        "--precision",
        choices=("auto", "fp32", "bf16"),
        default="auto",
        help="auto: fp32, and a word where bf16 would be faster",
    )
    add(
        "--max-length",
        type=_at_least(MIN_LENGTH),
        metavar="TOKENS",
        help="cut longer texts [what the model reads]",
    )
    add("--encoding", metavar="NAME", help="of text files [UTF-8]")
    add(
        "--resamples",
        type=_at_least(MIN_RESAMPLES),
        default=RESAMPLES,
        help=f"of the bootstrap [{RESAMPLES}]",
    )
    add("--seed", type=_at_least(0), default=0, help="of the bootstrap [0]")
    add(
        "--texts",
        action=argparse.BooleanOptionalAction,
        default=True,
        help="whether the texts are written, too",
    )
    return parser


def _at_least(least: int) -> Callable[[str], int]:
    def number(text: str) -> int:
        value = int(text)
        if value < least:
            raise argparse.ArgumentTypeError(f"{value} is less than {least}")
        return value

    return number


def _names(text: str) -> list[str]:
    return [name.strip() for name in text.split(",") if name.strip()]


if __name__ == "__main__":
    sys.exit(main())
