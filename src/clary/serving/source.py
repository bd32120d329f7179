"""Where the model is: the folder that was unpacked, or what HF_MODEL_ID names, a folder or a model of the hub."""

from __future__ import annotations

from pathlib import Path

from clary.serving.contract import Contract
from clary.serving.faults import LoadFault, last_line

LEFT_OUT = ("*.h5", "*.msgpack", "*.onnx", "*.tflite", "*.ot", "*.gguf", "onnx/*", "openvino/*", "coreml/*")


def folder(contract: Contract, model_dir: Path) -> Path:
    """Raises LoadFault."""
    if contract.model_id is None:
        return _root(model_dir)
    local = Path(contract.model_id)
    if local.is_dir():
        return _root(local)
    if contract.model_id.startswith(("/", "./", "../", "~")) or contract.model_id.count("/") > 1:
        hint = "" if local.is_absolute() else ": give its whole path"
        raise LoadFault(f"HF_MODEL_ID={contract.model_id}: there is no such folder for the endpoint{hint}")
    return _downloaded(contract, contract.model_id)


def is_local(contract: Contract) -> bool:
    """Whether the model is the user's own folder: code in it may run."""
    return contract.model_id is None or Path(contract.model_id).is_dir()


def _root(path: Path) -> Path:
    """A folder whose only content is a folder with the model means that one: archives are often made so."""
    if not (path / "config.json").exists() and not (path / "code").exists():
        below = [config.parent for config in path.glob("*/config.json")]
        if len(below) == 1:
            return below[0]
    return path


def _downloaded(contract: Contract, name: str) -> Path:
    from huggingface_hub import list_repo_files, snapshot_download

    revision = contract.revision
    try:
        ignored = list(LEFT_OUT)
        if not _offline():
            files = list_repo_files(name, revision=revision, token=contract.token)
            if any(file.endswith(".safetensors") for file in files):
                ignored += ["*.bin", "*.pt", "*.pth"]
        return Path(snapshot_download(name, revision=revision, token=contract.token, ignore_patterns=ignored))
    except Exception as error:  # the hub's client raises what its libraries raise
        at = f" at revision {revision}" if revision else ""
        raise LoadFault(
            f"HF_MODEL_ID={name}{at} is neither a folder nor a model that can be had from the hub: {last_line(error)}. "
            "A private model needs HF_API_TOKEN; without a network put the model into ModelDataUrl, or name a folder"
        ) from error


def _offline() -> bool:
    from huggingface_hub import constants

    return bool(constants.HF_HUB_OFFLINE)
