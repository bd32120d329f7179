"""Forms of the query protocol into values, by shape: `Tags.member.1.Key=a&Tags.member.1.Value=b`."""

from __future__ import annotations

from typing import Any
from urllib.parse import parse_qsl

from botocore.model import ListShape, MapShape, Shape, StructureShape

from clary.errors import ClientFault
from clary.wire.scalars import BadValue, parse_scalar

_DEPTH_LIMIT = 32
_FIELDS_LIMIT = 100_000

# The form as a tree: a name leads to a branch, "" in a branch to the text given for it.
_Tree = dict[str, Any]


class MalformedInput(ClientFault):
    """The request's form could not be read."""

    code = "MalformedInput"


def parse_form(body: bytes, query: str, shape: StructureShape | None) -> dict[str, Any]:
    """The parameters in a form and in the query string (the form wins). Raises MalformedInput."""
    if shape is None:
        return {}
    try:
        pairs = [
            *parse_qsl(query, keep_blank_values=True, errors="strict", max_num_fields=_FIELDS_LIMIT),
            *parse_qsl(
                body.decode("utf-8"), keep_blank_values=True, errors="strict", max_num_fields=_FIELDS_LIMIT
            ),
        ]
    except UnicodeDecodeError:
        raise MalformedInput("The request's form is not UTF-8.") from None
    except ValueError:
        raise MalformedInput(f"The request's form has more than {_FIELDS_LIMIT} fields.") from None
    return _structure(_tree(pairs), shape)


def _tree(pairs: list[tuple[str, str]]) -> _Tree:
    root: _Tree = {}
    for name, value in pairs:
        branch = root
        parts = name.split(".", _DEPTH_LIMIT)
        if len(parts) > _DEPTH_LIMIT:
            raise MalformedInput(f"A field's name has more than {_DEPTH_LIMIT} parts.")
        for part in parts:
            branch = branch.setdefault(part, {})
        branch[""] = value
    return root


def _value(branch: _Tree, shape: Shape, name: str) -> Any:
    if isinstance(shape, StructureShape):
        return _structure(branch, shape)
    if isinstance(shape, ListShape):
        return _list(branch, shape, name)
    if isinstance(shape, MapShape):
        return _map(branch, shape, name)
    if "" not in branch:
        raise MalformedInput(f"The field {name} has parts, but is a single value.")
    try:
        return parse_scalar(branch[""], shape)
    except BadValue as error:
        raise MalformedInput(f"The field {name}: {error}.") from None


def _structure(branch: _Tree, shape: StructureShape) -> dict[str, Any]:
    found = {}
    for name, member in shape.members.items():
        written = member.serialization.get("name", name)
        if isinstance(member, ListShape) and member.serialization.get("flattened"):
            written = member.member.serialization.get("name", written)
        if written in branch:
            found[name] = _value(branch[written], member, written)
    return found


def _list(branch: _Tree, shape: ListShape, name: str) -> list[Any]:
    if not shape.serialization.get("flattened"):
        branch = branch.get(shape.member.serialization.get("name", "member"), {})
    return [_value(item, shape.member, name) for item in _numbered(branch)]


def _map(branch: _Tree, shape: MapShape, name: str) -> dict[str, Any]:
    if not shape.serialization.get("flattened"):
        branch = branch.get("entry", {})
    key_name = shape.key.serialization.get("name", "key")
    value_name = shape.value.serialization.get("name", "value")
    found = {}
    for entry in _numbered(branch):
        if key_name in entry and value_name in entry:
            found[_value(entry[key_name], shape.key, name)] = _value(entry[value_name], shape.value, name)
    return found


def _numbered(branch: _Tree) -> list[_Tree]:
    numbered = [
        (int(number), item) for number, item in branch.items() if number.isdecimal() and len(number) < 10
    ]
    return [item for _, item in sorted(numbered, key=lambda pair: pair[0])]
