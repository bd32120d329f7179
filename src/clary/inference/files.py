"""A saved encoder read directly: config.json, model.safetensors and tokenizer.json, without transformers.

Importing transformers takes longer than everything else that a first answer waits for. What is not exactly what
`save_pretrained` writes for one of the known architectures is left to transformers, which also says what is wrong.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from clary.inference import heads, linear, weights
from clary.inference.source import BASES, FAMILIES, KINDS, Source, Task, activation_name, odd_settings
from clary.inference.tokenizer_file import FileTokenizer
from clary.inference.tokenizer_file import read as read_tokenizer

FOREIGN = ("adapter_config.json", "model.safetensors.index.json")
SILENT = ("embeddings.position_ids", "embeddings.token_type_ids")  # buffers that older releases saved
ENDINGS = {"SequenceClassification", "TokenClassification", "QuestionAnswering", "MaskedLM", "Model"}


@dataclass(frozen=True, slots=True)
class Files:
    source: Source
    tokenizer: FileTokenizer


def read(folder: Path, *, task: Task | None, tokenizer: Path | None = None) -> Files | None:
    """`tokenizer`: the folder it is in, if not beside the model. None where transformers has to read it."""
    try:
        from safetensors import SafetensorError
    except ImportError:
        return None
    try:
        settings = json.loads((folder / "config.json").read_text("utf-8"))
        if not _plain(folder, settings):
            return None
        reader = read_tokenizer(tokenizer or folder, settings["model_type"])
        source = None if reader is None else _source(folder, settings, task)
    except (OSError, ValueError, KeyError, TypeError, AttributeError, ImportError, SafetensorError):
        return None  # transformers says what is wrong
    return None if reader is None or source is None else Files(source, reader)


def _plain(folder: Path, settings: Mapping[str, Any]) -> bool:
    family = str(settings["model_type"]).replace("-", "_")
    named = settings.get("architectures") or []
    return (
        family in FAMILIES
        and len(named) == 1
        and any(str(named[0]).endswith(ending) for ending in ENDINGS)
        and not any(settings.get(name) for name in ("auto_map", "quantization_config", "torchscript"))
        and not any((folder / name).exists() for name in FOREIGN)
        and odd_settings(settings) is None
        and activation_name(settings) in linear.ACTIVATIONS
        and (family == "distilbert" or "layer_norm_eps" in settings)
        and "pad_token_id" in settings
        and settings.get("sinusoidal_pos_embds") is not True
    )


def task_of(settings: Mapping[str, Any]) -> Task:
    """What a configuration names."""
    named = " ".join(settings.get("architectures") or [])
    return next((task for ending, task in KINDS.items() if ending in named), "features")


def labels(settings: Mapping[str, Any]) -> tuple[str, ...]:
    """The labels' names, by number. transformers leaves those out that it makes up."""
    named = settings.get("id2label")
    if named:
        return tuple(str(named[number]) for number in sorted(named, key=int))
    return tuple(f"LABEL_{number}" for number in range(int(settings.get("num_labels") or 2)))


def _source(folder: Path, settings: Mapping[str, Any], task: Task | None) -> Source | None:
    from safetensors.torch import load_file

    task = task or task_of(settings)
    family = str(settings["model_type"]).replace("-", "_")
    tensors = load_file(folder / "model.safetensors")
    base = BASES[family]
    if task == "features" and not any(name.startswith(base) for name in tensors):
        base = ""
    source = Source(family, task, settings, tensors, base)
    return source if _whole(source) else None


def _whole(source: Source) -> bool:
    """Everything that is needed is there, in the right shape, and nothing of the encoder's besides."""
    needed = dict(_encoder(source)) | dict(_head(source))
    if any(source.tensors[name].shape != shape for name, shape in needed.items()):  # a KeyError is: not whole
        return False
    return all(
        name in needed or name[len(source.base) :].startswith(("pooler.", *SILENT))
        for name in source.tensors
        if name.startswith(source.base) and (source.base or not _of_head(name))
    )


def _of_head(name: str) -> bool:
    return name.startswith(("classifier.", "qa_outputs.", "pre_classifier.", "cls.", "lm_head."))


def _encoder(source: Source) -> Iterator[tuple[str, tuple[int, ...]]]:
    """Names and shapes."""
    base, family, settings = source.base, source.family, source.settings
    parts = weights.names(family)
    _, layers = weights.heads_and_layers(settings)
    hidden = int(settings["dim" if family == "distilbert" else "hidden_size"])
    inner = int(settings["hidden_dim" if family == "distilbert" else "intermediate_size"])
    narrow = int(settings.get("embedding_size") or hidden) if family == "electra" else hidden
    embeddings = base + "embeddings."
    yield f"{embeddings}word_embeddings.weight", (int(settings["vocab_size"]), narrow)
    yield f"{embeddings}position_embeddings.weight", (int(settings["max_position_embeddings"]), narrow)
    if family != "distilbert":
        yield f"{embeddings}token_type_embeddings.weight", (int(settings["type_vocab_size"]), narrow)
    yield from _norm(f"{embeddings}LayerNorm", narrow)
    if narrow != hidden:
        yield from _linear(f"{base}embeddings_project", hidden, narrow)
    for number in range(layers):
        prefix = f"{base}{parts['layers']}.{number}."
        for name in ("query", "key", "value", "out"):
            yield from _linear(prefix + parts[name], hidden, hidden)
        yield from _linear(prefix + parts["up"], inner, hidden)
        yield from _linear(prefix + parts["down"], hidden, inner)
        for name in ("attended", "finished"):
            yield from _norm(prefix + parts[name], hidden)


def _head(source: Source) -> Iterator[tuple[str, tuple[int, ...]]]:
    hidden = int(source.settings["dim" if source.family == "distilbert" else "hidden_size"])
    *inner, last = heads.names(source.family, source.task, source.base) or (None,)
    for name in inner:
        assert name is not None
        yield from _linear(name, hidden, hidden)
    if last is not None:
        outputs = 2 if source.task == "answering" else len(labels(source.settings))
        yield from _linear(last, outputs, hidden)


def _linear(name: str, outputs: int, inputs: int) -> Iterator[tuple[str, tuple[int, ...]]]:
    yield f"{name}.weight", (outputs, inputs)
    yield f"{name}.bias", (outputs,)


def _norm(name: str, size: int) -> Iterator[tuple[str, tuple[int, ...]]]:
    yield f"{name}.weight", (size,)
    yield f"{name}.bias", (size,)
