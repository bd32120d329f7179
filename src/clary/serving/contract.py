"""What the environment asks of a model: the variables of the Hugging Face inference container, and Clary's own."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from clary.serving.faults import LoadFault

Toolkit = Literal["huggingface", "pytorch", "sklearn"]
TRUE, FALSE = {"1", "true", "yes", "on"}, {"0", "false", "no", "off"}
PRECISIONS = ("fp32", "bf16", "int8")


@dataclass(frozen=True, slots=True)
class Contract:
    """The variables that say what to serve and how, read and checked. `environment` is without empty values."""

    environment: Mapping[str, str]
    model_id: str | None
    revision: str | None
    task: str | None
    token: str | None
    trust_remote_code: bool
    program: str | None
    submit_directory: str | None
    toolkit: Toolkit
    accept: str
    precision: str
    calibration: str | None
    least_agreement: float
    truncate: bool


def read(environment: Mapping[str, str]) -> Contract:
    """Empty variables are as if absent: the SDK sends them. Raises LoadFault."""
    given = {name: value for name, value in environment.items() if value != ""}
    precision = given.get("CLARY_PRECISION", "fp32").lower()
    if precision not in PRECISIONS:
        raise LoadFault(f"CLARY_PRECISION={precision}: one of {', '.join(PRECISIONS)} expected")
    return Contract(
        environment=given,
        model_id=given.get("HF_MODEL_ID"),
        revision=given.get("HF_MODEL_REVISION"),
        task=given.get("HF_TASK"),
        token=given.get("HF_API_TOKEN") or given.get("HF_TOKEN") or given.get("HUGGING_FACE_HUB_TOKEN"),
        trust_remote_code=_switch(given, "HF_TRUST_REMOTE_CODE", default=False),
        program=given.get("SAGEMAKER_PROGRAM"),
        submit_directory=given.get("SAGEMAKER_SUBMIT_DIRECTORY"),
        toolkit=_toolkit(given.get("CLARY_IMAGE", "")),
        accept=given.get("SAGEMAKER_DEFAULT_INVOCATIONS_ACCEPT", "application/json"),
        precision=precision,
        calibration=given.get("CLARY_CALIBRATION"),
        least_agreement=_share(given, "CLARY_LEAST_AGREEMENT", default=0.98),
        truncate=_switch(given, "CLARY_TRUNCATE", default=True),
    )


def _toolkit(image: str) -> Toolkit:
    """Whose default functions a user's script is completed with: the image's name says."""
    name = image.rpartition("/")[2].partition(":")[0].lower()
    if "huggingface" in name:
        return "huggingface"
    if "scikit" in name or "sklearn" in name:
        return "sklearn"
    return "pytorch" if "pytorch" in name else "huggingface"


def _switch(given: Mapping[str, str], name: str, *, default: bool) -> bool:
    value = given.get(name, str(default)).strip().lower()
    if value not in TRUE | FALSE:
        raise LoadFault(f"{name}={given[name]}: true or false expected")
    return value in TRUE


def _share(given: Mapping[str, str], name: str, *, default: float) -> float:
    try:
        value = float(given.get(name, default))
    except ValueError:
        value = -1.0
    if not 0 <= value <= 1:
        raise LoadFault(f"{name}={given[name]}: a share between 0 and 1 expected")
    return value


def code_folder(contract: Contract, models: Sequence[Path]) -> Path:
    """Where the user's script lies: where SAGEMAKER_SUBMIT_DIRECTORY says, if that is here, else code/ of a model."""
    named = (contract.submit_directory or "").removeprefix("file://")
    own = [model / "code" for model in models]
    places = [Path(named), *own] if named.startswith("/") and named != "/opt/ml/model/code" else own
    return next((place for place in places if place.is_dir()), own[0])
