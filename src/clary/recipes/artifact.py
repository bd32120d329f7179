"""A trained model as SageMaker hands it over: a folder, or the folder's model.tar.gz."""

from __future__ import annotations

import json
import tarfile
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from clary.recipes.refusal import CannotEvaluate

TASKS = {
    "ForSequenceClassification": "text-classification",
    "ForQuestionAnswering": "question-answering",
    "ForTokenClassification": "token-classification",
}
SUPPORTED = ("text-classification", "question-answering")
ARCHIVES = (".tar.gz", ".tgz", ".tar")


@dataclass(frozen=True, slots=True)
class Artifact:
    """A model's folder (the one with config.json), its configuration, what it was given as, and its task."""

    folder: Path
    config: Mapping[str, Any]
    source: str
    task: str

    @property
    def names(self) -> list[str]:
        """The classes in the model's order. Raises CannotEvaluate."""
        given = self.config.get("id2label")
        if not given:
            return [f"LABEL_{n}" for n in range(int(self.config.get("num_labels", 2)))]
        try:
            return [str(given[key]) for key in sorted(given, key=int)]
        except (TypeError, ValueError) as broken:
            raise CannotEvaluate(
                f"config.json of {self.source}: id2label is no table of names by number, as "
                '{"0": "negative", "1": "positive"} is'
            ) from broken


def open_model(path: Path, *, scratch: Path, task: str | None = None) -> Artifact:
    """The model at `path`: its folder, an archive of it, or a folder with one archive. Archives go below `scratch`.

    Raises CannotEvaluate when there is no model, or one whose task is not evaluated here.
    """
    folder = _unpacked(_archive(path), scratch) if _archive(path) else path
    place = _config(folder, path)
    try:
        config = json.loads(place.read_text(encoding="utf-8"))
    except ValueError as broken:
        raise CannotEvaluate(f"{place.name} of {path}: not JSON ({broken})") from broken
    if not isinstance(config, dict):
        raise CannotEvaluate(f"{place.name} of {path}: {type(config).__name__} where an object belongs")
    return Artifact(place.parent, config, str(path), task or _task(config, path))


def _archive(path: Path) -> Path | None:
    if not path.exists():
        raise CannotEvaluate(f"--model {path}: no such file or folder")
    if path.is_file():
        return path
    if any(path.rglob("config.json")):
        return None
    archives = sorted(each for each in path.iterdir() if each.name.endswith(ARCHIVES))
    if len(archives) > 1:
        raise CannotEvaluate(
            f"--model {path}: several archives ({', '.join(a.name for a in archives)}); name one"
        )
    return archives[0] if archives else None


def _unpacked(archive: Path | None, scratch: Path) -> Path:
    assert archive is not None
    target = scratch / "model"
    target.mkdir(parents=True)
    try:
        with tarfile.open(archive) as tar:
            tar.extractall(target, filter="data")
    except (tarfile.TarError, EOFError, OSError) as broken:
        raise CannotEvaluate(f"--model {archive}: not a whole model.tar.gz ({broken})") from broken
    return target


def _config(folder: Path, given: Path) -> Path:
    """The config.json nearest to the top: checkpoints may lie below the model."""
    found = sorted(folder.rglob("config.json"), key=lambda each: (len(each.parts), each))
    found = [each for each in found if _is_model(each)] or found
    if not found:
        raise CannotEvaluate(f"--model {given}: no config.json; save the model with save_pretrained()")
    level = [each for each in found if len(each.parts) == len(found[0].parts)]
    if len(level) > 1:
        names = ", ".join(str(each.parent.relative_to(folder)) for each in level)
        raise CannotEvaluate(f"--model {given}: several models ({names}); name one")
    return found[0]


def _is_model(config: Path) -> bool:
    return bool(weight_files(config.parent))


def weight_files(folder: Path) -> list[Path]:
    return sorted(folder.glob("*.safetensors")) or sorted(folder.glob("pytorch_model*.bin"))


def _task(config: Mapping[str, Any], path: Path) -> str:
    architectures: Sequence[str] = config.get("architectures") or ()
    for architecture in architectures:
        for ending, task in TASKS.items():
            if architecture.endswith(ending):
                return _supported(task, config, path)
    raise CannotEvaluate(
        f"--model {path}: {', '.join(architectures) or 'a model without `architectures` in config.json'} "
        f"is none of {', '.join('...' + ending for ending in TASKS)}"
    )


def _supported(task: str, config: Mapping[str, Any], path: Path) -> str:
    if task not in SUPPORTED:
        raise CannotEvaluate(f"--model {path}: {task} is not supported yet; {' and '.join(SUPPORTED)} are")
    problem = config.get("problem_type")
    if problem is None and len(config.get("id2label") or ()) == 1:
        problem = "regression"  # what transformers makes of a single output
    if task == "text-classification" and problem in {"multi_label_classification", "regression"}:
        raise CannotEvaluate(
            f"--model {path}: problem_type {problem} is not supported yet; single-label models are"
        )
    return task
