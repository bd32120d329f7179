"""transformers' own pipelines: every task that Clary does not run itself, and every parameter that it does not know."""

from __future__ import annotations

import inspect
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from clary.serving import reading
from clary.serving.calls import Answer, Call, OneByOne, shown
from clary.serving.device import device
from clary.serving.faults import LoadFault, RequestFault, last_line

TRUNCATION: dict[
    str, dict[str, Any]
] = {  # what makes a task's pipeline cut text; the others do it by themselves
    "text-classification": {"truncation": True},
    "feature-extraction": {"truncation": True},
    "fill-mask": {"tokenizer_kwargs": {"truncation": True}},
}
OPEN = {  # tasks whose pipelines take any parameter and pass over those that they do not know
    "zero-shot-classification": {"candidate_labels", "hypothesis_template", "multi_label"},
    "feature-extraction": {"truncation", "tokenize_kwargs", "return_tensors"},
    "text-classification": {"top_k", "function_to_apply", "return_all_scores"},
}
TEXT_MODELS = {
    "text-classification": "AutoModelForSequenceClassification",
    "zero-shot-classification": "AutoModelForSequenceClassification",
    "token-classification": "AutoModelForTokenClassification",
    "fill-mask": "AutoModelForMaskedLM",
    "text-generation": "AutoModelForCausalLM",
}
TOKENIZERS = ("tokenizer*", "vocab.*", "*.model", "*.spm")  # files that one is made from
USUAL = {"batch_size", "num_workers"}
CUT_BY_THEMSELVES = ("token-classification", "zero-shot-classification")
MISTAKES = (ValueError, TypeError, KeyError)  # how pipelines refuse what they are given


def pipeline(folder: Path, task: str, *, precision: str, trust_remote_code: bool) -> Any:
    """A transformers pipeline of the model in a folder. Raises LoadFault."""
    import transformers

    options = how(task, precision, trust_remote_code)
    build: Any = transformers.pipeline
    try:
        if (kind := TEXT_MODELS.get(task)) is None:
            made = build(task, model=str(folder), device=device(), **options)
        else:
            reader, model = reader_and_model(folder, task, kind, options)
            made = build(task, model=model, tokenizer=reader, device=device(), **options)
    except LoadFault:
        raise
    except Exception as error:  # broken folders end in exceptions of every kind
        raise LoadFault(why_not(error, folder, task)) from error
    _limit(made)
    return made


def how(task: str, precision: str, trust_remote_code: bool) -> dict[str, Any]:
    """What transformers is told of the number format and of foreign code. Raises LoadFault."""
    import torch
    import transformers

    dtype = {"fp32": torch.float32, "bf16": torch.bfloat16}.get(precision)
    if dtype is None:
        raise LoadFault(
            f"CLARY_PRECISION={precision}: {task} with this model runs in fp32 or bf16 only; leave CLARY_PRECISION out"
        )
    quieten: Any = transformers.utils.logging.disable_progress_bar
    quieten()  # the log is for other things
    named = "dtype" if int(transformers.__version__.partition(".")[0]) >= 5 else "torch_dtype"
    return {named: dtype, "trust_remote_code": trust_remote_code}


def reader_and_model(folder: Path, task: str, kind: str, options: Mapping[str, Any]) -> tuple[Any, Any]:
    """Tokenizer and model of a class. transformers makes up what is missing, and the answers would be noise.

    Raises LoadFault, and whatever transformers raises.
    """
    import transformers

    trust = options["trust_remote_code"]
    reader: Any = transformers.AutoTokenizer.from_pretrained(str(folder), trust_remote_code=trust)
    if len(reader) <= len(reader.all_special_tokens):
        raise LoadFault(
            "no tokenizer is saved beside the model (its vocabulary is empty); save it there with "
            "tokenizer.save_pretrained(folder)"
        )
    load = getattr(transformers, kind).from_pretrained
    model, report = load(str(folder), output_loading_info=True, **options)
    if missing := sorted(report["missing_keys"]):
        raise LoadFault(
            f"the model has no weights for {', '.join(missing[:4])}: it was not trained for {task}; "
            "HF_TASK sets another task"
        )
    return reader, model


def offers(task: str) -> bool:
    """Whether this version of transformers has a pipeline for the task."""
    from transformers.pipelines import PIPELINE_REGISTRY

    return task in PIPELINE_REGISTRY.supported_tasks


def why_not(error: Exception, folder: Path, task: str) -> str:
    """What to say where transformers could not load a model."""
    import transformers

    version = f"transformers {transformers.__version__}"
    if isinstance(error, KeyError):
        return (
            f"the task {task} is not supported by {version}: {error.args[0] if error.args else error} "
            "Set HF_TASK to another task, or write a model_fn in code/inference.py"
        )
    if task in TEXT_MODELS and not any(next(folder.glob(name), None) for name in TOKENIZERS):
        return (
            f"no tokenizer is saved beside the model; save it there with tokenizer.save_pretrained: {error}"
        )
    return f"{version} cannot load the model for {task}: {last_line(error)}"


def _limit(made: Any) -> None:
    """A tokenizer saved without a limit gets the model's."""
    if made.tokenizer is not None:
        from clary.inference import tokens

        if made.tokenizer.model_max_length >= tokens.NO_LIMIT and _positions(made):
            made.tokenizer.model_max_length = tokens.limit(made.tokenizer, made.model.config, asked=None)


def _positions(made: Any) -> bool:
    return isinstance(getattr(made.model.config, "max_position_embeddings", None), int)


class PipelinePredictor(OneByOne):
    """Calls one by one. `truncate`: whether text over the model's limit is cut or refused."""

    def __init__(self, made: Any, task: str, *, truncate: bool) -> None:
        self.made, self.task, self._truncate = made, task, truncate

    def _answered(self, call: Call) -> Answer:
        if call.inputs == []:
            return Answer([])
        parameters, note = self._fitted(call)
        try:
            return Answer(self.made(call.inputs, **parameters), note)
        except RequestFault:
            raise
        except MISTAKES as error:
            if "ffmpeg" in str(error):  # which the environment lacks
                raise
            raise RequestFault(f"{self.task} cannot take this: {last_line(error)}") from error
        except Exception as error:
            if type(error).__name__ == "PipelineException":  # no mask in a text to fill, say
                raise RequestFault(str(error.args[0] if error.args else error)) from error
            raise

    def _fitted(self, call: Call) -> tuple[dict[str, Any], str | None]:
        """The parameters, with what cuts texts that are too long; and a note of it. Raises RequestFault."""
        given = dict(call.parameters)
        self._check(given)
        asked = "truncation" in given or "tokenizer_kwargs" in given or "tokenize_kwargs" in given
        if asked or self.task not in (*TRUNCATION, *CUT_BY_THEMSELVES):
            return given, None
        limit = self.made.tokenizer.model_max_length
        texts = list(_texts(call.inputs))
        lengths = [self._length(text) for text in texts]
        over = [length for length in lengths if length > limit]
        if over and not self._truncate:
            raise RequestFault(reading.too_long(max(over), limit))
        if over:
            given |= TRUNCATION.get(self.task, {})
        return given, reading.note(len(over), len(texts), limit)

    def _check(self, given: Mapping[str, Any]) -> None:
        """Raises RequestFault for a parameter that would be passed over."""
        if (known := OPEN.get(self.task)) is None:
            return
        if self.task == "text-classification":  # its other parameters are the tokenizer's
            known = known | set(inspect.signature(type(self.made.tokenizer).__call__).parameters)
        if unknown := sorted(set(given) - known - USUAL):
            raise RequestFault(f"parameters.{unknown[0]}: {self.task} has no such parameter")

    def _length(self, text: Any) -> int:
        both = (text.get("text", ""), text.get("text_pair")) if isinstance(text, dict) else (text, None)
        if not all(isinstance(one, str | None) for one in both):
            raise RequestFault(f"inputs: texts expected, not {shown(text)}")
        return len(self.made.tokenizer(*both, verbose=False)["input_ids"])


def _texts(inputs: Any) -> list[Any]:
    if isinstance(inputs, list):
        return [text for item in inputs for text in _texts(item)]
    return [inputs]
