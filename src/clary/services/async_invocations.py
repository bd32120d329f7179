"""InvokeEndpointAsync: a request is written down before it is acknowledged; a controller answers it."""

from __future__ import annotations

from base64 import b64encode
from collections.abc import Mapping
from contextlib import suppress
from typing import Any

from clary.domain.async_inference import (
    Place,
    async_config,
    beginning,
    names_of,
    output_folders,
    place_of,
    under,
)
from clary.domain.kinds import ENDPOINT
from clary.errors import ClientFault
from clary.objects.base import MAX_KEY_BYTES, Bucket, BucketExists, NoSuchBucket, NoSuchKey
from clary.services.operations import Context, Reply, operation
from clary.store.base import Resource

Request = Mapping[str, Any]

LARGEST_INPUT = 1 << 30  # bytes
ID_DIGITS = 32
DEFAULT_CONTENT_TYPE = "application/octet-stream"


class ValidationError(ClientFault):
    """The request is not valid."""

    code = "ValidationError"


@operation("sagemaker-runtime", "InvokeEndpointAsync")
def invoke_endpoint_async(context: Context, request: Request) -> Reply:
    """Take a request for an asynchronous endpoint; its answer goes to OutputLocation or FailureLocation. The answer to
    this call comes when the request is safely stored."""
    endpoint = _endpoint(context, request["EndpointName"])
    folders = output_folders(context.account, endpoint.name, async_config(endpoint.state) or {})
    body = request.get("Body") or b""
    content_type = _input_type(context, request, body)
    id = context.new_id(ID_DIGITS)  # noqa: A001
    names = names_of(id, filename=request.get("Filename"))
    extension = request.get("S3OutputPathExtension")
    output, failure = (
        _writable(context, under(folder, extension, name))
        for folder, name in zip(folders, names, strict=True)
    )
    kept = {key: value for key, value in request.items() if key != "Body"}
    if "InputLocation" not in kept:
        kept["Body"] = b64encode(body).decode()
    kept["InferenceId"] = request.get("InferenceId") or id
    state = {
        "content_type": content_type,
        "output": output.uri,
        "failure": failure.uri,
        "endpoint": endpoint.created,
    }
    context.store.create(Resource(**beginning(context.account, id, kept, state, now=context.now())))
    context.changed()
    answer = {
        "InferenceId": kept["InferenceId"],
        "OutputLocation": output.uri,
        "FailureLocation": failure.uri,
    }
    return Reply(answer, status=202)


def _endpoint(context: Context, name: str) -> Resource:
    """An endpoint that takes requests for later. Raises ValidationError."""
    endpoint = context.store.get(ENDPOINT.name, name)
    if endpoint is None:
        raise ValidationError(f"Endpoint {name} of account {context.account.id} not found.")
    if endpoint.status in {"Deleting", "Failed"} or endpoint.state["live"] is None:
        raise ValidationError(
            f"Endpoint {name} of account {context.account.id} is {endpoint.status} and takes no requests: "
            "it must have been InService."
        )
    if async_config(endpoint.state) is None:
        raise ValidationError(
            f"Endpoint {name} of account {context.account.id} is not asynchronous: its endpoint configuration has no "
            "AsyncInferenceConfig. Use InvokeEndpoint."
        )
    return endpoint


def _input_type(context: Context, request: Request, body: bytes) -> str:
    """The content type of the input: the one said, or that of the object. Raises ValidationError."""
    location = request.get("InputLocation")
    if (location is None) == (not body):
        given = "both are" if body else "neither is"
        raise ValidationError(f"Give exactly one of InputLocation and Body: {given} there.")
    said: str = request.get("ContentType") or ""
    if location is None:
        return said or DEFAULT_CONTENT_TYPE
    place = place_of(location)
    if place is None or not place.key:
        raise ValidationError(f"InputLocation {location!r} is not of the form s3://<bucket>/<key>.")
    try:
        found = context.objects.head(place.bucket, place.key)
    except NoSuchBucket:
        raise ValidationError(f"InputLocation {location!r}: there is no bucket {place.bucket}.") from None
    except NoSuchKey:
        message = f"InputLocation {location!r}: there is no such object. Upload the input before the call."
        raise ValidationError(message) from None
    if found.size > LARGEST_INPUT:
        message = f"InputLocation {location!r} has {found.size} bytes; an input may have {LARGEST_INPUT}."
        raise ValidationError(message)
    return said or str(found.meta.headers.get("ContentType", DEFAULT_CONTENT_TYPE))


def _writable(context: Context, uri: str) -> Place:
    """Where an object can be written. The account's default bucket is made if it is missing. Raises ValidationError."""
    place = place_of(uri)
    if place is None:
        raise ValidationError(
            f"{uri!r}, made of the endpoint's S3OutputPath or S3FailurePath, is no s3:// URI."
        )
    if len(place.key.encode()) > MAX_KEY_BYTES:
        raise ValidationError(
            f"The key of {uri!r} is longer than {MAX_KEY_BYTES} bytes: shorten the extension."
        )
    if context.objects.bucket(place.bucket) is None:
        if place.bucket != context.account.default_bucket:
            raise ValidationError(f"Create the bucket {place.bucket} of {uri!r} first: outputs go there.")
        with suppress(BucketExists):
            context.objects.create_bucket(Bucket(place.bucket, context.now()))
    return place
