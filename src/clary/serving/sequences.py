"""From a text to a text: summaries, translations and the like, as the pipelines of transformers 4 make them."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from clary.serving import pipelines, tasks
from clary.serving.calls import Answer, Call, OneByOne, shown, texts_of
from clary.serving.device import device
from clary.serving.faults import LoadFault, RequestFault, last_line
from clary.serving.reading import note, too_long

NAMES = {
    "text2text-generation": "generated_text",
    "summarization": "summary_text",
    "translation": "translation_text",
}
USUAL = {"max_new_tokens": 256, "num_beams": 4}
OURS = {
    "truncation",
    "clean_up_tokenization_spaces",
    "return_text",
    "src_lang",
    "tgt_lang",
    "batch_size",
    "num_workers",
}


def is_one(task: str) -> bool:
    """Whether a task makes a text of a text."""
    return family(task) in NAMES


def family(task: str) -> str:
    """`translation_en_to_de` is a translation."""
    return "translation" if task.startswith("translation_") else task


class SequencePredictor(OneByOne):
    """Texts one by one. `device`: where the model runs."""

    def __init__(
        self, folder: Path, task: str, *, precision: str, trust_remote_code: bool, truncate: bool
    ) -> None:
        """Raises LoadFault."""
        kind, how = "AutoModelForSeq2SeqLM", pipelines.how(task, precision, trust_remote_code)
        try:
            self._tokenizer, self._model = pipelines.reader_and_model(folder, task, kind, how)
        except LoadFault:
            raise
        except Exception as error:  # broken folders end in exceptions of every kind
            raise LoadFault(pipelines.why_not(error, folder, task)) from error
        self._model.to(device()).eval()
        self.device = self._model.device.type
        self._task, self._truncate = task, truncate
        settings = tasks.configuration(folder)
        special = dict((settings.get("task_specific_params") or {}).get(task) or {})
        self._prefix = str(special.pop("prefix", None) or settings.get("prefix") or "")
        self._special = special

    def _answered(self, call: Call) -> Answer:
        several = isinstance(call.inputs, list)
        texts = texts_of(call.inputs)
        made = [self._made(text, call.parameters) for text in texts]
        value: list[Any] = [records for records, _ in made]
        if several and all(len(records) == 1 for records in value):
            value = [records[0] for records in value]
        return Answer(
            value if several else value[0], note(sum(cut for _, cut in made), len(made), self._limit or 0)
        )

    def _made(self, text: str, given: Mapping[str, Any]) -> tuple[list[dict[str, str]], bool]:
        """What is made of a text, and whether that was cut. Raises RequestFault."""
        import torch

        inputs, cut = self._read(text, given)
        try:
            with torch.no_grad():
                sequences = self._model.generate(**inputs.to(self._model.device), **self._parameters(given))
        except (ValueError, TypeError) as error:  # parameters that do not go together, or do not exist
            raise RequestFault(f"{self._task} cannot take this: {last_line(error)}") from error
        clean = bool(given.get("clean_up_tokenization_spaces", False))
        name = NAMES[family(self._task)]
        decode = self._tokenizer.decode
        return [
            {name: decode(ids, skip_special_tokens=True, clean_up_tokenization_spaces=clean)}
            for ids in sequences
        ], cut

    def _parameters(self, given: Mapping[str, Any]) -> dict[str, Any]:
        """Those of the request, over those of the task, over the model's own, over the usual ones."""
        if given.get("return_tensors") or given.get("return_text") is False:
            raise RequestFault("parameters: text is what can be returned, not tensors")
        asked = {name: value for name, value in given.items() if name not in OURS | {"return_tensors"}}
        chosen = self._special | asked
        known = set(self._model.generation_config.to_diff_dict()) | set(chosen)
        usual = {name: value for name, value in USUAL.items() if name not in known}
        if (most := self._limit) is not None:
            usual |= (
                {"max_new_tokens": min(USUAL["max_new_tokens"], most - 1)}
                if "max_new_tokens" in usual
                else {}
            )
            _check(asked, most - 1)
        if "max_length" in known:
            usual.pop("max_new_tokens", None)
        return usual | chosen

    def _read(self, text: str, given: Mapping[str, Any]) -> tuple[Any, bool]:
        tokenizer, limit = self._tokenizer, self._limit
        length = len(tokenizer(self._prefix + text, verbose=False)["input_ids"])
        over = limit is not None and length > limit
        if over and not (self._truncate or given.get("truncation")):
            raise RequestFault(too_long(length, limit or 0))
        cut = (
            {"truncation": True, "max_length": limit}
            if over
            else {"truncation": given.get("truncation", False)}
        )
        source, target = self._languages(given)
        if (build := getattr(tokenizer, "_build_translation_inputs", None)) and source and target:
            inputs = build(self._prefix + text, return_tensors="pt", src_lang=source, tgt_lang=target, **cut)
        else:
            inputs = tokenizer(self._prefix + text, return_tensors="pt", **cut)
        inputs.pop("token_type_ids", None)
        return inputs, over

    def _languages(self, given: Mapping[str, Any]) -> tuple[str | None, str | None]:
        named = self._task.split("_")  # translation_en_to_de
        source, target = (
            (named[1], named[3]) if len(named) == 4 and named[0] == "translation" else (None, None)
        )
        return given.get("src_lang", source), given.get("tgt_lang", target)

    @property
    def _limit(self) -> int | None:
        """Tokens of a text, where the model counts positions."""
        positions = getattr(self._model.config, "max_position_embeddings", None)
        return positions if isinstance(positions, int) and positions > 0 else None


def _check(asked: Mapping[str, Any], most: int) -> None:
    for name in ("max_new_tokens", "max_length"):
        number = asked.get(name)
        if number is not None and (type(number) is not int or not 0 < number <= most):
            raise RequestFault(f"parameters.{name}: a number from 1 to {most} expected, not {shown(number)}")
