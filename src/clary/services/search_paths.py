"""Property names of Search, resolved along the published shape of a resource, and the values they lead to.

    TrainingJobName                      a member
    InputDataConfig.ChannelName          of any element of a list
    InputArtifacts, Tags                 any value among them
    HyperParameters.lr, Parameters.lr    by key; a key may itself hold dots
    Tags.team                            the value of that tag
    Metrics.loss, Metrics.loss.Min       the last value of a metric, or another of its statistics

Members are found whatever the case of their letters: the SDKs write `metrics.loss.last`.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal, NamedTuple, cast

from botocore.model import ListShape, MapShape, Shape, StructureShape

from clary.errors import ValidationException

Type = Literal["text", "number", "time", "boolean", "any", "none"]

_SCALARS: Mapping[str, Type] = {
    "string": "text",
    "timestamp": "time",
    "integer": "number",
    "long": "number",
    "float": "number",
    "double": "number",
    "boolean": "boolean",
}
# lists whose elements are known by a name of their own: the member that holds it, and the member meant by default
_NAMED = {
    "Tag": ("Key", "Value"),
    "TrialComponentMetricSummary": ("MetricName", "Last"),
    "MetricData": ("MetricName", "Value"),
}
_FINAL_METRICS = "FinalMetricDataList"


class Step(NamedTuple):
    """`member` and `key` go into a structure or map, `each` into a list, `every` into all values of a map.

    `named` finds elements by their own name, `parameter` takes the one form a parameter has.
    """

    how: Literal["member", "key", "each", "every", "named", "parameter"]
    what: str = ""
    by: str = ""


@dataclass(frozen=True, slots=True)
class Property:
    """`name` as the client wrote it; `type` is what its values are: `any` where only the value tells, `none` for a part
    that has no value of its own. `shape` is what the steps end at."""

    name: str
    steps: tuple[Step, ...]
    type: Type
    shape: Shape

    @property
    def top(self) -> str:
        """The member of the resource that it starts with."""
        return self.steps[0].what

    @property
    def element(self) -> str | None:
        """The name of the tag or metric that it is about."""
        named = next((step for step in self.steps if step.how == "named"), None)
        return named.what if named else None

    def values(self, document: Any) -> Iterator[Any]:
        """What the document holds there: nothing, one value, or several where lists lie on the way."""
        return _values(document, self.steps)


def find_property(name: str, shape: StructureShape) -> Property:
    """Raises ValidationException for a name that the shape does not know."""
    parts = name.split(".")
    if parts[0].lower() == "metrics" and "Metrics" not in shape.members and _FINAL_METRICS in shape.members:
        parts[0] = _FINAL_METRICS
    steps, type_, end = _walk(parts, shape, name)
    return Property(name, tuple(steps), type_, end)


def list_property(name: str, shape: StructureShape) -> Property:
    """A property that is a list of structures, for NestedFilters. Raises ValidationException."""
    found = find_property(name, shape)
    if not isinstance(found.shape, ListShape) or not isinstance(found.shape.member, StructureShape):
        raise ValidationException(f"NestedPropertyName '{name}' is no list of structures")
    return found


def _walk(parts: Sequence[str], shape: Shape, name: str) -> tuple[list[Step], Type, Shape]:
    if not parts:
        return _end(shape)
    if isinstance(shape, MapShape):
        return _into_map(parts, shape)
    if isinstance(shape, ListShape):
        if shape.member.name in _NAMED:
            return _into_named(parts, shape.member)
        steps, type_, end = _walk(parts, shape.member, name)
        return [Step("each"), *steps], type_, end
    member = _member(parts[0], shape) if isinstance(shape, StructureShape) else None
    if member is None:
        raise ValidationException(f"Unknown property name: '{name}'. {_known(parts[0], shape)}")
    steps, type_, end = _walk(parts[1:], shape.members[member], name)
    return [Step("member", member), *steps], type_, end


def _end(shape: Shape) -> tuple[list[Step], Type, Shape]:
    """Of artifacts and tags any value will do where none is named; other structures and lists have none."""
    inner = "Value"
    if isinstance(shape, MapShape) and inner in getattr(shape.value, "members", {}):
        return [Step("every"), Step("member", inner)], "text", shape.value.members[inner]
    if isinstance(shape, ListShape) and shape.member.name == "Tag":
        return [Step("each"), Step("member", inner)], "text", shape.member.members[inner]
    return [], _SCALARS.get(shape.type_name, "none"), shape


def _into_map(parts: Sequence[str], shape: MapShape) -> tuple[list[Step], Type, Shape]:
    value = shape.value
    if not isinstance(value, StructureShape):
        return [Step("key", ".".join(parts))], "any", value
    last = _member(parts[-1], value) if len(parts) > 1 else None
    if last:
        return (
            [Step("key", ".".join(parts[:-1])), Step("member", last)],
            _SCALARS[value.members[last].type_name],
            value.members[last],
        )
    key = Step("key", ".".join(parts))
    if "NumberValue" in value.members:
        return [key, Step("parameter")], "any", value
    inner = "Value" if "Value" in value.members else None
    return ([key, Step("member", inner)], "text", value.members[inner]) if inner else ([key], "none", value)


def _into_named(parts: Sequence[str], element: StructureShape) -> tuple[list[Step], Type, Shape]:
    by, default = _NAMED[element.name]
    last = _member(parts[-1], element) if len(parts) > 1 and element.name != "Tag" else None
    if len(parts) == 1 and element.name != "Tag" and (own := _member(parts[0], element)) == by:
        return [Step("each"), Step("member", by)], "text", element.members[own]
    wanted = last or default
    named = ".".join(parts[:-1] if last else parts)
    end = element.members[wanted]
    type_: Type = "any" if element.name == "Tag" else _SCALARS[end.type_name]
    return [Step("named", named, by), Step("member", wanted)], type_, end


def _member(part: str, shape: StructureShape) -> str | None:
    if part in shape.members:
        return part
    return next((member for member in shape.members if member.lower() == part.lower()), None)


def _known(part: str, shape: Shape) -> str:
    if not isinstance(shape, StructureShape):
        return f"Nothing called '{part}' lies below a plain value."
    return f"There is no '{part}' among {', '.join(sorted(shape.members))}."


def _values(value: Any, steps: Sequence[Step]) -> Iterator[Any]:
    if value is None:
        return
    if not steps:
        yield value
        return
    for inner in _inside(value, steps[0]):
        yield from _values(inner, steps[1:])


def _inside(value: Any, step: Step) -> Iterable[Any]:
    match step.how:
        case "each":
            return cast(Sequence[Any], value)
        case "every":
            return cast(Mapping[str, Any], value).values()
        case "named":
            return [element for element in value if element.get(step.by) == step.what]
        case "parameter":
            return [value[form] for form in ("NumberValue", "StringValue") if form in value]
    return (value.get(step.what),)
