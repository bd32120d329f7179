"""What CreateProcessingJob demands beyond the shapes: meanings that fit together, and what Clary can do today.

Each rule names the field and the fix. A field that SageMaker knows and Clary cannot honour is refused here, so that
nothing is silently left out; `docs/reference/processing-jobs.md` lists those that are recorded without effect.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import PurePosixPath
from typing import Any

from clary.domain.processing import instances
from clary.errors import ValidationException
from clary.services import tags
from clary.services.job_rules import missing_buckets, no_room, unpassable_texts
from clary.services.operations import Context

Request = Mapping[str, Any]

ROOT = PurePosixPath("/opt/ml/processing")


def check(context: Context, request: Request) -> None:
    """Raises ValidationException that lists every fault found."""
    faults = [fault for rule in RULES for fault in rule(request)]
    faults += missing_buckets(context, _uris(request))
    if not faults:
        faults += no_room(context, *instances(request), member="ProcessingResources.ClusterConfig")
    if faults:
        raise ValidationException("; ".join(faults))


def _program(request: Request) -> Iterator[str]:
    if not request["AppSpecification"].get("ContainerEntrypoint"):
        yield (
            "AppSpecification.ContainerEntrypoint is required: it says which program to run, since images have no "
            'entry point here, such as ["python3", "/opt/ml/processing/input/code/evaluate.py"]'
        )


def _inputs(request: Request) -> Iterator[str]:
    inputs = request.get("ProcessingInputs", ())
    yield from _twice("ProcessingInputs", "InputName", [entry["InputName"] for entry in inputs])
    yield from _twice("ProcessingInputs", "LocalPath", _paths(inputs, "S3Input"))
    for entry in inputs:
        yield from _input(f"ProcessingInputs {entry['InputName']!r}", entry)


def _input(where: str, entry: Request) -> Iterator[str]:
    source = entry.get("S3Input")
    if "DatasetDefinition" in entry:
        yield f"{where}: DatasetDefinition (Athena, Redshift) is not supported: export the data and use S3Input"
    elif source is None:
        yield f"{where}: S3Input is required"
    if source is None or entry.get("AppManaged"):
        return
    yield from _local_path(where, source)
    if source.get("S3InputMode") == "Pipe":
        yield f"{where}: S3InputMode Pipe is not supported: use File"
    elif source.get("S3CompressionType", "None") != "None":
        yield f"{where}: S3CompressionType Gzip is valid with S3InputMode Pipe only, which is not supported: use None"


def _outputs(request: Request) -> Iterator[str]:
    outputs = _outputs_of(request)
    yield from _twice(
        "ProcessingOutputConfig.Outputs", "OutputName", [entry["OutputName"] for entry in outputs]
    )
    yield from _twice("ProcessingOutputConfig.Outputs", "LocalPath", _paths(outputs, "S3Output"))
    for entry in outputs:
        where = f"ProcessingOutputConfig.Outputs {entry['OutputName']!r}"
        if "FeatureStoreOutput" in entry:
            yield f"{where}: FeatureStoreOutput is not supported: use S3Output"
        elif "S3Output" not in entry:
            yield f"{where}: S3Output is required"
        elif not entry.get("AppManaged"):
            yield from _local_path(where, entry["S3Output"])


def _local_path(where: str, place: Request) -> Iterator[str]:
    """Each below the one folder that is the job's for it; one may lie in another, as the SDKs' code does."""
    text = place.get("LocalPath")
    if text is None:
        yield f"{where}: LocalPath is required unless AppManaged is true"
        return
    path = PurePosixPath(text)
    if ".." in path.parts or ROOT not in path.parents:
        yield f"{where}: LocalPath {text!r} must begin with {ROOT}/"


def _cluster(request: Request) -> Iterator[str]:
    where = "ProcessingResources.ClusterConfig"
    cluster = request["ProcessingResources"]["ClusterConfig"]
    if "InstancePreferences" in cluster:
        yield f"{where}.InstancePreferences is not supported: give InstanceType and InstanceCount"
    elif "InstanceType" not in cluster:
        yield f"{where}.InstanceType is required"
    for name in ("SelectedInstanceType", "SelectedInstanceCount"):
        if name in cluster:
            yield f"{where}.{name} is what Describe tells, no wish: leave it out"


def _network(request: Request) -> Iterator[str]:
    if request.get("NetworkConfig", {}).get("EnableNetworkIsolation"):
        yield "NetworkConfig.EnableNetworkIsolation is not supported: leave it out, or say false"


def _texts(request: Request) -> Iterator[str]:
    program = request["AppSpecification"]
    texts = {f"Environment.{name}": name + text for name, text in request.get("Environment", {}).items()}
    for name in ("ContainerEntrypoint", "ContainerArguments"):
        texts[f"AppSpecification.{name}"] = "".join(program.get(name, ()))
    for index, path in enumerate(_paths(request.get("ProcessingInputs", ()), "S3Input")):
        texts[f"ProcessingInputs[{index}].S3Input.LocalPath"] = path
    for index, path in enumerate(_paths(_outputs_of(request), "S3Output")):
        texts[f"ProcessingOutputConfig.Outputs[{index}].S3Output.LocalPath"] = path
    yield from unpassable_texts(texts)


def _uris(request: Request) -> dict[str, str]:
    """Of what the agent is to copy."""
    uris = {}
    for entry in request.get("ProcessingInputs", ()):
        if "S3Input" in entry and not entry.get("AppManaged"):
            uris[f"ProcessingInputs {entry['InputName']!r}"] = entry["S3Input"]["S3Uri"]
    for entry in _outputs_of(request):
        if "S3Output" in entry and not entry.get("AppManaged"):
            uris[f"ProcessingOutputConfig.Outputs {entry['OutputName']!r}"] = entry["S3Output"]["S3Uri"]
    return uris


def _outputs_of(request: Request) -> Sequence[Request]:
    outputs: Sequence[Request] = request.get("ProcessingOutputConfig", {}).get("Outputs", ())
    return outputs


def _paths(entries: Sequence[Request], field: str) -> list[str]:
    found = [entry[field] for entry in entries if field in entry and not entry.get("AppManaged")]
    return [str(PurePosixPath(place["LocalPath"])) for place in found if "LocalPath" in place]


def _twice(where: str, field: str, values: Sequence[str]) -> Iterator[str]:
    for value, count in Counter(values).items():
        if count > 1:
            yield f"{where}: {field} {value!r} is there {count} times: it must be unique"


RULES: tuple[Callable[[Request], Iterator[str]], ...] = (
    _program,
    _inputs,
    _outputs,
    _cluster,
    _network,
    _texts,
    tags.faults,
)
