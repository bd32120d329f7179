"""A search expression as a tree of conditions, each of which looks at one document."""

from __future__ import annotations

import json
import math
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from typing import Any, Protocol

from botocore.model import ListShape, StructureShape

from clary.errors import ValidationException
from clary.services.search_paths import Property, find_property, list_property

Request = Mapping[str, Any]
Document = Mapping[str, Any]

MOST_CONDITIONS = 50
_EXPERIMENT_KINDS = frozenset({"Experiment", "Trial", "TrialComponent"})
_CONTAINS_FREELY = frozenset(
    {
        "DisplayName",
        "ExperimentName",
        "TrialName",
        "TrialComponentName",
        "Tags",
        "InputArtifacts",
        "OutputArtifacts",
    }
)
_ORDER: Mapping[str, Callable[[float, float], bool]] = {
    "GreaterThan": lambda found, wanted: found > wanted,
    "GreaterThanOrEqualTo": lambda found, wanted: found >= wanted,
    "LessThan": lambda found, wanted: found < wanted,
    "LessThanOrEqualTo": lambda found, wanted: found <= wanted,
}
_WITHOUT_VALUE = frozenset({"Exists", "NotExists"})
_TEXT_ONLY = frozenset({"Contains", "In"})


class Condition(Protocol):
    def holds(self, document: Document) -> bool: ...
    def properties(self) -> Iterator[Property]: ...


@dataclass(frozen=True, slots=True)
class Term:
    """One filter. `number` is `text` as a number or a time, where it is one."""

    property: Property
    operator: str
    text: str = ""
    number: float | None = None

    def holds(self, document: Document) -> bool:
        found = list(self.property.values(document))
        match self.operator:
            case "Exists":
                return bool(found)
            case "NotExists":
                return not found
            case "NotEquals":
                return not any(self._equals(value) for value in found)
            case "Equals":
                return any(self._equals(value) for value in found)
            case "In":
                wanted = {part.strip() for part in self.text.split(",")}
                return any(not wanted.isdisjoint(_spellings(value)) for value in found)
            case "Contains":
                return any(self.text in spelling for value in found for spelling in _spellings(value))
        return any(self._is_beyond(value) for value in found)

    def properties(self) -> Iterator[Property]:
        yield self.property

    def _equals(self, value: Any) -> bool:
        number = number_of(value) if self.property.type != "text" else None
        if number is not None and self.number is not None:
            return number == self.number
        if isinstance(value, bool):
            return self.text.lower() == str(value).lower()
        return self.text in _spellings(value)

    def _is_beyond(self, value: Any) -> bool:
        number = number_of(value)
        return number is not None and self.number is not None and _ORDER[self.operator](number, self.number)


@dataclass(frozen=True, slots=True)
class Nested:
    """Holds where one element of a list satisfies all terms."""

    property: Property
    terms: Sequence[Term]

    def holds(self, document: Document) -> bool:
        lists = self.property.values(document)
        return any(
            all(term.holds(element) for term in self.terms) for elements in lists for element in elements
        )

    def properties(self) -> Iterator[Property]:
        yield self.property


@dataclass(frozen=True, slots=True)
class Group:
    """`members` joined by And, or by Or where `any_of`."""

    members: Sequence[Condition]
    any_of: bool = False

    def holds(self, document: Document) -> bool:
        found = (member.holds(document) for member in self.members)
        return any(found) if self.any_of else all(found)

    def properties(self) -> Iterator[Property]:
        for member in self.members:
            yield from member.properties()

    def folded(self, names: Collection[str]) -> Group:
        """The same with lower-case values of some members: for names that are compared without case."""
        return replace(self, members=[_folded(member, names) for member in self.members])


EVERYTHING = Group(())


def read_expression(expression: Request, shape: StructureShape) -> Group:
    """Raises ValidationException for an unknown property, an operator that does not fit it, or too many conditions."""
    group = _group(expression, shape)
    count = _count(expression)
    if count > MOST_CONDITIONS:
        raise ValidationException(
            f"The SearchExpression has {count} filters, nested filters and sub-expressions: {MOST_CONDITIONS} at most"
        )
    _check_contains(_terms(group), shape)
    return group


def number_of(value: Any) -> float | None:
    """Hyperparameters are text, some of it JSON-encoded once more."""
    if isinstance(value, bool):
        return None
    try:
        number = float(value if not isinstance(value, str) else value.strip().strip('"'))
    except (TypeError, ValueError):
        return None
    return None if math.isnan(number) else number


def _group(expression: Request, shape: StructureShape) -> Group:
    members: list[Condition] = [_term(entry, shape) for entry in expression.get("Filters", ())]
    members += [_nested(entry, shape) for entry in expression.get("NestedFilters", ())]
    members += [_group(entry, shape) for entry in expression.get("SubExpressions", ())]
    if not members:
        raise ValidationException(
            "SearchExpression: give at least one of Filters, NestedFilters, SubExpressions"
        )
    return Group(members, any_of=expression.get("Operator", "And") == "Or")


def _term(entry: Request, shape: StructureShape) -> Term:
    return _checked(find_property(entry["Name"], shape), entry)


def _checked(found: Property, entry: Request) -> Term:
    operator = entry.get("Operator", "Equals")
    if operator in _WITHOUT_VALUE:
        if "Value" in entry:
            raise ValidationException(f"Filter '{found.name}': the operator {operator} takes no Value")
        return Term(found, operator)
    if "Value" not in entry:
        raise ValidationException(f"Filter '{found.name}': the operator {operator} needs a Value")
    _check_operator(found, operator)
    text = entry["Value"]
    number = _wanted(found, text)
    if number is None and (found.type in {"number", "time"} or operator in _ORDER):
        kind = "an ISO 8601 date-time such as 2026-01-31T12:00:00" if found.type == "time" else "a number"
        raise ValidationException(f"Filter '{found.name}': the Value '{text}' is not {kind}")
    return Term(found, operator, text, number)


def _check_operator(found: Property, operator: str) -> None:
    if found.type == "none":
        raise ValidationException(
            f"Filter '{found.name}': this property has no value of its own; the operator {operator} needs one"
        )
    if operator in _ORDER and found.type in {"text", "boolean"}:
        raise ValidationException(
            f"Filter '{found.name}': the operator {operator} is not supported for {found.type} properties"
        )
    if operator in _TEXT_ONLY and found.type not in {"text", "any"}:
        raise ValidationException(
            f"Filter '{found.name}': the operator {operator} is supported for text properties only"
        )


def _nested(entry: Request, shape: StructureShape) -> Nested:
    of = list_property(entry["NestedPropertyName"], shape)
    assert isinstance(of.shape, ListShape)
    prefix = f"{of.name}.".lower()
    terms = []
    for inner in entry["Filters"]:
        name = inner["Name"]
        relative = name[len(prefix) :] if name.lower().startswith(prefix) else name
        terms.append(_checked(find_property(relative, of.shape.member), inner))
    return Nested(of, terms)


def _wanted(found: Property, text: str) -> float | None:
    if found.type == "time":
        return _time(text)
    return number_of(text)


def _time(text: str) -> float | None:
    try:
        moment = datetime.fromisoformat(text)
    except ValueError:
        return number_of(text)
    return (moment if moment.tzinfo else moment.replace(tzinfo=UTC)).timestamp()


def _spellings(value: Any) -> tuple[str, ...]:
    """A value as text: as it is and, where it is text in JSON's quotes, without those."""
    if not isinstance(value, str):
        return (str(value),)
    if value.startswith('"'):
        try:
            inner = json.loads(value)
        except ValueError:
            return (value,)
        return (value, inner) if isinstance(inner, str) else (value,)
    return (value,)


def _folded(condition: Condition, names: Collection[str]) -> Condition:
    match condition:
        case Group():
            return condition.folded(names)
        case Term() if condition.property.top in names:
            return replace(condition, text=condition.text.lower())
        case Nested() if condition.property.top in names:
            return replace(
                condition, terms=[replace(term, text=term.text.lower()) for term in condition.terms]
            )
    return condition


def _count(expression: Request) -> int:
    nested = expression.get("NestedFilters", ())
    inner = expression.get("SubExpressions", ())
    return (
        len(expression.get("Filters", ()))
        + sum(1 + len(entry["Filters"]) for entry in nested)
        + sum(1 + _count(entry) for entry in inner)
    )


def _terms(condition: Condition) -> Iterator[Term]:
    match condition:
        case Term():
            yield condition
        case Nested(terms=terms):
            yield from terms
        case Group(members=members):
            for member in members:
                yield from _terms(member)


def _check_contains(terms: Iterable[Term], shape: StructureShape) -> None:
    free = _CONTAINS_FREELY if shape.name in _EXPERIMENT_KINDS else frozenset()
    used = [term for term in terms if term.operator == "Contains" and term.property.top not in free]
    if len(used) > 1:
        raise ValidationException("'CONTAINS' operator usage limit of 1 exceeded.")
