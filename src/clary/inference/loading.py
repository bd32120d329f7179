"""A model and its tokenizer, loaded with the head that its configuration names: its files, or through transformers."""

from __future__ import annotations

import pickle
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from clary.inference import files, folder
from clary.inference.faults import ModelFault
from clary.inference.source import Task

CLASSES = {
    "classification": "AutoModelForSequenceClassification",
    "tagging": "AutoModelForTokenClassification",
    "answering": "AutoModelForQuestionAnswering",
    "features": "AutoModel",
}


@dataclass(frozen=True, slots=True)
class Loaded:
    """model: of transformers, or a `source.Source` that was read from files."""

    model: Any
    tokenizer: Any
    task: Task


def load(
    source: str | Path, *, task: Task | None, tokenizer: str | Path | None, directly: bool = False
) -> Loaded:
    """`task` overrules what the configuration names, `tokenizer` where it is read from.

    `directly`: without transformers where the files are plain enough. Raises ModelFault.
    """
    with folder.opened(source) as place:
        local = Path(place).is_dir()
        if directly and local:
            beside = None if tokenizer is None else Path(tokenizer)
            found = files.read(Path(place), task=task, tokenizer=beside)
            if found is not None:
                return Loaded(found.source, found.tokenizer, found.source.task)
        config = _read("AutoConfig", place, "config.json", source, local=local)
        task = task or files.task_of(config.to_dict())
        if tokenizer is None:
            reader = _read("AutoTokenizer", place, "the tokenizer", source, local=local)
        else:
            reader = _read(
                "AutoTokenizer", str(tokenizer), "the tokenizer", tokenizer, local=Path(tokenizer).is_dir()
            )
        model, report = _read(
            CLASSES[task], place, "the model", source, local=local, config=config, output_loading_info=True
        )
    _must_be_whole(source, reader, report["missing_keys"], task)
    return Loaded(model.eval(), reader, task)


def _must_be_whole(source: str | Path, reader: Any, missing: Iterable[str], task: Task) -> None:
    """transformers makes up what is missing, and the results would be noise."""
    if len(reader) <= len(reader.all_special_tokens):
        raise ModelFault(
            f"{source}: no tokenizer is saved beside the model (its vocabulary is empty); save it there with "
            "tokenizer.save_pretrained(folder), or say where one is"
        )
    random = sorted(name for name in missing if task != "features" or "pooler" not in name)
    if random:
        raise ModelFault(
            f"{source} has no weights for {', '.join(random[:4])}: it was not trained for {task}"
        )


def _read(kind: str, place: str, what: str, source: str | Path, *, local: bool, **more: Any) -> Any:
    import transformers

    try:
        return getattr(transformers, kind).from_pretrained(place, local_files_only=local, **more)
    except pickle.UnpicklingError as error:
        raise ModelFault(
            f"{source}: {what} cannot be loaded: its weights are a broken pickle, or one that holds more than tensors, "
            "which may run code; save it again with save_pretrained(), which writes safetensors"
        ) from error
    except Exception as error:  # broken files end in exceptions of every kind, of four libraries
        raise ModelFault(
            f"{source}: {what} cannot be loaded by transformers {transformers.__version__}: {error}"
        ) from error
