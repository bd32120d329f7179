"""What answers for a task: Clary's own way where it has one for the model, else transformers' pipeline."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from functools import cache
from pathlib import Path
from typing import Any

from clary.inference import Encoder, ModelFault
from clary.serving import pipelines, tasks
from clary.serving.calls import Call, Predictor, Work
from clary.serving.contract import Contract
from clary.serving.encoder import EncoderPredictor
from clary.serving.faults import LoadFault
from clary.serving.feature_extraction import FeatureExtraction
from clary.serving.question_answering import QuestionAnswering
from clary.serving.reading import Reader
from clary.serving.text_classification import TextClassification
from clary.serving.token_classification import TokenClassification
from clary.serving.zero_shot import ZeroShot


def predictor_of(folder: Path, task: str, asked: Contract) -> tuple[Predictor, dict[str, Any]]:
    """What answers for a task, and the report of it. Raises LoadFault."""
    if task in tasks.ENCODER_TASKS and not asked.trust_remote_code:
        encoder = _encoder(folder, task, asked)
        if _wins(encoder) or not pipelines.offers(task):
            return _encoded(encoder, folder, task, asked), _report(encoder, task)
    made = pipelines.pipeline(
        folder, task, precision=asked.precision, trust_remote_code=asked.trust_remote_code
    )
    report = {
        "way": f"transformers' {task} pipeline",
        "precision": asked.precision,
        "device": made.device.type,
        "task": task,
    }
    return pipelines.PipelinePredictor(made, task, truncate=asked.truncate), report


def _encoder(folder: Path, task: str, asked: Contract) -> Encoder:
    configuration = tasks.configuration(folder)
    if "auto_map" in configuration and not asked.trust_remote_code:
        raise LoadFault("the model brings code of its own: HF_TRUST_REMOTE_CODE=true lets it run")
    try:
        return Encoder.load(
            folder,
            precision=asked.precision,  # type: ignore[arg-type]
            task=tasks.ENCODER_TASKS[task],  # type: ignore[arg-type]
            threads=1,
        )
    except ModelFault as error:
        raise LoadFault(f"{error} (task {task}: HF_TASK sets another)") from error


def _wins(encoder: Encoder) -> bool:
    return encoder.way.startswith("padding-free") or encoder.way.endswith(": on cuda")


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
        made = pipelines.pipeline(folder, task, precision=asked.precision, trust_remote_code=False)
        return pipelines.PipelinePredictor(made, task, truncate=asked.truncate)

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
