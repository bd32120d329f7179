"""Brings the model that is to be served to /opt/ml/model, and the code that belongs to it."""

from __future__ import annotations

import os
import time
from pathlib import Path

from clary.agent.contract import Input, Model, Plan
from clary.agent.faults import ClientFault, Interrupted
from clary.agent.places import Places
from clary.agent.s3 import S3, parse_uri
from clary.agent.stage import bring_source

FOLDERS = ("model", "models", "code")

SUBMITTED = "SAGEMAKER_SUBMIT_DIRECTORY"
_WHOSE = "the model"


def bring_model(s3: S3, plan: Plan, places: Places) -> None:
    """Nothing for a model without data, nor for several models: those are fetched when they are asked for.

    Raises ClientFault, naming the S3 location, for data that is not there, cannot be unpacked or takes longer than
    `download_timeout_s`; Interrupted, and what `S3.get` raises.
    """
    model = plan.model
    if model is None or not model.data_url or model.mode == "MultiModel":
        return
    deadline = time.monotonic() + model.download_timeout_s
    try:
        with s3.until(deadline) as hurried:
            _bring(hurried, model, plan, places)
    except Interrupted:
        if time.monotonic() < deadline:
            raise
        raise ClientFault(
            f"{model.data_url} could not be brought within {model.download_timeout_s:g} s: make the model smaller, or "
            "raise ModelDataDownloadTimeoutInSeconds of the production variant."
        ) from None


def bring_code(s3: S3, plan: Plan, places: Places) -> Path:
    """The folder of the model's code, which need not exist: `code` of the model, or where the code named apart is.

    Version 2 of the SDK names an archive of its own for some frameworks, in SAGEMAKER_SUBMIT_DIRECTORY.
    """
    url = plan.environment.get(SUBMITTED, "")
    if not url.startswith("s3://"):
        return places.ml / "model" / "code"
    folder = places.ml / "code"
    _unpack(s3, url, folder, places)
    return folder


def _bring(s3: S3, model: Model, plan: Plan, places: Places) -> None:
    folder = places.ml / "model"
    if model.compression == "Gzip":
        _unpack(s3, model.data_url, folder, places)
    elif model.data_type == "S3Object":
        place = parse_uri(model.data_url)
        name = place.key.rpartition("/")[2]
        if name in ("", ".", ".."):
            raise ClientFault(
                f"{model.data_url} names no object (S3DataType S3Object): give an object's key, or S3Prefix."
            )
        s3.get(place, folder / name)
    else:
        bring_source(s3, Input(_WHOSE, model.data_url, ""), plan, folder=folder, whose=_WHOSE)


def _unpack(s3: S3, url: str, folder: Path, places: Places) -> None:
    from clary.agent.unpack import unpack

    archive = places.folder / "model.tar.gz"
    try:
        s3.get(parse_uri(url), archive)
        unpack(archive, folder, url)
    finally:
        archive.unlink(missing_ok=True)


def is_program(path: Path) -> bool:
    """Whether the model brings a program there; one that came without its permissions, from S3, gets them.

    Raises ClientFault for a file that cannot be started.
    """
    if not path.is_file() or not path.resolve().is_relative_to(path.parents[1].resolve()):
        return False
    if os.access(path, os.X_OK):
        return True
    with open(path, "rb") as file:
        is_script = file.read(2) == b"#!"
    if not is_script:
        raise ClientFault(
            f"{path.parent.name}/{path.name} of the model cannot be started: make it executable, and give a script a "
            "first line that says what runs it, like #!/usr/bin/env python"
        )
    path.chmod(0o755)
    return True
