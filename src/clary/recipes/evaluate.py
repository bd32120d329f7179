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
from collections.abc import Mapping, Sequence
from hashlib import sha256
from importlib.metadata import version
from pathlib import Path
from typing import Any

from clary.recipes.artifact import Artifact, open_model
from clary.recipes.evaluation import Evaluation
from clary.recipes.intervals import RESAMPLES, Bootstrap
from clary.recipes.labelled import Columns, Labelled, labelled
from clary.recipes.refusal import CannotEvaluate
from clary.recipes.rows import data_files, read_rows
from clary.recipes.slicing import check_columns

MODEL, DATA, OUTPUT = (Path("/opt/ml/processing") / name for name in ("model", "test", "evaluation"))
MESSAGE = Path("/opt/ml/output/message")  # what a processing job's ExitMessage is read from
PACKAGES = ("clary", "torch", "transformers", "scikit-learn", "torchmetrics")


def evaluate(
    model: str | Path,
    data: str | Path,
    *,
    columns: Columns | None = None,
    labels: Sequence[str] | None = None,
    slice_by: Sequence[str] = (),
    precision: str = "fp32",
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
        if artifact.task == "question-answering":
            raise CannotEvaluate("question-answering is not supported yet")
        names = _class_names(artifact, labels)
        examples = labelled(rows, names, columns=columns)
        from clary.recipes.classification import evaluate_classification  # torch and scikit-learn: seconds
        from clary.recipes.running import PlainClassifier

        classifier = PlainClassifier(artifact, max_length=max_length)
        started = time.monotonic()
        classified = classifier.classify(examples.texts, examples.pairs)
        seconds = time.monotonic() - started
        facts = _facts(artifact, Path(data), examples, classified.facts, seconds, bootstrap)
        return evaluate_classification(
            examples, classified, by=slice_by, bootstrap=bootstrap, facts=facts, texts=texts
        )


def _class_names(artifact: Artifact, given: Sequence[str] | None) -> Sequence[str]:
    if given is None:
        return artifact.names
    if len(given) != len(artifact.names):
        raise CannotEvaluate(f"--labels: {len(given)} names for a model of {len(artifact.names)} classes")
    return list(given)


def _facts(
    artifact: Artifact,
    data: Path,
    examples: Labelled,
    inference: Mapping[str, Any],
    seconds: float,
    bootstrap: Bootstrap,
) -> dict[str, Any]:
    """What was evaluated on what, and how: what two runs are told apart by."""
    chosen = examples.columns
    return {
        "model": {
            "source": artifact.source,
            "architecture": next(iter(artifact.config.get("architectures") or ["unknown"])),
            "sha256": _digest(sorted(artifact.folder.glob("*.safetensors"))),
        },
        "data": {
            "source": str(data),
            "examples": len(examples),
            "files": [{"name": file.name, "sha256": _digest([file])} for file in data_files(data)],
            "columns": {"text": chosen.text, "text pair": chosen.pair, "label": chosen.label},
        },
        "run": {
            "inference": dict(inference),
            "seconds": round(seconds, 3),
            "examples_per_second": round(len(examples) / max(seconds, 1e-9), 2),
            "resamples": bootstrap.resamples,
            "seed": bootstrap.seed,
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
    try:
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
    except CannotEvaluate as refusal:
        print(f"evaluate: {refusal}", file=sys.stderr)
        _leave_message(str(refusal))
        return 1
    for path in evaluation.write(args.output):
        print(path)
    for name, value in evaluation.metrics.items():
        print(f"{name}: {value:.6f}")  # for MetricDefinitions: "accuracy: ([0-9.]+)"
    print(evaluation.headline)
    _leave_message(evaluation.headline)
    return 0


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
        choices=("fp32", "bf16"),
        default="fp32",
        help="bf16: faster, probabilities differ by .01 [fp32]",
    )
    add("--max-length", type=int, metavar="TOKENS", help="cut longer texts [what the model reads]")
    add("--encoding", metavar="NAME", help="of text files [UTF-8]")
    add("--resamples", type=int, default=RESAMPLES, help=f"of the bootstrap [{RESAMPLES}]")
    add("--seed", type=int, default=0, help="of the bootstrap [0]")
    add(
        "--texts",
        action=argparse.BooleanOptionalAction,
        default=True,
        help="whether the texts are written, too",
    )
    return parser


def _names(text: str) -> list[str]:
    return [name.strip() for name in text.split(",") if name.strip()]


if __name__ == "__main__":
    sys.exit(main())
