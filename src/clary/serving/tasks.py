"""Which task a model is for: by name, or by the architecture that its configuration names."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from clary.serving import content
from clary.serving.faults import LoadFault

ALIASES = {
    "sentiment-analysis": "text-classification",
    "ner": "token-classification",
    "vqa": "visual-question-answering",
}
ENDINGS = (  # of an architecture's name; the first that fits
    ("TapasForQuestionAnswering", "table-question-answering"),
    ("WhisperForConditionalGeneration", "automatic-speech-recognition"),
    ("ForSequenceClassification", "text-classification"),
    ("ForTokenClassification", "token-classification"),
    ("ForQuestionAnswering", "question-answering"),
    ("ForMaskedLM", "fill-mask"),
    ("ForCausalLM", "text-generation"),
    ("LMHeadModel", "text-generation"),
    ("ForMultipleChoice", "multiple-choice"),
    ("ForImageClassification", "image-classification"),
    ("ForObjectDetection", "object-detection"),
    ("ForAudioClassification", "audio-classification"),
    ("ForCTC", "automatic-speech-recognition"),
    ("ForConditionalGeneration", "text2text-generation"),
    ("T5WithLMHeadModel", "text2text-generation"),
    ("MTModel", "text2text-generation"),
    ("EncoderDecoderModel", "text2text-generation"),
)
ENCODER_TASKS = {  # those that clary.inference runs, with its name for the head
    "text-classification": "classification",
    "zero-shot-classification": "classification",
    "token-classification": "tagging",
    "question-answering": "answering",
    "feature-extraction": "features",
}
OF_IMAGES = ("image-", "object-detection", "depth-", "mask-generation", "zero-shot-image", "zero-shot-object")
OF_SOUNDS = ("audio-", "automatic-speech", "zero-shot-audio")


def named(task: str) -> str:
    """The usual name of a task."""
    return ALIASES.get(task, task)


def of_model(folder: Path) -> str:
    """The task that the configuration in a model's folder tells. Raises LoadFault."""
    if (folder / "model_index.json").is_file():
        return "text-to-image"
    names = configuration(folder).get("architectures") or []
    for name in names:
        for ending, task in ENDINGS:
            if str(name).endswith(ending):
                return task
    if names and str(names[0]).endswith("Model"):
        return "feature-extraction"
    raise LoadFault(
        f"the task cannot be told from config.json's architectures ({', '.join(map(str, names)) or 'none'}): "
        "set HF_TASK in the model's environment, to text-classification, say"
    )


def configuration(folder: Path) -> dict[str, Any]:
    """config.json of a model's folder. Raises LoadFault."""
    path = folder / "config.json"
    try:
        read = json.loads(path.read_text("utf-8"))
    except FileNotFoundError as error:
        raise LoadFault(
            f"{what_is_in(folder)}: a config.json (from model.save_pretrained) is expected at its top, or "
            "code/inference.py with a model_fn, or HF_MODEL_ID in the model's environment"
        ) from error
    except (ValueError, OSError) as error:
        raise LoadFault(f"config.json of the model cannot be read: {error}") from error
    if not isinstance(read, dict):
        raise LoadFault("config.json of the model is not a JSON object")
    return read


def what_is_in(folder: Path) -> str:
    """A few words on a folder, for a message."""
    try:
        names = sorted(path.name + "/" * path.is_dir() for path in folder.iterdir())
    except OSError:
        return "the model's folder is not there"
    if not names:
        return "the model's folder is empty"
    return f"the model's folder holds {', '.join(names[:8])}{' ...' if len(names) > 8 else ''}"


def readable(task: str) -> tuple[str, ...]:
    """The content types that a task takes; "": all that there are, for code that may do with any."""
    if not task:
        return (*content.TEXTS, *content.IMAGES, *content.SOUNDS)
    if task.startswith(OF_IMAGES):
        return (*content.IMAGES, content.JSON)
    if task.startswith(OF_SOUNDS):
        return (*content.SOUNDS, content.JSON)
    if task in (
        "zero-shot-classification",
        "table-question-answering",
    ):  # their parameters have no place in CSV
        return tuple(kind for kind in content.TEXTS if kind != content.CSV)
    return content.TEXTS
