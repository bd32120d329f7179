"""Values into JSON documents, by shape."""

from __future__ import annotations

import base64
import json
from collections.abc import Mapping
from datetime import datetime
from functools import cache
from typing import Any, cast

from botocore.model import ListShape, MapShape, Shape, StructureShape

from clary.errors import InternalFailure
from clary.wire.scalars import format_timestamp


def write_json(result: Mapping[str, Any], shape: StructureShape) -> bytes:
    """A structure as a JSON object. Raises InternalFailure for a member the shape does not have."""
    return dump_json(structure_data(result, shape))


def dump_json(data: Any) -> bytes:
    # NaN is written bare, as botocore reads it: the float of a diverged loss must arrive as a float.
    return json.dumps(data, ensure_ascii=False, separators=(",", ":")).encode("utf-8", "replace")


def structure_data(result: Mapping[str, Any], shape: StructureShape) -> dict[str, Any]:
    """What json.dumps needs to write a structure."""
    check_members(result, shape)
    found = {}
    for name, key, member in _members(shape):
        value = result.get(name)
        if value is not None:
            found[key] = _data(value, member)
    return found


@cache
def _members(shape: StructureShape) -> tuple[tuple[str, str, Shape], ...]:
    """Name, key in the document and shape of each member. Shapes are made once for a model, and it is kept."""
    return tuple(
        (name, member.serialization.get("name", name), member) for name, member in shape.members.items()
    )


def check_members(result: Mapping[str, Any], shape: StructureShape) -> None:
    """Raise InternalFailure if the result has a member that its shape does not have."""
    unknown = [name for name, value in result.items() if name not in shape.members and value is not None]
    if unknown:
        raise InternalFailure(f"{shape.name} has no member {', '.join(unknown)}")


def _data(value: Any, shape: Shape) -> Any:
    match shape.type_name:
        case "structure":
            is_document = getattr(shape, "is_document_type", False)
            return value if is_document else structure_data(value, cast(StructureShape, shape))
        case "list":
            inner = cast(ListShape, shape).member
            return [_data(item, inner) for item in value if item is not None]
        case "map":
            inner = cast(MapShape, shape).value
            return {str(key): _data(item, inner) for key, item in value.items() if item is not None}
    return _scalar(value, shape)


def _scalar(value: Any, shape: Shape) -> Any:
    kind = shape.type_name
    if kind == "timestamp":
        return _timestamp(value, shape.serialization.get("timestampFormat", "unixTimestamp"))
    if kind == "blob":
        return base64.b64encode(value if isinstance(value, bytes) else str(value).encode()).decode()
    if kind in ("integer", "long"):
        return int(value)
    if kind in ("float", "double"):
        return float(value)
    return bool(value) if kind == "boolean" else str(value)


def _timestamp(value: float | datetime, time_format: str) -> float | str:
    if time_format.lower() != "unixtimestamp":
        return format_timestamp(value, time_format)
    return value.timestamp() if isinstance(value, datetime) else float(value)
