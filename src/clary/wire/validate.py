"""A request's parameters against the published limits: every fault in one message, in the service's wording."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Iterator, Mapping
from typing import Any

from botocore.model import ListShape, MapShape, OperationModel, Shape, StructureShape

from clary.errors import S3Fault, ValidationException
from clary.wire.decode_xml import MalformedXML
from clary.wire.patterns import matches

_SHOWN = 256
_FAULTS_SHOWN = 100


def validate(
    params: Mapping[str, Any], operation: OperationModel, *, open_enums: Collection[str] = ()
) -> None:
    """Raise ValidationException with all that is wrong with decoded parameters.

    Checked in every depth: required, enum, pattern, length, size and range. `open_enums` names shapes whose
    published values or size are not a limit here (instance types, say). S3's requests are only checked for required
    members and ranges (S3Fault InvalidArgument, MalformedXML): the rest of its rules are not in its model.
    """
    shape = operation.input_shape
    if shape is None:
        return
    if operation.service_model.metadata.get("protocol") == "rest-xml":
        _validate_s3(params, shape)
        return
    found = []
    for fault in _structure(params, shape, "", frozenset(open_enums)):
        found.append(fault)
        if len(found) == _FAULTS_SHOWN:
            break
    if found:
        plural = "s" if len(found) > 1 else ""
        raise ValidationException(f"{len(found)} validation error{plural} detected: {'; '.join(found)}")


def _validate_s3(params: Mapping[str, Any], shape: StructureShape) -> None:
    for name, member in shape.members.items():
        value = params.get(name)
        if value is not None:
            _validate_s3_member(name, value, member)
        elif name in shape.required_members:
            if member.serialization.get("location") is None:
                raise MalformedXML
            raise _bad_argument(name, member, "it is missing")


def _validate_s3_member(name: str, value: Any, shape: Shape) -> None:
    if isinstance(shape, StructureShape):
        for _ in _missing(value, shape):
            raise MalformedXML
    elif shape.type_name in ("integer", "long"):
        for constraint in _out_of_range(value, shape):
            raise _bad_argument(name, shape, constraint)


def _bad_argument(name: str, shape: Shape, why: str) -> S3Fault:
    written = shape.serialization.get("name", name)
    message = f"The argument {written} is not valid: {why}."
    return S3Fault(message, code="InvalidArgument", extra={"ArgumentName": written})


def _missing(value: Any, shape: Shape) -> Iterator[str]:
    if isinstance(shape, StructureShape):
        for name, member in shape.members.items():
            if value.get(name) is not None:
                yield from _missing(value[name], member)
            elif name in shape.required_members:
                yield name
    elif isinstance(shape, ListShape):
        for item in value:
            yield from _missing(item, shape.member)


def _structure(
    params: Mapping[str, Any], shape: StructureShape, path: str, enums: frozenset[str]
) -> Iterator[str]:
    for name, member in shape.members.items():
        value = params.get(name)
        at = f"{path}.{_lower_camel(name)}" if path else _lower_camel(name)
        if value is not None:
            yield from _value(value, member, at, enums)
        elif name in shape.required_members:
            yield f"Value null at '{at}' failed to satisfy constraint: Member must not be null"


def _value(value: Any, shape: Shape, path: str, enums: frozenset[str]) -> Iterator[str]:
    if getattr(shape, "is_document_type", False):
        return
    if isinstance(shape, StructureShape):
        yield from _structure(value, shape, path, enums)
        return
    for constraint in _broken(value, shape, enums):
        yield f"Value '{_shown(value, shape)}' at '{path}' failed to satisfy constraint: {constraint}"
    if isinstance(shape, ListShape):
        yield from _list(value, shape, path, enums)
    elif isinstance(shape, MapShape):
        yield from _map(value, shape, path, enums)


def _list(value: list[Any], shape: ListShape, path: str, enums: frozenset[str]) -> Iterator[str]:
    for number, item in enumerate(value, 1):
        at = f"{path}.{number}.member"
        if item is None:
            yield f"Value null at '{at}' failed to satisfy constraint: Member must not be null"
        elif _is_nested(shape.member):
            yield from _value(item, shape.member, at, enums)
        elif _broken(item, shape.member, enums):
            rules = ", ".join(_constraints(shape.member, enums))
            shown = _shown(value, shape)
            yield f"Value '{shown}' at '{path}' failed to satisfy constraint: Member must satisfy constraint: [{rules}]"
            return


def _map(value: Mapping[str, Any], shape: MapShape, path: str, enums: frozenset[str]) -> Iterator[str]:
    said = set()
    for key, item in value.items():
        at = f"{path}.{key[:_SHOWN]}.member"
        if item is None:
            yield f"Value null at '{at}' failed to satisfy constraint: Member must not be null"
        elif _is_nested(shape.value):
            yield from _value(item, shape.value, at, enums)
        elif _broken(item, shape.value, enums):
            said.add("Map value")
        if _broken(key, shape.key, enums):
            said.add("Map keys")
    for what in sorted(said):
        rules = ", ".join(_constraints(shape.key if what == "Map keys" else shape.value, enums))
        shown = _shown(value, shape)
        yield f"Value '{shown}' at '{path}' failed to satisfy constraint: {what} must satisfy constraint: [{rules}]"


def _is_nested(shape: Shape) -> bool:
    return isinstance(shape, StructureShape | ListShape | MapShape)


def _broken(value: Any, shape: Shape, enums: frozenset[str]) -> list[str]:
    kind = shape.type_name
    if kind in ("string", "blob", "list", "map"):
        return _broken_size(value, shape, enums)
    if kind in ("integer", "long", "float", "double"):
        return _out_of_range(value, shape)
    return []


def _broken_size(value: Any, shape: Shape, enums: frozenset[str]) -> list[str]:
    limits = shape.metadata
    found = []
    if "max" in limits and shape.name not in enums and len(value) > limits["max"]:
        found.append(f"Member must have length less than or equal to {limits['max']}")
    if "min" in limits and len(value) < limits["min"]:
        found.append(f"Member must have length greater than or equal to {limits['min']}")
    if shape.type_name != "string":
        return found
    if "enum" in limits and shape.name not in enums and value not in limits["enum"]:
        found.append(f"Member must satisfy enum value set: [{', '.join(limits['enum'])}]")
    # A value of the wrong length is not matched: that bounds the time a hostile value can take.
    if "pattern" in limits and not found and not matches(limits["pattern"], value):
        found.append(f"Member must satisfy regular expression pattern: {limits['pattern']}")
    return found


def _out_of_range(value: float, shape: Shape) -> list[str]:
    limits = shape.metadata
    found = []
    if "max" in limits and value > limits["max"]:
        found.append(f"Member must have value less than or equal to {limits['max']}")
    if "min" in limits and value < limits["min"]:
        found.append(f"Member must have value greater than or equal to {limits['min']}")
    return found


def _constraints(shape: Shape, enums: frozenset[str]) -> list[str]:
    limits = shape.metadata
    size = "length" if shape.type_name in ("string", "blob", "list", "map") else "value"
    found = []
    if "max" in limits:
        found.append(f"Member must have {size} less than or equal to {limits['max']}")
    if "min" in limits:
        found.append(f"Member must have {size} greater than or equal to {limits['min']}")
    if "enum" in limits and shape.name not in enums:
        found.append(f"Member must satisfy enum value set: [{', '.join(limits['enum'])}]")
    if "pattern" in limits:
        found.append(f"Member must satisfy regular expression pattern: {limits['pattern']}")
    return found


def _shown(value: Any, shape: Shape) -> str:
    text = _java(value, shape, _SHOWN)
    return text if len(text) <= _SHOWN else text[:_SHOWN] + "..."


def _java(value: Any, shape: Shape, room: int) -> str:
    """A value as the service writes it in messages; stops looking once there is more than is shown."""
    if value is None or room <= 0:
        return "null" if value is None else "..."
    if isinstance(shape, StructureShape):
        members = ((f"{_lower_camel(name)}=", item, shape.members[name]) for name, item in value.items())
        return f"{shape.name}({_joined(members, room)})"
    if isinstance(shape, ListShape):
        return f"[{_joined((('', item, shape.member) for item in value), room)}]"
    if isinstance(shape, MapShape):
        return f"{{{_joined(((f'{key}=', item, shape.value) for key, item in value.items()), room)}}}"
    if isinstance(value, bytes):
        return f"java.nio.HeapByteBuffer[lim={len(value)}]"
    return str(value)[: room + 1]


def _joined(parts: Iterable[tuple[str, Any, Shape]], room: int) -> str:
    written: list[str] = []
    for name, item, shape in parts:
        written.append(name + _java(item, shape, room))
        room -= len(written[-1]) + 2
        if room <= 0:
            break
    return ", ".join(written)


def _lower_camel(name: str) -> str:
    return name[:1].lower() + name[1:]
