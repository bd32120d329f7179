"""Brings the inputs: channels in File mode, checkpoints of an earlier run, SageMaker's three configuration files."""

from __future__ import annotations

import json
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from clary.agent.contract import Channel, Input, Plan
from clary.agent.crew import work_off
from clary.agent.faults import ClientFault
from clary.agent.places import Places
from clary.agent.s3 import S3, Location, parse_uri

_THREADS = 6
_INTERFACE = "eth0"

Source = Channel | Input


@dataclass(frozen=True, slots=True)
class Item:
    """One object to bring, and its path relative to the directory it goes to."""

    place: Location
    path: str


def write_configuration(plan: Plan, places: Places) -> None:
    """The files below /opt/ml/input/config, as SageMaker writes them."""
    for name, document in (
        ("hyperparameters", dict(plan.hyperparameters)),
        ("inputdataconfig", input_data_config(plan)),
        ("resourceconfig", resource_config(plan)),
    ):
        (places.ml / "input/config" / f"{name}.json").write_text(json.dumps(document), "utf-8")


def input_data_config(plan: Plan) -> dict[str, Any]:
    config: dict[str, Any] = {}
    for channel in plan.channels:
        entry = config[channel.name] = {
            "TrainingInputMode": channel.input_mode,
            "S3DistributionType": channel.distribution,
            "RecordWrapperType": channel.record_wrapper,
        }
        if channel.content_type:
            entry["ContentType"] = channel.content_type
    return config


def resource_config(plan: Plan) -> dict[str, Any]:
    hosts = sorted(plan.hosts)
    default = {
        "instance_group_name": "homogeneousCluster",
        "instance_type": plan.instance_type,
        "hosts": hosts,
    }
    groups = [dict(group) for group in plan.instance_groups] or [default]
    mine = next((group for group in groups if plan.host in group.get("hosts", ())), groups[0])
    return {
        "current_host": plan.host,
        "current_instance_type": plan.instance_type,
        "current_group_name": mine.get("instance_group_name", "homogeneousCluster"),
        "hosts": hosts,
        "instance_groups": groups,
        "network_interface_name": _INTERFACE,
    }


def bring_channels(s3: S3, plan: Plan, places: Places) -> None:
    """Raises as `bring_source`."""
    for channel in plan.channels:
        folder = places.ml / "input/data" / channel.name
        bring_source(s3, channel, plan, folder=folder, whose=f"channel {channel.name!r}")


def bring_source(s3: S3, source: Source, plan: Plan, *, folder: Path, whose: str) -> None:
    """This host's share of the source's objects, into `folder`. `whose` names the source in messages.

    Raises ClientFault for what cannot be found or placed, Interrupted, and what `S3.get` raises.
    """
    _make(folder, whose)
    bring(s3, share(find(s3, source, whose), source, plan), folder, whose)


def bring(s3: S3, items: Sequence[Item], folder: Path, whose: str) -> None:
    """Downloads into `folder`, a few at a time. `whose` names the input in messages."""
    _check_paths(items, whose)
    for name in {item.path.rpartition("/")[0] for item in items}:
        _make(folder / name, whose)

    def fetch(item: Item) -> None:
        try:
            s3.get(item.place, folder / item.path)
        except OSError as fault:
            raise ClientFault(f"{item.place} cannot be written: {fault.strerror or fault}") from fault

    files = [item for item in items if not item.path.endswith("/")]
    work_off(files, fetch, threads=min(_THREADS, len(files)), leave=s3.close)


def relative_path(key: str, prefix: str) -> str:
    """Where an object of a channel lands: below the prefix if that is a folder, else beside where the prefix ends."""
    folder = prefix if prefix.endswith("/") or not prefix else prefix + "/"
    if key.startswith(folder):
        return key[len(folder) :]
    return key[prefix.rfind("/") + 1 :]


def find(s3: S3, source: Source, whose: str) -> list[Item]:
    """All objects of the source, by their keys or in the order of the manifest. Raises as `bring_source`."""
    if source.s3_data_type == "ManifestFile":
        return _read_manifest(s3, source, whose)
    place = parse_uri(source.s3_uri)
    items = []
    for entry in s3.list(place):
        path = relative_path(entry.key, place.key)
        if path:
            items.append(Item(Location(place.bucket, entry.key), path))
    if not items:
        raise ClientFault(
            f'No S3 objects found under S3 URL "{source.s3_uri}" given in input data source '
            f"({whose}). Please ensure that the bucket exists and that objects exist under that S3 prefix."
        )
    return items


def _read_manifest(s3: S3, source: Source, whose: str) -> list[Item]:
    fault = ClientFault(
        f"The manifest {source.s3_uri} of {whose} is not valid: it must be a JSON array whose first "
        'element is {"prefix": "s3://bucket/..."} and whose other elements are keys relative to that prefix.'
    )
    try:
        document = json.loads(s3.read(parse_uri(source.s3_uri)))
        prefix, names = document[0]["prefix"], document[1:]
    except (ValueError, LookupError, TypeError, RecursionError):
        raise fault from None
    if not isinstance(prefix, str) or not prefix or not all(isinstance(name, str) and name for name in names):
        raise fault
    base = parse_uri(prefix)
    return [Item(Location(base.bucket, base.key + name), name) for name in names]


def share(items: list[Item], source: Source, plan: Plan) -> list[Item]:
    """This host's: with ShardedByS3Key, each has about its part of the objects."""
    if source.distribution != "ShardedByS3Key" or len(plan.hosts) < 2:
        return items
    hosts = list(plan.hosts)
    return items[hosts.index(plan.host) :: len(hosts)]


def _check_paths(items: Iterable[Item], whose: str) -> None:
    """Nothing may leave its folder, and no file may stand where another needs a folder."""
    files: dict[str, Location] = {}
    folders: dict[str, Location] = {}
    for item in items:
        parts = item.path.rstrip("/").split("/") if item.path.endswith("/") else item.path.split("/")
        if item.path.startswith("/") or "\0" in item.path or any(part in ("", ".", "..") for part in parts):
            raise ClientFault(
                f"The object {str(item.place)!r} of {whose} cannot become a file: its key has an empty, `.` or `..` "
                "part, starts with a slash, or holds a NUL. Rename it, or choose a prefix without it."
            )
        if item.path.endswith("/"):
            parts.append("")
        elif files.setdefault(item.path, item.place) != item.place:
            raise ClientFault(f"{files[item.path]} and {item.place} of {whose} would be the same file.")
        for length in range(1, len(parts)):
            folders.setdefault("/".join(parts[:length]), item.place)
    for path in files.keys() & folders.keys():
        raise ClientFault(
            f"{files[path]} and {folders[path]} of {whose} cannot both become files: one is a folder of the other. "
            "Rename one, or choose a prefix with only one of them."
        )


def _make(folder: Path, whose: str) -> None:
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as fault:
        raise ClientFault(
            f"The folder {folder.name!r} of {whose} cannot be made: {fault.strerror}"
        ) from fault
