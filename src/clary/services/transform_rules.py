"""What CreateTransformJob demands beyond the shapes: meanings that fit together, and what Clary can do today.

Each rule names the field and the fix. A field that SageMaker knows and Clary cannot honour is refused here;
`docs/reference/transform-jobs.md` lists those that are recorded without effect.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from typing import Any

from clary.agent.transform_filter import PathFault, parse
from clary.agent.transform_join import FORMATS, format_of
from clary.agent.transform_pace import DEFAULT_MIB, MOST_MIB
from clary.domain.endpoints import container_of
from clary.domain.transform import instances
from clary.errors import ValidationException
from clary.services import tags
from clary.services.job_rules import missing_buckets, no_room, unpassable_texts
from clary.services.operations import Context

Request = Mapping[str, Any]

MOST_CONCURRENT = 100
FILTERS = ("InputFilter", "OutputFilter")


def check(context: Context, request: Request, model: Request) -> None:
    """`model` is the spec of the model's row. Raises ValidationException that lists every fault found."""
    faults = [fault for rule in RULES for fault in rule(request)]
    faults += _model(request, model)
    faults += missing_buckets(
        context,
        {
            "TransformInput.DataSource.S3DataSource.S3Uri": _source_of(request)["S3Uri"],
            "TransformOutput.S3OutputPath": request["TransformOutput"]["S3OutputPath"],
        },
    )
    if not faults:
        faults += no_room(context, *instances(request), member="TransformResources")
    if faults:
        raise ValidationException("; ".join(faults))


def _model(request: Request, model: Request) -> Iterator[str]:
    if container_of(model).get("Mode") == "MultiModel":
        yield (
            f"ModelName: {request['ModelName']!r} has the Mode MultiModel, which endpoints only can serve: make a "
            "model of the one archive that is meant"
        )


def _source(request: Request) -> Iterator[str]:
    kind = _source_of(request)["S3DataType"]
    if kind not in ("S3Prefix", "ManifestFile"):
        yield (
            f"TransformInput.DataSource.S3DataSource.S3DataType {kind} is not supported: use S3Prefix or ManifestFile"
        )
    if "DataCaptureConfig" in request:
        yield "DataCaptureConfig is not supported: the outputs are all kept, and JoinSource Input adds the inputs"


def _sizes(request: Request) -> Iterator[str]:
    concurrent, payload = request.get("MaxConcurrentTransforms", 0), request.get("MaxPayloadInMB")
    if concurrent > MOST_CONCURRENT:
        yield f"MaxConcurrentTransforms {concurrent} is more than {MOST_CONCURRENT}"
    mib = DEFAULT_MIB if payload is None else payload
    if mib > MOST_MIB:
        yield f"MaxPayloadInMB {mib} is more than {MOST_MIB}"
    elif concurrent * mib > MOST_MIB:
        told = "" if payload is not None else f" ({DEFAULT_MIB} where none is given)"
        yield (
            f"MaxConcurrentTransforms {concurrent} times MaxPayloadInMB {mib}{told} is more than {MOST_MIB} MB: lower "
            "one of them"
        )


def _batches(request: Request) -> Iterator[str]:
    split = request["TransformInput"].get("SplitType", "None")
    if request.get("BatchStrategy") == "MultiRecord" and split == "None":
        yield "BatchStrategy MultiRecord needs a TransformInput.SplitType: Line, RecordIO or TFRecord"
    if request.get("MaxPayloadInMB") != 0:
        return
    looking = [name for name in (*FILTERS, "JoinSource") if _wanted(request, name)]
    if split != "None" or looking:
        what = "TransformInput.SplitType" if split != "None" else f"DataProcessing.{looking[0]}"
        yield (
            f"MaxPayloadInMB 0 sends each object as one stream of any length, which {what} cannot look into: leave "
            "one of them out"
        )


def _filters(request: Request) -> Iterator[str]:
    for name in FILTERS:
        if (text := _wanted(request, name)) is None:
            continue
        try:
            path = parse(text)
        except PathFault as fault:
            yield f"DataProcessing.{name} {text!r}: {fault}"
            continue
        is_csv = format_of(_content_type(request) if name == "InputFilter" else _accept(request)) == "csv"
        if is_csv and path.has_names:
            yield (
                f"DataProcessing.{name} {text!r} names a member, and rows of CSV have columns only: write an index, "
                "such as $[0] or $[1:]"
            )


def _formats(request: Request) -> Iterator[str]:
    joins = _wanted(request, "JoinSource") is not None
    reads = [name for name in (*FILTERS, "JoinSource") if _wanted(request, name) is not None]
    if not reads:
        return
    known = ", ".join(sorted(FORMATS))
    split = request["TransformInput"].get("SplitType", "None")
    if split in ("RecordIO", "TFRecord"):
        yield f"DataProcessing.{reads[0]} reads records of CSV and JSON: it cannot go with SplitType {split}"
    content, accept = format_of(_content_type(request)), format_of(_accept(request))
    if content is None and (joins or "InputFilter" in reads):
        yield f"DataProcessing.{reads[0]} needs a TransformInput.ContentType that it can read: one of {known}"
    elif accept is None:
        yield f"DataProcessing.{reads[-1]} needs a TransformOutput.Accept that it can read: one of {known}"
    elif joins and (content == "csv") != (accept == "csv"):
        yield (
            f"DataProcessing.JoinSource Input joins records and answers of one kind: TransformInput.ContentType is "
            f"{_content_type(request)!r}, and TransformOutput.Accept {_accept(request)!r}"
        )
    if joins and split == "Line" and request["TransformOutput"].get("AssembleWith", "None") != "Line":
        yield "DataProcessing.JoinSource Input with SplitType Line needs TransformOutput.AssembleWith Line"


def _headers(request: Request) -> Iterator[str]:
    for where, text in (
        ("TransformInput.ContentType", _content_type(request)),
        ("TransformOutput.Accept", request["TransformOutput"].get("Accept", "")),
    ):
        if not (text.isascii() and text.isprintable()):
            yield f"{where} {text!r} holds what no header can: write a media type, such as text/csv"


def _texts(request: Request) -> Iterator[str]:
    variables = request.get("Environment", {})
    yield from unpassable_texts({f"Environment.{name}": name + text for name, text in variables.items()})


def _wanted(request: Request, name: str) -> str | None:
    """A member of DataProcessing that asks for something."""
    value: str | None = request.get("DataProcessing", {}).get(name)
    return None if value in ("$", "None") else value


def _source_of(request: Request) -> Request:
    source: Request = request["TransformInput"]["DataSource"]["S3DataSource"]
    return source


def _content_type(request: Request) -> str:
    return str(request["TransformInput"].get("ContentType", ""))


def _accept(request: Request) -> str:
    """Of the answers: as the records where nothing is said."""
    return request["TransformOutput"].get("Accept", "") or _content_type(request)


RULES: tuple[Callable[[Request], Iterator[str]], ...] = (
    _source,
    _sizes,
    _batches,
    _filters,
    _formats,
    _headers,
    _texts,
    tags.faults,
)
