"""What a run was made from, told so that two runs can be laid side by side: parameters, data, code.

The SDKs upload the same code and the same data to another place for every job, so both are told by their content.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from hashlib import sha256
from typing import Any

from botocore.exceptions import ClientError

from clary.client.archives import file_digests

SOURCE = "sagemaker_submit_directory"
# where a job's program lies and what the job is called differ for every job, and say nothing about the run
UNTOLD = frozenset({"sagemaker_job_name", SOURCE})
CODE_INPUTS = frozenset({"code", "sm_drivers", "entrypoint"})
MOST_OBJECTS = 1000
MOST_CODE_BYTES = 64 * 1024 * 1024

Component = Mapping[str, Any]


def facts_of(component: Component, s3: Any) -> dict[str, str]:
    """Of a component as DescribeTrialComponent gives it. `s3` is a botocore client."""
    return dict(_facts(component, s3))


def facts_of_evaluation(component: Component, s3: Any, *, model: str | None) -> dict[str, str]:
    """What a model was evaluated on and with; the model itself, at the URI `model`, is told elsewhere."""
    data = {
        f"evaluated on: {name}": content(s3, uri)
        for name, uri in _inputs(component)
        if name not in CODE_INPUTS and uri.startswith("s3://") and uri != model
    }
    code = {
        f"evaluated with: {path}": digest
        for name, uri in _inputs(component)
        if name == "code"
        for path, digest in _code(s3, uri).items()
    }
    return data | code


def model_inputs(component: Component) -> list[str]:
    """URIs among its inputs that may be a model some job made."""
    return [uri for _, uri in _inputs(component) if uri.startswith("s3://") and uri.endswith(".tar.gz")]


def _facts(component: Component, s3: Any) -> Iterator[tuple[str, str]]:
    parameters = component.get("Parameters", {})
    for name, value in parameters.items():
        if name not in UNTOLD:
            yield name, _said(value)
    for name, uri in _inputs(component):
        if not uri.startswith("s3://"):
            yield name, uri
        elif name not in CODE_INPUTS:
            yield f"data: {name}", content(s3, uri)
    code = dict(_inputs(component)).get("code") or _said(parameters.get(SOURCE, {}))
    for path, digest in _code(s3, code).items():
        yield f"code: {path}", digest


def _inputs(component: Component) -> list[tuple[str, str]]:
    return [(name, each["Value"]) for name, each in component.get("InputArtifacts", {}).items()]


def content(s3: Any, uri: str) -> str:
    """How many files and bytes lie at a URI, and a digest of them; the URI where that cannot be told."""
    bucket, _, key = uri.removeprefix("s3://").partition("/")
    try:
        answer = s3.list_objects_v2(Bucket=bucket, Prefix=key, MaxKeys=MOST_OBJECTS)
    except ClientError:
        return uri
    objects = answer.get("Contents", [])
    if not objects or answer.get("IsTruncated"):
        return uri
    known = sorted((each["Key"].removeprefix(key), each["ETag"], each["Size"]) for each in objects)
    size = sum(each["Size"] for each in objects)
    files = "1 file" if len(objects) == 1 else f"{len(objects)} files"
    return f"{files}, {size:,} bytes, {sha256(repr(known).encode()).hexdigest()[:8]}"


def _code(s3: Any, uri: str) -> Mapping[str, str]:
    """A digest of each file of a source archive, or of the one file that lies there."""
    if not uri.startswith("s3://"):
        return {}
    bucket, _, key = uri.removeprefix("s3://").partition("/")
    try:
        answer = s3.get_object(Bucket=bucket, Key=key)
    except ClientError:
        return {}
    with answer["Body"] as stream:
        if answer["ContentLength"] > MOST_CODE_BYTES:
            return {}
        body = stream.read()
    if key.endswith((".tar.gz", ".tgz", ".tar")):
        return file_digests(body)
    return {key.rpartition("/")[2]: sha256(body).hexdigest()[:8]}


def _said(value: Mapping[str, Any]) -> str:
    """A parameter's value. The SDKs send text as JSON, in quotes."""
    number = value.get("NumberValue")
    if number is not None:
        return f"{number:.10g}"
    text = str(value.get("StringValue", ""))
    return text[1:-1] if len(text) > 1 and text[0] == text[-1] == '"' else text
