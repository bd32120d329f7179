"""An encoder model that runs many texts fast: the room's face."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from itertools import islice
from pathlib import Path
from typing import Any, Literal

import numpy as np
import torch
from numpy.typing import NDArray

from clary.inference import batches, files, memory, packed, padded, precision, tokens, weights, workers
from clary.inference import source as sources
from clary.inference.faults import ModelFault, TaskFault
from clary.inference.linear import packing_works
from clary.inference.loading import load
from clary.inference.quantised import quantising_works
from clary.inference.source import Source, Task
from clary.inference.tokens import Tokens

Floats = NDArray[np.float32]
Progress = Callable[[int], None]  # how many texts are done

WINDOW = 4096  # texts whose tokens and results are held at a time
BUDGET_CPU = 512  # tokens a batch: more are not faster on one core, and take the process 200 MB more
BUDGET_GPU = 32768


@dataclass(frozen=True, slots=True)
class Located:
    """Outputs for each token of a part of a text.

    text: index of the text. outputs: (tokens, labels) logits, or (tokens, 2) start and end. offsets: (tokens, 2) first
    and last + 1 character. sequence: (tokens,) 0 for the first text, 1 for the second of a pair, -1 for special tokens.
    """

    text: int
    outputs: Floats
    offsets: NDArray[np.int64]
    sequence: NDArray[np.int64]


class Encoder:
    """`Encoder.load(...)`, then one of `classify`, `tag`, `answer` or `embed`. Results are in the texts' order.

    task, labels (the names, by number), problem (the configuration's problem_type, or None), precision, device,
    max_length (tokens), threads (batches at a time), and two sentences for a report: `way` (how it runs, and why) and
    `advice` (a precision that would serve better, or None).
    """

    @classmethod
    def load(
        cls,
        source: str | Path,
        *,
        precision: precision.Precision = "fp32",
        task: Task | None = None,
        tokenizer: str | Path | None = None,
        device: str = "auto",
        threads: int | None = None,
        max_length: int | None = None,
        padding_free: bool = True,
    ) -> Encoder:
        """From a folder, a model.tar.gz, or a name that transformers resolves.

        precision: "fp32" is exact, "bf16" is faster where the hardware has it, "int8" faster still and further from
        exact: `agreement` says how far. "auto" is fp32 with advice.
        task: what to load the model for, if not what its configuration names.
        threads: cores to use; what torch is set to by default. padding_free=False forces the ordinary way.
        Raises ModelFault.
        """
        directly = padding_free and _device(device) == "cpu"
        loaded = load(source, task=task, tokenizer=tokenizer, directly=directly)
        return cls(
            loaded.model,
            loaded.tokenizer,
            loaded.task,
            precision=precision,
            device=device,
            threads=threads,
            max_length=max_length,
            padding_free=padding_free,
        )

    def __init__(
        self,
        model: Any,
        tokenizer: Any,
        task: Task,
        *,
        precision: precision.Precision = "fp32",
        device: str = "auto",
        threads: int | None = None,
        max_length: int | None = None,
        padding_free: bool = True,
    ) -> None:
        """Around a transformers model that is loaded already; it may be changed (evaluation mode, type, device)."""
        self.task, self.precision = task, precision
        self.device = torch.device(_device(device))
        self.threads = (threads or torch.get_num_threads()) if self.device.type == "cpu" else 1
        settings = model.settings if isinstance(model, Source) else model.config.to_dict()
        self.labels = files.labels(settings)
        self.problem = settings.get("problem_type")
        self.max_length = tokens.limit(tokenizer, settings, asked=max_length)
        self._tokenizer = tokenizer
        self._prepare(model, padding_free=padding_free)

    def _prepare(self, model: Any, *, padding_free: bool) -> None:
        form = precision.form(self.precision)
        self.advice = precision.advice(self.precision, self.device)
        self._model: Any = None
        self._weights: weights.Weights | None = None
        if not isinstance(model, Source):
            model = model.eval().float()  # it may have been saved in another type
        why = self._why_not_packed(model) if padding_free else "asked for"
        if form.whole and (why is not None or not quantising_works()):
            raise ModelFault(
                f"precision int8 cannot run here: {why or 'this torch has no products of integers'}"
            )
        if why is not None:
            self._model = model.to(self.device, form.dtype)
            self.way = f"in batches of like length: {why}"
            return
        memory.keep()
        fast = form.whole or packing_works(form.dtype)
        given = model if isinstance(model, Source) else sources.of_model(model)
        self._weights = weights.read(given, form, packed=fast)
        self.way = "padding-free" + ("" if fast else ", with torch's own products: oneDNN's do not work here")

    def _why_not_packed(self, model: Any) -> str | None:
        why = None if isinstance(model, Source) else sources.why_not(model)
        return f"on {self.device.type}" if why is None and self.device.type != "cpu" else why

    def classify(
        self, texts: Iterable[str], pairs: Iterable[str] | None = None, *, progress: Progress | None = None
    ) -> Floats:
        """Logits (texts, labels), before any softmax. `pairs`: the second sentence of each. Raises TaskFault."""
        return _stacked(self.classified(texts, pairs, progress=progress), len(self.labels))

    def classified(
        self,
        texts: Iterable[str],
        pairs: Iterable[str] | None = None,
        *,
        window: int = WINDOW,
        progress: Progress | None = None,
    ) -> Iterator[Floats]:
        """The same a window at a time: (up to `window`, labels). Memory does not grow with the number of texts."""
        self._only("classification", "classify")
        done = _Count(progress)
        for some, others in _windows(texts, pairs, window):
            yield self._by_text(self._tokens(some, others), done)

    def tag(self, texts: Iterable[str], *, progress: Progress | None = None) -> list[Located]:
        """Logits (tokens, labels) of each text. Raises TaskFault."""
        self._only("tagging", "tag")
        return list(self._located(texts, None, stride=None, progress=progress))

    def answer(
        self,
        questions: Iterable[str],
        contexts: Iterable[str],
        *,
        stride: int = 128,
        progress: Progress | None = None,
    ) -> list[Located]:
        """Start and end logits (tokens, 2); a long context is cut into parts that overlap by `stride` tokens.

        `sequence` tells the context's tokens (1) from the question's (0). Raises TaskFault.
        """
        self._only("answering", "answer")
        return list(self._located(questions, contexts, stride=stride, progress=progress))

    def embed(
        self,
        texts: Iterable[str],
        pairs: Iterable[str] | None = None,
        *,
        pooling: Literal["mean", "first"] = "mean",
        progress: Progress | None = None,
    ) -> Floats:
        """The last hidden states of each text's tokens, their mean or the first: (texts, hidden). Raises TaskFault."""
        self._only("features", "embed")
        done, rows = _Count(progress), []
        pool = _mean if pooling == "mean" else _first
        for some, others in _windows(texts, pairs, WINDOW):
            rows += self._by_token(self._tokens(some, others), done, keep=pool)
        return np.stack(rows) if rows else np.empty((0, 0), np.float32)

    @property
    def tokenizer(self) -> Any:
        """The model's own, for callers that make tokens themselves."""
        return self._tokenizer

    def outputs(self, read: Tokens) -> list[Floats]:
        """Of each part, in order: (labels,) of a classifier, (tokens, outputs) of the other tasks."""
        if self.task == "classification":
            return list(self._by_text(read, _Count(None)))
        return self._by_token(read, _Count(None))

    def _only(self, task: Task, method: str) -> None:
        if self.task != task:
            raise TaskFault(f"{method} needs a model for {task}; this one is for {self.task}")

    def _tokens(self, texts: Sequence[str], pairs: Sequence[str] | None, **more: Any) -> Tokens:
        return tokens.tokenize(self._tokenizer, texts, pairs, most=self.max_length, **more)

    def _located(
        self,
        texts: Iterable[str],
        pairs: Iterable[str] | None,
        *,
        stride: int | None,
        progress: Progress | None,
    ) -> Iterator[Located]:
        if not getattr(self._tokenizer, "is_fast", False):
            raise ModelFault(
                "places of tokens are known to fast tokenizers only: save the model with a tokenizer.json"
            )
        done, before = _Count(progress), 0
        for some, others in _windows(texts, pairs, WINDOW):
            read = self._tokens(some, others, located=True, stride=stride)
            assert read.offsets is not None and read.sequence is not None
            for part, outputs in enumerate(self._by_token(read, done)):
                text = before + int(read.of[part])
                yield Located(text, outputs, read.offsets[part], read.sequence[part])
            before += len(some)

    def _by_text(self, read: Tokens, done: _Count) -> Floats:
        results = np.empty((len(read.ids), len(self.labels)), np.float32)
        for batch, outputs in self._run(read, per_token=False):
            results[batch] = outputs
            done.add(len(batch))
        return results

    def _by_token(
        self, read: Tokens, done: _Count, *, keep: Callable[[Floats], Floats] = lambda outputs: outputs
    ) -> list[Floats]:
        """What `keep` makes of each part's (tokens, outputs)."""
        lengths = read.lengths
        results: list[Floats] = [np.empty((0, 0), np.float32)] * len(lengths)
        for batch, outputs in self._run(read, per_token=True):
            ends = np.cumsum(lengths[batch])
            for index, part in zip(batch, np.split(outputs, ends[:-1]), strict=True):
                results[index] = keep(part)
            done.add(len(batch))
        return results

    def _run(self, read: Tokens, *, per_token: bool) -> Iterator[tuple[NDArray[np.int64], Floats]]:
        """Batches of indexes and their outputs."""
        lengths = read.lengths
        most = BUDGET_CPU if self.device.type == "cpu" else BUDGET_GPU
        budget = min(most, -(-int(lengths.sum()) // self.threads))
        plan = batches.padded_batches if self._weights is None else batches.packed_batches

        def work(batch: NDArray[np.int64]) -> Floats:
            ids = [read.ids[index] for index in batch]
            types = None if read.types is None else [read.types[index] for index in batch]
            if self._weights is not None:
                outputs = packed.run(self._weights, packed.pack(ids, types, self._weights.embedding))
            else:
                padding = self._tokenizer.pad_token_id or 0
                outputs = padded.run(self._model, ids, types, padding=padding, per_token=per_token)
            array: Floats = outputs.numpy()
            return array

        return workers.each(list(plan(lengths, budget)), work, threads=self.threads)


class _Count:
    def __init__(self, progress: Progress | None) -> None:
        self._progress, self._done = progress, 0

    def add(self, texts: int) -> None:
        self._done += texts
        if self._progress is not None:
            self._progress(self._done)


def _mean(outputs: Floats) -> Floats:
    mean: Floats = outputs.mean(0)
    return mean


def _first(outputs: Floats) -> Floats:
    first: Floats = outputs[0].copy()  # not a view that keeps all of them
    return first


def _device(asked: str) -> str:
    if asked != "auto":
        return asked
    return "cuda" if torch.cuda.is_available() else "cpu"


def _stacked(windows: Iterable[Floats], columns: int) -> Floats:
    return np.concatenate([np.empty((0, columns), np.float32), *windows])


def _windows(
    texts: Iterable[str], pairs: Iterable[str] | None, size: int
) -> Iterator[tuple[list[str], list[str] | None]]:
    """Raises ValueError where there are not as many pairs as texts, and TypeError for one string instead of many."""
    if isinstance(texts, str):
        raise TypeError("texts: an iterable of strings expected, not one string")
    if pairs is None:
        several = iter(texts)
        while some := list(islice(several, size)):
            yield some, None
        return
    both = zip(texts, pairs, strict=True)
    while window := list(islice(both, size)):
        yield [text for text, _ in window], [pair for _, pair in window]
