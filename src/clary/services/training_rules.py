"""What CreateTrainingJob demands beyond the shapes: meanings that fit together, and what Clary can do today.

Each rule names the field and the fix. A field that SageMaker knows and Clary cannot honour is refused here, so that
nothing is silently left out; `docs/reference/training-jobs.md` lists those that are recorded without effect.
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Iterator, Mapping
from pathlib import PurePosixPath
from typing import Any

from clary.errors import ValidationException
from clary.services import tags
from clary.services.job_rules import missing_buckets, unpassable_texts
from clary.services.operations import Context

Request = Mapping[str, Any]

LONGEST_RUNTIME_S = 28 * 86_400
OPT_ML = "/opt/ml"
MOST_BYTES = 110_000  # Linux takes 131,072 in a variable; SM_TRAINING_ENV holds more than hyperparameters


def check(context: Context, request: Request) -> None:
    """Raises ValidationException that lists every fault found."""
    if faults := faults_of(context, request):
        raise ValidationException("; ".join(faults))


def faults_of(context: Context, request: Request) -> list[str]:
    """Every fault of a request, each named by its field."""
    faults = [fault for rule in RULES for fault in rule(request)]
    return [*faults, *_missing_buckets(context, request)]


def _algorithm(request: Request) -> Iterator[str]:
    algorithm = request.get("AlgorithmSpecification", {})
    if not algorithm:
        yield "AlgorithmSpecification is required: give TrainingImage and TrainingInputMode"
        return
    if algorithm.get("AlgorithmName"):
        yield "AlgorithmSpecification.AlgorithmName is not supported: give TrainingImage instead"
    elif not algorithm.get("TrainingImage"):
        yield "AlgorithmSpecification.TrainingImage is required"
    if algorithm.get("TrainingImageConfig", {}).get("TrainingRepositoryAuthConfig"):
        yield "AlgorithmSpecification.TrainingImageConfig: private registries are not supported"
    yield from _file_mode("AlgorithmSpecification.TrainingInputMode", algorithm.get("TrainingInputMode"))
    for index, definition in enumerate(algorithm.get("MetricDefinitions", ())):
        try:
            re.compile(definition["Regex"])
        except (re.error, OverflowError, RecursionError) as error:
            yield (
                f"AlgorithmSpecification.MetricDefinitions[{index}].Regex of metric {definition['Name']!r} "
                f"is not a regular expression: {error}"
            )


def _channels(request: Request) -> Iterator[str]:
    names = [channel["ChannelName"] for channel in request.get("InputDataConfig", ())]
    for name in sorted({name for name in names if names.count(name) > 1}):
        yield f"InputDataConfig has two channels named {name!r}: channel names must be unique"
    for channel in request.get("InputDataConfig", ()):
        yield from _channel(f"InputDataConfig channel {channel['ChannelName']!r}", channel)


def _channel(where: str, channel: Request) -> Iterator[str]:
    if channel["ChannelName"] in {".", ".."}:
        yield f"{where}: ChannelName becomes a folder: use another name"
    source = channel["DataSource"]
    s3 = source.get("S3DataSource")
    if s3 is None:
        given = next(iter(source), "")
        yield f"{where}: " + (
            f"DataSource.{given} is not supported: use S3DataSource"
            if given
            else "DataSource is empty: give S3DataSource"
        )
        return
    if s3["S3DataType"] not in {"S3Prefix", "ManifestFile"}:
        yield f"{where}: S3DataType {s3['S3DataType']} is not supported: use S3Prefix or ManifestFile"
    yield from _file_mode(f"{where}: InputMode", channel.get("InputMode"))
    if channel.get("CompressionType", "None") != "None":
        yield f"{where}: CompressionType Gzip is valid with Pipe mode only"
    if channel.get("RecordWrapperType", "None") != "None":
        yield f"{where}: RecordWrapperType RecordIO is valid with Pipe mode only"


def _file_mode(where: str, mode: str | None) -> Iterator[str]:
    if mode not in {None, "File"}:
        yield f"{where} {mode} is not supported: use File"


def _resources(request: Request) -> Iterator[str]:
    resources = request.get("ResourceConfig")
    if not resources:
        yield "ResourceConfig is required: give InstanceType and InstanceCount"
        return
    groups = resources.get("InstanceGroups")
    if groups and (resources.get("InstanceType") or resources.get("InstanceCount")):
        yield "ResourceConfig: give either InstanceGroups or InstanceType with InstanceCount, not both"
    elif not groups and not (resources.get("InstanceType") and resources.get("InstanceCount")):
        yield "ResourceConfig: InstanceType and InstanceCount are required"
    count = (
        sum(group.get("InstanceCount", 1) for group in groups)
        if groups
        else resources.get("InstanceCount", 1)
    )
    if count > 1:
        yield f"ResourceConfig asks for {count} instances: more than one is not supported"


def _stopping(request: Request) -> Iterator[str]:
    condition = request.get("StoppingCondition", {})
    runtime_s = condition.get("MaxRuntimeInSeconds", 86_400)
    wait_s = condition.get("MaxWaitTimeInSeconds")
    if runtime_s > LONGEST_RUNTIME_S:
        yield f"StoppingCondition.MaxRuntimeInSeconds {runtime_s} is more than 28 days ({LONGEST_RUNTIME_S})"
    if request.get("EnableManagedSpotTraining"):
        if wait_s is None:
            yield "StoppingCondition.MaxWaitTimeInSeconds is required with EnableManagedSpotTraining"
        elif wait_s < runtime_s:
            yield "StoppingCondition.MaxWaitTimeInSeconds must be equal to or greater than MaxRuntimeInSeconds"
    elif wait_s is not None:
        yield "StoppingCondition.MaxWaitTimeInSeconds is valid with EnableManagedSpotTraining only"


def _program(request: Request) -> Iterator[str]:
    """Something must say which program to run: an entry point, or the toolkit's two hyperparameters."""
    hyperparameters = request.get("HyperParameters", {})
    environment = request.get("Environment", {})
    algorithm = request.get("AlgorithmSpecification", {})
    if algorithm.get("ContainerEntrypoint"):
        return
    given = {
        "sagemaker_program": hyperparameters.get("sagemaker_program") or environment.get("SAGEMAKER_PROGRAM"),
        "sagemaker_submit_directory": hyperparameters.get("sagemaker_submit_directory")
        or environment.get("SAGEMAKER_SUBMIT_DIRECTORY"),
    }
    missing = [name for name, value in given.items() if not value]
    if missing:
        yield (
            f"nothing says which program to run: HyperParameters lacks {' and '.join(missing)} (the SageMaker SDK "
            "sets them for a script) and AlgorithmSpecification has no ContainerEntrypoint"
        )


def _texts(request: Request) -> Iterator[str]:
    """What becomes a program's arguments and environment must be text that these can hold."""
    algorithm = request.get("AlgorithmSpecification", {})
    texts = {f"Environment.{name}": text for name, text in request.get("Environment", {}).items()}
    for name, text in request.get("HyperParameters", {}).items():
        texts[f"HyperParameters.{name}"] = name + text
    for name in ("ContainerEntrypoint", "ContainerArguments"):
        texts[f"AlgorithmSpecification.{name}"] = "".join(algorithm.get(name, ()))
    yield from unpassable_texts(texts)


def _size(request: Request) -> Iterator[str]:
    size = len(
        json.dumps(request.get("HyperParameters", {}), ensure_ascii=False).encode("utf-8", "surrogatepass")
    )
    if size > MOST_BYTES:
        yield (
            f"HyperParameters take {size} bytes as JSON, and {MOST_BYTES} is the most: a program finds all of them "
            "in one environment variable (SM_HPS). Put long texts into a file of a channel"
        )


def _checkpoints(request: Request) -> Iterator[str]:
    path = PurePosixPath(request.get("CheckpointConfig", {}).get("LocalPath", OPT_ML))
    if ".." in path.parts or not path.is_relative_to(OPT_ML):
        yield f"CheckpointConfig.LocalPath {str(path)!r} must lie below {OPT_ML}"


def _unsupported(request: Request) -> Iterator[str]:
    if request.get("EnableNetworkIsolation"):
        yield "EnableNetworkIsolation is not supported: leave it out"


def _missing_buckets(context: Context, request: Request) -> Iterator[str]:
    """A bucket that is not there is worth knowing now, not after three hours of training."""
    uris = {"OutputDataConfig.S3OutputPath": request["OutputDataConfig"]["S3OutputPath"]}
    if "CheckpointConfig" in request:
        uris["CheckpointConfig.S3Uri"] = request["CheckpointConfig"]["S3Uri"]
    for channel in request.get("InputDataConfig", ()):
        if s3 := channel["DataSource"].get("S3DataSource"):
            uris[f"InputDataConfig channel {channel['ChannelName']!r}"] = s3["S3Uri"]
    yield from missing_buckets(context, uris)


RULES: tuple[Callable[[Request], Iterator[str]], ...] = (
    _algorithm,
    _channels,
    _resources,
    _stopping,
    _program,
    _texts,
    _size,
    _checkpoints,
    _unsupported,
    tags.faults,
)
