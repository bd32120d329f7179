"""What CreateModel demands beyond the shapes: one container, whose data is there.

Each rule names the field and the fix. A field that SageMaker knows and Clary cannot honour is refused here;
`docs/reference/hosting.md` lists those that are recorded without effect.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from clary.errors import ValidationException
from clary.objects.base import NoSuchKey
from clary.services import tags
from clary.services.job_rules import bucket_of, is_s3_uri, missing_buckets, unpassable_texts
from clary.services.operations import Context

Request = Mapping[str, Any]

NOT_SUPPORTED: Mapping[str, str] = {
    "ModelPackageName": "give Image and ModelDataUrl",
    "InferenceSpecificationName": "give Image and ModelDataUrl",
    "AdditionalModelDataSources": "put everything into one archive or below one prefix",
    "ContainerMetricsConfig": "leave it out",
}
SOURCE_NOT_SUPPORTED: Mapping[str, str] = {
    "HubAccessConfig": "give the S3Uri of data of your own",
    "ManifestS3Uri": "give a prefix, with S3DataType S3Prefix",
    "ETag": "leave it out",
    "ManifestEtag": "leave it out",
}


def check(context: Context, request: Request) -> None:
    """Raises ValidationException that lists every fault found."""
    faults = [*_whole(request), *tags.faults(request)]
    for where, container in _containers(request):
        faults += _container(where, container)
        if not faults:
            faults += _data(context, where, container)
    if faults:
        raise ValidationException("; ".join(faults))


def _containers(request: Request) -> Sequence[tuple[str, Request]]:
    if "PrimaryContainer" in request:
        return [("PrimaryContainer", request["PrimaryContainer"])]
    several = request.get("Containers", ())
    return [("Containers[0]", several[0])] if len(several) == 1 else []


def _whole(request: Request) -> Iterator[str]:
    several = request.get("Containers", ())
    if several and "PrimaryContainer" in request:
        yield "give either PrimaryContainer or Containers, not both"
    elif len(several) > 1:
        yield (
            f"Containers: {len(several)} containers in one model (an inference pipeline) are not supported by Clary: "
            "put the steps into one program"
        )
    elif not several and "PrimaryContainer" not in request:
        yield "PrimaryContainer is required: give Image, and ModelDataUrl or the variable HF_MODEL_ID"
    if request.get("InferenceExecutionConfig", {}).get("Mode") == "Direct":
        yield "InferenceExecutionConfig.Mode Direct is not supported: a model has one container, leave it out"
    if request.get("EnableNetworkIsolation"):
        yield "EnableNetworkIsolation is not supported: leave it out, or say false"


def _container(where: str, container: Request) -> Iterator[str]:
    for name, fix in NOT_SUPPORTED.items():
        if container.get(name):
            yield f"{where}.{name} is not supported: {fix}"
    if "Image" not in container and "ModelPackageName" not in container:
        yield f"{where}.Image is required"
    if container.get("ImageConfig", {}).get("RepositoryAuthConfig"):
        yield f"{where}.ImageConfig: private registries are not supported"
    if "ModelDataUrl" in container and "ModelDataSource" in container:
        yield f"{where}: give either ModelDataUrl or ModelDataSource, not both"
    yield from _mode(where, container)
    if "ModelDataSource" in container:
        yield from _source(f"{where}.ModelDataSource", container["ModelDataSource"])
    variables = container.get("Environment", {})
    yield from unpassable_texts({f"{where}.Environment.{name}": value for name, value in variables.items()})


def _mode(where: str, container: Request) -> Iterator[str]:
    setting = container.get("MultiModelConfig", {}).get("ModelCacheSetting")
    if container.get("Mode") != "MultiModel":
        if setting:
            yield f"{where}.MultiModelConfig is valid with Mode MultiModel only"
        return
    if "ModelDataUrl" not in container:
        yield f"{where}.ModelDataUrl is required with Mode MultiModel: the prefix that the models are below"
    if setting == "Disabled":
        yield f"{where}.MultiModelConfig.ModelCacheSetting Disabled is not supported: leave it out"


def _source(where: str, source: Request) -> Iterator[str]:
    s3 = source.get("S3DataSource")
    if s3 is None:
        yield f"{where}.S3DataSource is required"
        return
    for name, fix in SOURCE_NOT_SUPPORTED.items():
        if s3.get(name):
            yield f"{where}.S3DataSource.{name} is not supported: {fix}"
    if s3["S3DataType"] == "S3Prefix":
        if s3["CompressionType"] == "Gzip":
            yield f"{where}.S3DataSource: CompressionType Gzip is one archive: use S3DataType S3Object"
        elif not s3["S3Uri"].endswith("/"):
            yield f"{where}.S3DataSource.S3Uri must end with a forward slash where S3DataType is S3Prefix"


def _data(context: Context, where: str, container: Request) -> Iterator[str]:
    """Data that is not there is worth knowing now, not when an endpoint fails."""
    url = container.get("ModelDataUrl")
    s3 = container.get("ModelDataSource", {}).get("S3DataSource")
    if url is None and s3 is None:
        return
    field = "ModelDataUrl" if url is not None else "ModelDataSource.S3DataSource.S3Uri"
    uri = url if url is not None else s3["S3Uri"]
    if faults := list(missing_buckets(context, {f"{where}.{field}": uri})):
        yield from faults
    elif container.get("Mode") == "MultiModel":
        return  # models are often put there later
    elif not _is_there(context, uri, is_prefix=s3 is not None and s3["S3DataType"] == "S3Prefix"):
        yield f"Could not find model data at {uri}."


def _is_there(context: Context, uri: str, *, is_prefix: bool) -> bool:
    assert is_s3_uri(uri)
    bucket = bucket_of(uri)
    key = uri.removeprefix(f"s3://{bucket}").removeprefix("/")
    if is_prefix:
        return bool(context.objects.list(bucket, prefix=key, limit=1).entries)
    try:
        context.objects.head(bucket, key)
    except NoSuchKey:
        return False
    return True
