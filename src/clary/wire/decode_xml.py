"""XML documents into values, by shape. Entities and document types are refused: S3 documents have none."""

from __future__ import annotations

from typing import Any, Never
from xml.etree.ElementTree import Element, TreeBuilder
from xml.parsers import expat

from botocore.model import ListShape, MapShape, Shape, StructureShape

from clary.errors import S3Fault
from clary.wire.scalars import BadValue, parse_scalar

_DEPTH_LIMIT = 64
_MALFORMED = "The XML you provided was not well-formed or did not validate against our published schema"


class MalformedXML(S3Fault):
    """The XML you provided was not well-formed or did not validate against our published schema"""

    code = "MalformedXML"


def parse_xml_document(body: bytes, shape: StructureShape) -> dict[str, Any]:
    """The members of a document whose root is the shape's. Raises MalformedXML."""
    root = load_xml(body)
    wanted = shape.serialization.get("name", shape.name)
    if _local(root) != wanted:
        raise MalformedXML(f"{_MALFORMED}: the root element is {_local(root)}, not {wanted}.")
    try:
        return _structure(root, shape)
    except BadValue as error:
        raise MalformedXML(f"{_MALFORMED}: {error}.") from None


def load_xml(body: bytes) -> Element:
    """The tree of a document. Raises MalformedXML."""
    builder = TreeBuilder()
    parser = expat.ParserCreate(namespace_separator="}")
    depth = 0

    def start(name: str, attributes: dict[str, str]) -> None:
        nonlocal depth
        depth += 1
        if depth > _DEPTH_LIMIT:
            raise MalformedXML(f"{_MALFORMED}: it is nested deeper than {_DEPTH_LIMIT} levels.")
        builder.start(name, attributes)

    def end(name: str) -> None:
        nonlocal depth
        depth -= 1
        builder.end(name)

    def refuse_doctype(*_: object) -> Never:
        raise MalformedXML(f"{_MALFORMED}: it has a document type.")

    parser.buffer_text = True
    parser.StartElementHandler = start
    parser.EndElementHandler = end
    parser.CharacterDataHandler = builder.data
    parser.StartDoctypeDeclHandler = refuse_doctype
    try:
        parser.Parse(body, True)
    except (expat.ExpatError, ValueError, LookupError) as error:
        raise MalformedXML(f"{_MALFORMED}: {error}.") from None
    return builder.close()


def _local(element: Element) -> str:
    return element.tag.rpartition("}")[2]


def _children(element: Element) -> dict[str, list[Element]]:
    found: dict[str, list[Element]] = {}
    for child in element:
        found.setdefault(_local(child), []).append(child)
    return found


def _value(element: Element, shape: Shape) -> Any:
    if isinstance(shape, StructureShape):
        return _structure(element, shape)
    if isinstance(shape, ListShape):
        item = shape.member.serialization.get("name", "member")
        return [_value(child, shape.member) for child in element if _local(child) == item]
    if isinstance(shape, MapShape):
        return _map([child for child in element if _local(child) == "entry"], shape)
    if len(element):
        raise BadValue(f"{_local(element)} is a single value")
    return parse_scalar(element.text or "", shape)


def _structure(element: Element, shape: StructureShape) -> dict[str, Any]:
    children = _children(element)
    found: dict[str, Any] = {}
    for name, member in shape.members.items():
        written = member.serialization.get("name", name)
        flat = member.serialization.get("flattened")
        if member.serialization.get("xmlAttribute"):
            _attribute(element, name, written, found)
        elif isinstance(member, ListShape) and flat:
            _flat_list(children, member, name, written, found)
        elif written in children:
            found[name] = (
                _map(children[written], member)
                if isinstance(member, MapShape) and flat
                else _value(children[written][0], member)
            )
    return found


def _attribute(element: Element, name: str, written: str, found: dict[str, Any]) -> None:
    local = written.rpartition(":")[2]
    for attribute, value in element.attrib.items():
        if attribute.rpartition("}")[2] == local:
            found[name] = value


def _flat_list(
    children: dict[str, list[Element]], shape: ListShape, name: str, written: str, found: dict[str, Any]
) -> None:
    items = children.get(shape.member.serialization.get("name", written), [])
    if items:
        found[name] = [_value(item, shape.member) for item in items]


def _map(entries: list[Element], shape: MapShape) -> dict[str, Any]:
    key_name = shape.key.serialization.get("name", "key")
    value_name = shape.value.serialization.get("name", "value")
    found = {}
    for entry in entries:
        children = _children(entry)
        if key_name in children and value_name in children:
            key = _value(children[key_name][0], shape.key)
            found[key] = _value(children[value_name][0], shape.value)
    return found
