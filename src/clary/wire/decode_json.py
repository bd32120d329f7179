"""JSON documents into values, by shape."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from typing import Any, Never

from botocore.model import Shape, StructureShape

from clary.errors import ClientFault
from clary.wire.scalars import BadValue, epoch_in_range, in_range, parse_blob, parse_timestamp

_DEPTH_LIMIT = 64


class SerializationException(ClientFault):
    """The request's document could not be read."""

    code = "SerializationException"


def parse_json_document(body: bytes, shape: StructureShape | None) -> dict[str, Any]:
    """The members of a JSON object; no body is an empty object. Raises SerializationException."""
    if not body.strip():
        return {}
    document = load_json(body)
    if not isinstance(document, dict):
        raise SerializationException("The request's document must be a JSON object.")
    return {} if shape is None else _structure(document, shape, 1)


def load_json(body: bytes) -> Any:
    """JSON in UTF-8. NaN and Infinity are refused, as is what no parser can hold. Raises SerializationException."""
    try:
        return json.loads(body.decode("utf-8"), parse_constant=_refuse_constant)
    except UnicodeDecodeError as error:
        raise SerializationException(f"The request's document is not UTF-8: {error.reason}.") from None
    except json.JSONDecodeError as error:
        raise SerializationException(f"The request's document is not JSON: {error}.") from None
    except (ValueError, RecursionError):
        raise SerializationException(
            "The request's document is nested too deep or has too long a number."
        ) from None


def _refuse_constant(name: str) -> Never:
    raise SerializationException(f"The request's document is not JSON: {name} is not a value.")


def value_of(data: Any, shape: Shape, depth: int = 1) -> Any:
    """One JSON value as its shape wants it. Raises SerializationException."""
    if depth > _DEPTH_LIMIT:
        raise SerializationException(f"The request's document is nested deeper than {_DEPTH_LIMIT} levels.")
    if getattr(shape, "is_document_type", False):
        return data
    parse = _PARSERS.get(shape.type_name)
    if parse is not None:
        return parse(data, shape, depth)
    try:
        return _scalar(data, shape)
    except BadValue as error:
        raise SerializationException(f"{shape.name}: {error}") from None


def _structure(data: Any, shape: Any, depth: int) -> dict[str, Any]:
    if not isinstance(data, dict):
        _refuse(data, shape.name)
    found = {}
    for name, member in shape.members.items():
        value = data.get(member.serialization.get("name", name))
        if value is not None:
            found[name] = value_of(value, member, depth + 1)
    return found


def _list(data: Any, shape: Any, depth: int) -> list[Any]:
    if not isinstance(data, list):
        _refuse(data, "list")
    return [None if item is None else value_of(item, shape.member, depth + 1) for item in data]


def _map(data: Any, shape: Any, depth: int) -> dict[str, Any]:
    if not isinstance(data, dict):
        _refuse(data, "map")
    return {
        _string(key): None if item is None else value_of(item, shape.value, depth + 1)
        for key, item in data.items()
    }


_PARSERS: Mapping[str, Callable[[Any, Any, int], Any]] = {"structure": _structure, "list": _list, "map": _map}


def _scalar(data: Any, shape: Shape) -> Any:
    kind = shape.type_name
    if kind in ("integer", "long"):
        return _integer(data, kind)
    if kind in ("float", "double"):
        return _float(data)
    if kind == "boolean":
        return data if isinstance(data, bool) else _refuse(data, "Boolean")
    if kind == "timestamp":
        return _timestamp(data)
    return parse_blob(_string(data)) if kind == "blob" else _string(data)


def _string(data: Any) -> str:
    if not isinstance(data, str):
        _refuse(data, "String")
    try:
        data.encode()
    except UnicodeEncodeError:
        raise SerializationException(
            "The request's document has half of a surrogate pair in a string."
        ) from None
    return data


def _integer(data: Any, kind: str) -> int:
    whole = isinstance(data, float) and data.is_integer()
    if isinstance(data, bool) or not (isinstance(data, int) or whole):
        _refuse(data, kind.capitalize())
    return in_range(int(data), kind)


def _float(data: Any) -> float:
    if isinstance(data, str) and data in ("NaN", "Infinity", "-Infinity"):
        return float(data)
    if isinstance(data, bool) or not isinstance(data, int | float):
        _refuse(data, "Double")
    return _finite(data)


def _finite(data: float) -> float:
    try:
        value = float(data)
    except OverflowError:
        value = float("inf")
    if value in (float("inf"), float("-inf")):
        raise BadValue("the number is out of the range of a double")
    return value


def _timestamp(data: Any) -> float:
    if isinstance(data, str):
        return parse_timestamp(data)
    if isinstance(data, bool) or not isinstance(data, int | float):
        _refuse(data, "Timestamp")
    return epoch_in_range(_finite(data))


def _refuse(data: Any, wanted: str) -> Never:
    if isinstance(data, dict):
        raise SerializationException("Start of structure or map found where not expected.")
    if isinstance(data, list):
        raise SerializationException("Start of list found where not expected.")
    if isinstance(data, bool):
        token = f"{str(data).upper()}_VALUE"
    else:
        token = "STRING_VALUE" if isinstance(data, str) else "NUMBER_VALUE"
    article = "an" if wanted[0] in "AEIO" else "a"
    raise SerializationException(f"{token} can not be converted to {article} {wanted}.")
