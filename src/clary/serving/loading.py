"""From a folder and the environment to a handler: whose code answers."""

from __future__ import annotations

import sys
from collections.abc import Mapping
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

from clary.serving import contract, source, tasks, toolkits, user_code
from clary.serving.calls import Predictor
from clary.serving.context import Context
from clary.serving.contract import Contract
from clary.serving.device import prepared
from clary.serving.handler import Handler
from clary.serving.scripted import ScriptHandler
from clary.serving.toolkits import Toolkit

if TYPE_CHECKING:  # what runs models is imported where it is used: a script's environment need not have torch
    from clary.serving.model import ModelHandler

BATCHES = {
    "cpu": 8,
    "cuda": 32,
}  # requests that one call may take, where batches win; more win little on a CPU


def load(model_dir: Path, environment: Mapping[str, str]) -> Handler:
    """The handler of the model in a folder (`/opt/ml/model`), or of the one that HF_MODEL_ID names.

    Raises LoadFault, or whatever the user's own code raises.
    """
    asked = contract.read(environment)
    place = prepared() if asked.toolkit != "sklearn" else "cpu"
    folder = source.folder(asked, model_dir)
    script = user_code.find(asked, model_dir, *([folder] if source.is_local(asked) else []))
    if script is None and asked.toolkit == "sklearn":
        toolkits.scikit_learn().model(folder)  # says what is missing
    is_torch_script = asked.toolkit == "pytorch" and not (folder / "config.json").exists()
    if script is None and not is_torch_script:
        return model_handler(folder, asked, model_dir=model_dir)
    return script_handler(script, folder, asked, place)


def script_handler(script: Path | None, folder: Path, asked: Contract, place: str) -> Handler:
    """The handler of a script and of the toolkit that completes it, at a `place`: cpu or cuda.

    Raises LoadFault, and what the script raises.
    """
    context = Context(str(folder), 0 if place == "cuda" else None)
    nothing = user_code.Functions(None, None, None, None, None)
    functions = user_code.imported(script, script.parent, context) if script is not None else nothing
    if script is not None and not functions.names and asked.toolkit == "huggingface":
        print(f"clary: {script.name} defines none of {', '.join(user_code.ARGUMENTS)}", file=sys.stderr)
        return model_handler(folder, asked)
    way = f"{script.name}: {', '.join(functions.names)}" if script is not None else "TorchScript"
    return ScriptHandler(
        functions,
        _toolkit(functions, folder, asked),
        context,
        model_dir=folder,
        accept=asked.accept,
        report={"way": way, "device": place, **({"task": asked.task} if asked.task else {})},
    )


def _toolkit(functions: user_code.Functions, folder: Path, asked: Contract) -> Toolkit:
    if asked.toolkit == "sklearn":
        return toolkits.scikit_learn()
    has_own_model = functions.model_fn is not None or not (folder / "config.json").exists()
    if asked.toolkit == "pytorch" and has_own_model:
        return toolkits.pytorch()
    known = asked.task or functions.model_fn is None
    task = _task(folder, asked) if known else ""
    return toolkits.hugging_face(
        partial(
            _model,
            seen=functions.predict_fn is not None or functions.transform_fn is not None,
            task=task,
            asked=asked,
        ),
        tasks.readable(task),
    )


def _model(folder: Path, *, seen: bool, task: str, asked: Contract) -> Predictor:
    """A pipeline where the script sees it, and transformers has it; else what is fastest."""
    from clary.serving import pipelines
    from clary.serving.predictors import predictor_of

    if seen and pipelines.offers(task):
        return pipelines.pipeline(  # type: ignore[no-any-return]
            folder, task, precision=asked.precision, trust_remote_code=asked.trust_remote_code
        )
    return predictor_of(folder, task, asked)[0]


def _task(folder: Path, asked: Contract) -> str:
    return tasks.named(asked.task) if asked.task else tasks.of_model(folder)


def model_handler(folder: Path, asked: Contract, *, model_dir: Path | None = None) -> ModelHandler:
    """The handler of a transformers model. Raises LoadFault."""
    from clary.serving.encoder import EncoderPredictor
    from clary.serving.model import ModelHandler
    from clary.serving.predictors import predictor_of

    task = _task(folder, asked)
    predictor, report = predictor_of(folder, task, asked, model_dir=model_dir)
    return ModelHandler(
        predictor,
        shared=report["device"] == "cpu" and not asked.trust_remote_code,
        batch=BATCHES[report["device"]] if isinstance(predictor, EncoderPredictor) else 1,
        report=report,
        readable=tasks.readable(task),
        accept=asked.accept,
    )
