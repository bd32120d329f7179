"""Values into JSON documents, by shape."""

from __future__ import annotations

import base64
import json
from collections.abc import Mapping
from datetime import datetime
from typing import Any

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
    for name, member in shape.members.items():
        value = result.get(name)
        if value is not None:
            found[member.serialization.get("name", name)] = _data(value, member)
    return found


def check_members(result: Mapping[str, Any], shape: StructureShape) -> None:
    """Raise InternalFailure if the result has a member that its shape does not have."""
    unknown = [name for name, value in result.items() if name not in shape.members and value is not None]
    if unknown:
        raise InternalFailure(f"{shape.name} has no member {', '.join(unknown)}")


def _data(value: Any, shape: Shape) -> Any:
    if getattr(shape, "is_document_type", False):
        return value
    if isinstance(shape, StructureShape):
        return structure_data(value, shape)
    if isinstance(shape, ListShape):
        return [_data(item, shape.member) for item in value if item is not None]
    if isinstance(shape, MapShape):
        return {str(key): _data(item, shape.value) for key, item in value.items() if item is not None}
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
