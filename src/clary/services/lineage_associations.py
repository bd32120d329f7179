"""AddAssociation, DeleteAssociation, ListAssociations: what contributed to what, what produced what."""

from __future__ import annotations

import json
from base64 import urlsafe_b64decode, urlsafe_b64encode
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from clary.errors import ResourceNotFound, ValidationException
from clary.services.lineage_entities import (
    EDGES,
    PLAIN,
    Entity,
    edge_type,
    entities,
    entity_of,
    find_entity,
    is_edge,
)
from clary.services.operations import Context, operation
from clary.store.base import Link, Resource, Store

Request = Mapping[str, Any]

DEFAULT_RESULTS = 10


@dataclass(frozen=True, slots=True)
class Association:
    link: Link
    source: Entity
    destination: Entity

    @property
    def place(self) -> tuple[str, str, str]:
        return self.link.source, self.link.destination, self.link.kind


@operation("sagemaker", "AddAssociation")
def add_association(context: Context, request: Request) -> Request:
    """Between two entities that exist. Doing it again is no fault."""
    source, destination = (_entity(context, request, end).arn for end in ("SourceArn", "DestinationArn"))
    if source == destination:
        raise ValidationException(
            "SourceArn and DestinationArn are the same: an association is between two entities"
        )
    context.store.link(Link(source, destination, request.get("AssociationType", PLAIN), context.now()))
    context.changed()
    return {"SourceArn": source, "DestinationArn": destination}


@operation("sagemaker", "DeleteAssociation")
def delete_association(context: Context, request: Request) -> Request:
    """Of whatever type."""
    source, destination = request["SourceArn"].lower(), request["DestinationArn"].lower()
    gone = [link for link in context.store.links(source=source, destination=destination) if is_edge(link)]
    if not gone:
        raise ResourceNotFound(f"There is no association from {source} to {destination}.")
    for link in gone:
        context.store.unlink(source, destination, kind=link.kind)
    context.changed()
    return {"SourceArn": source, "DestinationArn": destination}


@operation("sagemaker", "ListAssociations")
def list_associations(context: Context, request: Request) -> Request:
    """Newest first unless asked otherwise; of a source, of a destination, of types, made in a stretch of time."""
    found = [
        each for each in _associations(context.store, _links(context.store, request)) if _fits(each, request)
    ]
    key = _SORTS[request.get("SortBy", "CreationTime")]
    descending = request.get("SortOrder", "Descending") == "Descending"
    places = sorted(
        ((key(each), each.place, each) for each in found), key=lambda it: it[:2], reverse=descending
    )
    if (token := request.get("NextToken")) is not None:
        behind = _read_token(token, request)
        places = [it for it in places if (it[:2] < behind if descending else it[:2] > behind)]
    limit = request.get("MaxResults", DEFAULT_RESULTS)
    answer = {"AssociationSummaries": [_summary(each) for *_, each in places[:limit]]}
    if len(places) <= limit:
        return answer
    return {**answer, "NextToken": _write_token(places[limit - 1][:2], request)}


_SORTS: Mapping[str, Callable[[Association], Any]] = {
    "CreationTime": lambda each: each.link.created,
    "SourceArn": lambda each: each.link.source,
    "DestinationArn": lambda each: each.link.destination,
    "SourceType": lambda each: each.source.type,
    "DestinationType": lambda each: each.destination.type,
}


def _entity(context: Context, request: Request, end: str) -> Resource:
    found = find_entity(context, request[end])
    if found is None:
        raise ResourceNotFound(f"{end}: there is no {request[end]}.")
    return found


def _links(store: Store, request: Request) -> Sequence[Link]:
    given = {
        end: request[field].lower()
        for end, field in (("source", "SourceArn"), ("destination", "DestinationArn"))
        if field in request
    }
    if given:
        return store.links(**given)
    kinds = [request["AssociationType"]] if "AssociationType" in request else sorted(EDGES)
    return [link for kind in kinds for link in store.links(kind=kind)]


def _associations(store: Store, links: Sequence[Link]) -> list[Association]:
    edges = [link for link in links if is_edge(link)]
    ends = entities(store, {end for link in edges for end in (link.source, link.destination)})
    return [
        Association(link, entity_of(ends[link.source]), entity_of(ends[link.destination]))
        for link in edges
        if link.source in ends and link.destination in ends
    ]


def _fits(each: Association, request: Request) -> bool:
    return all(
        [
            request.get("AssociationType", each.link.kind) == each.link.kind,
            request.get("SourceType", each.source.type) == each.source.type,
            request.get("DestinationType", each.destination.type) == each.destination.type,
            "CreatedAfter" not in request or each.link.created > request["CreatedAfter"],
            "CreatedBefore" not in request or each.link.created < request["CreatedBefore"],
        ]
    )


def _summary(each: Association) -> dict[str, Any]:
    names = {"SourceName": each.source.name, "DestinationName": each.destination.name}
    return {
        "SourceArn": each.link.source,
        "DestinationArn": each.link.destination,
        "SourceType": each.source.type,
        "DestinationType": each.destination.type,
        **edge_type(each.link),
        **{field: name for field, name in names.items() if name is not None},
        "CreationTime": each.link.created,
        "CreatedBy": {},
    }


def _order(request: Request) -> list[str]:
    return [request.get("SortBy", "CreationTime"), request.get("SortOrder", "Descending")]


def _write_token(place: tuple[Any, tuple[str, str, str]], request: Request) -> str:
    return urlsafe_b64encode(json.dumps([_order(request), *place]).encode()).decode()


def _read_token(token: str, request: Request) -> tuple[Any, tuple[str, str, str]]:
    try:
        match json.loads(urlsafe_b64decode(token)):
            case [order, (str() | float() | int()) as key, [str(source), str(destination), str(kind)]]:
                is_time = _order(request)[0] == "CreationTime"
                if order == _order(request) and isinstance(key, str) != is_time:
                    return key, (source, destination, kind)
    except (ValueError, RecursionError):
        pass
    raise ValidationException("NextToken is not one that ListAssociations gave out for this order")
