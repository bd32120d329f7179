"""A model of a multi-model server, from S3 to a folder."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

from clary.agent.contract import Access
from clary.agent.faults import ClientFault
from clary.agent.s3 import S3, Location, parse_uri
from clary.agent.unpack import unpack
from clary.serving.faults import LoadFault
from clary.serving.loader import ModelMissing

PLACE = "CLARY_MODELS_URL"
LONGEST_KEY = 1024  # of S3, in bytes
_PATIENCE_S = 30.0


def fetch(name: str, folder: Path, environment: Mapping[str, str]) -> Path:
    """The archive `name` below CLARY_MODELS_URL, unpacked into `folder`.

    Raises ModelMissing if there is none, LoadFault for a place that is no S3 location, and the agent's faults.
    """
    archive = _archive(name, environment)
    folder.mkdir(parents=True, exist_ok=True)
    packed = folder.with_name(f"{folder.name}.packed")
    try:
        with S3(_access(environment), patience_s=_PATIENCE_S) as s3:
            if not s3.exists(archive):
                raise ModelMissing(f"there is no model {name!r}: {archive} does not exist")
            s3.get(archive, packed)
        unpack(packed, folder, str(archive))
    finally:
        packed.unlink(missing_ok=True)
    return folder


def _archive(name: str, environment: Mapping[str, str]) -> Location:
    place = environment.get(PLACE, "")
    if not place:
        raise LoadFault(f"{PLACE} is not set: it names the S3 prefix that the models lie under")
    try:
        archive = parse_uri(place).below(name)
    except ClientFault as fault:
        raise LoadFault(f"{PLACE}: {fault}") from fault
    if ".." in name.split("/") or name.startswith("/") or len(archive.key.encode()) > LONGEST_KEY:
        raise ModelMissing(f"there is no model {name!r}: a model is named by its path below {place}")
    return archive


def _access(environment: Mapping[str, str]) -> Access:
    region = environment.get("AWS_REGION") or environment.get("AWS_DEFAULT_REGION") or "us-east-1"
    return Access(
        endpoint=environment.get("AWS_ENDPOINT_URL_S3")
        or environment.get("AWS_ENDPOINT_URL")
        or f"https://s3.{region}.amazonaws.com",
        region=region,
        access_key_id=environment.get("AWS_ACCESS_KEY_ID", ""),
        secret_access_key=environment.get("AWS_SECRET_ACCESS_KEY", ""),
        session_token=environment.get("AWS_SESSION_TOKEN") or None,
        ca_bundle=environment.get("AWS_CA_BUNDLE") or None,
    )
