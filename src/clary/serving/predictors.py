"""What answers for a task: Clary's own way where it has one for the model, else transformers' pipeline."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from functools import cache
from pathlib import Path
from typing import Any

from clary.inference import Encoder, ModelFault
from clary.inference.source import FAMILIES
from clary.serving import calibration, pipelines, sequences, tasks
from clary.serving.calls import Call, Predictor, Work
from clary.serving.contract import Contract
from clary.serving.encoder import EncoderPredictor
from clary.serving.faults import LoadFault
from clary.serving.feature_extraction import FeatureExtraction
from clary.serving.generation import GenerationPredictor
from clary.serving.question_answering import QuestionAnswering
from clary.serving.reading import Reader
from clary.serving.text_classification import TextClassification
from clary.serving.token_classification import TokenClassification
from clary.serving.zero_shot import ZeroShot


def predictor_of(
    folder: Path, task: str, asked: Contract, *, model_dir: Path | None = None
) -> tuple[Predictor, dict[str, Any]]:
    """What answers for a task, and the report of it. `model_dir`: where files of the user's may lie beside the model.

    Raises LoadFault.
    """
    if (encoder := _suitable(folder, task, asked)) is not None:
        report = _report(encoder, task)
        if asked.precision == "int8":
            exact = _encoder(folder, task, "fp32")
            report["agreement"] = calibration.measured(exact, encoder, asked, (folder, model_dir or folder))
        return _encoded(encoder, folder, task, asked), report
    if sequences.is_one(task):
        return _sequences(folder, task, asked)
    made = pipelines.pipeline(
        folder, task, precision=asked.precision, trust_remote_code=asked.trust_remote_code
    )
    report = {
        "way": f"transformers' {task} pipeline",
        "precision": asked.precision,
        "device": made.device.type,
        "task": task,
    }
    return pipeline_predictor(made, task, asked), report


def _sequences(folder: Path, task: str, asked: Contract) -> tuple[Predictor, dict[str, Any]]:
    made = sequences.SequencePredictor(
        folder,
        task,
        precision=asked.precision,
        trust_remote_code=asked.trust_remote_code,
        truncate=asked.truncate,
    )
    report = {
        "way": "the model's generate",
        "precision": asked.precision,
        "device": made.device,
        "task": task,
    }
    return made, report


def pipeline_predictor(made: Any, task: str, asked: Contract) -> pipelines.PipelinePredictor:
    """What a pipeline is called through."""
    kind = GenerationPredictor if task == "text-generation" else pipelines.PipelinePredictor
    return kind(made, task, truncate=asked.truncate)


def _suitable(folder: Path, task: str, asked: Contract) -> Encoder | None:
    """Clary's own way, where it is faster than the pipeline, or the only one. Raises LoadFault."""
    if task not in tasks.ENCODER_TASKS:
        return None
    configuration = tasks.configuration(folder)
    if "auto_map" in configuration and not asked.trust_remote_code:
        raise LoadFault("the model brings code of its own: HF_TRUST_REMOTE_CODE=true lets it run")
    known = str(configuration.get("model_type")).replace("-", "_") in FAMILIES
    if asked.trust_remote_code or not (known or not pipelines.offers(task)):
        return None
    encoder = _encoder(folder, task, asked.precision)
    if not getattr(encoder.tokenizer, "is_fast", False):  # places of tokens are not to be had
        return None
    wins = encoder.way.startswith("padding-free") or encoder.way.endswith(": on cuda")
    return encoder if wins or not pipelines.offers(task) else None


def _encoder(folder: Path, task: str, precision: str) -> Encoder:
    try:
        return Encoder.load(
            folder,
            precision=precision,  # type: ignore[arg-type]
            task=tasks.ENCODER_TASKS[task],  # type: ignore[arg-type]
            threads=1,
        )
    except ModelFault as error:
        setting = f"CLARY_PRECISION={precision}: " if "precision" in str(error) else ""
        raise LoadFault(f"{setting}{error} (task {task}: HF_TASK sets another)") from error


def _report(encoder: Encoder, task: str) -> dict[str, Any]:
    report = {
        "way": encoder.way,
        "precision": encoder.precision,
        "device": encoder.device.type,
        "task": task,
        "advice": encoder.advice,
    }
    return {name: value for name, value in report.items() if value is not None}


def _encoded(encoder: Encoder, folder: Path, task: str, asked: Contract) -> EncoderPredictor:
    reader = Reader(encoder, truncate=asked.truncate)

    @cache
    def otherwise() -> Predictor:
        precision = "fp32" if asked.precision == "int8" else asked.precision
        made = pipelines.pipeline(folder, task, precision=precision, trust_remote_code=False)
        return pipeline_predictor(made, task, asked)

    return EncoderPredictor(reader, PLANS[task](reader, tasks.configuration(folder)), otherwise)


def _zero_shot(reader: Reader, configuration: Mapping[str, Any]) -> ZeroShot:
    numbers = configuration.get("label2id") or {label: i for i, label in enumerate(reader.encoder.labels)}
    return ZeroShot(reader, numbers)


PLANS: Mapping[str, Callable[[Reader, Mapping[str, Any]], Callable[[Call], Work | None]]] = {
    "text-classification": lambda reader, given: TextClassification(reader, given.get("problem_type")),
    "token-classification": lambda reader, _: TokenClassification(reader),
    "question-answering": lambda reader, _: QuestionAnswering(reader),
    "feature-extraction": lambda reader, _: FeatureExtraction(reader),
    "zero-shot-classification": _zero_shot,
}
