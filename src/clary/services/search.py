"""Search: which resources fulfil a condition, in the order of any property.

Only what the condition and the order name is read of each candidate; whole documents are made for the page that is
answered. So the cost of a search follows what it asks for, not what the resources hold.
"""

from __future__ import annotations

import json
from base64 import urlsafe_b64decode, urlsafe_b64encode
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from clary.errors import ValidationException
from clary.services.operations import Context, operation
from clary.services.search_paths import Property, find_property
from clary.services.search_sources import SOURCES, Source
from clary.services.search_terms import EVERYTHING, Condition, Group, number_of, read_expression
from clary.store.base import Head

Request = Mapping[str, Any]
Place = tuple[int, Any, str]

DEFAULT_RESULTS = 10
_NUMBER, _TEXT = 1, 2


@operation("sagemaker", "Search")
def search(context: Context, request: Request) -> Request:
    """Resources that satisfy a condition: filters, nested filters, sub-expressions; latest change first by default."""
    source = _source(request)
    expression = request.get("SearchExpression")
    condition = read_expression(expression, source.shape) if expression else EVERYTHING
    order = _Order(
        find_property(request.get("SortBy", source.sort), source.shape),
        descending=request.get("SortOrder", "Descending") == "Descending",
    )
    found = _find(context, source, condition, order)
    made_for = f"{request['Resource']}/{order.property.name}/{order.descending}"
    first = _first(found, request.get("NextToken"), made_for, order)
    following = first + request.get("MaxResults", DEFAULT_RESULTS)
    page = found[first:following]
    documents = source.documents(context, [head for _, head in page])
    records = source.records(context, [document for document in documents if document is not None])
    return {
        "Results": [{source.member: record} for record in records],
        "TotalHits": {"Value": len(found), "Relation": "EqualTo"},
        **({"NextToken": _token(page[-1][0], made_for)} if following < len(found) else {}),
    }


@dataclass(frozen=True, slots=True)
class _Order:
    """Resources without the property come last either way."""

    property: Property
    descending: bool

    def place(self, document: Mapping[str, Any], name: str) -> Place:
        value = next(self.property.values(document), None)
        if value is None or value != value:  # not a number has no place among numbers
            return (0 if self.descending else 3, 0, name)
        number = number_of(value) if self.property.type == "any" else None
        if number is not None or isinstance(value, bool | int | float):
            return (_NUMBER, float(value) if number is None else number, name)
        return (_TEXT, str(value), name)

    def is_behind(self, place: Place, other: Place) -> bool:
        return place < other if self.descending else place > other


def _source(request: Request) -> Source:
    if request.get("CrossAccountFilterOption") == "CrossAccount" or request.get("VisibilityConditions"):
        raise ValidationException(
            "CrossAccountFilterOption CrossAccount and VisibilityConditions are not supported: there is one account"
        )
    source = SOURCES.get(request["Resource"])
    if source is None:
        raise ValidationException(
            f"Search over '{request['Resource']}' is not supported; it is over {', '.join(SOURCES)}"
        )
    return source


def _find(context: Context, source: Source, condition: Group, order: _Order) -> list[tuple[Place, Head]]:
    """What fulfils the condition, in order. What is quick to read is decided first, the rest on who is left."""
    where, left = source.narrowed(context, condition)
    steps: Sequence[Condition] = [left] if left.any_of else left.members
    quick = [step for step in steps if source.is_quick(step.properties())]
    slow = Group([step for step in steps if step not in quick])
    heads = context.store.heads(source.kind, where)
    for step in [*quick, *([slow] if slow.members else [])]:
        documents = source.look(context, heads, list(step.properties()))
        heads = [
            head
            for head, document in zip(heads, documents, strict=True)
            if document is not None and step.holds(document)
        ]
    documents = source.look(context, heads, [order.property])
    places = [
        (order.place(document, head.name), head)
        for head, document in zip(heads, documents, strict=True)
        if document is not None
    ]
    return sorted(places, key=lambda pair: pair[0], reverse=order.descending)


def _first(found: Sequence[tuple[Place, Head]], token: str | None, made_for: str, order: _Order) -> int:
    """The index at which the page begins: behind the token's place, whatever came or went since."""
    if not token:
        return 0
    refusal = ValidationException("NextToken is not one that this Search gave out")
    try:
        for_, *place = json.loads(urlsafe_b64decode(token.encode("ascii")))
        rank, value, name = place
    except (ValueError, TypeError, RecursionError):
        raise refusal from None
    if for_ != made_for or not isinstance(name, str) or not isinstance(value, float | int | str):
        raise refusal
    before = (rank, value, name)
    try:
        return next((index for index, (at, _) in enumerate(found) if order.is_behind(at, before)), len(found))
    except TypeError:
        raise refusal from None


def _token(place: Place, made_for: str) -> str:
    return urlsafe_b64encode(json.dumps([made_for, *place]).encode()).decode()
