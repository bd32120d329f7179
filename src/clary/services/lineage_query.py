"""QueryLineage: what an entity came from, and what came of it.

The entities that can be reached along associations are walked breadth first, so a page of them is the nearest first.
The start itself is an answer only with IncludeEdges, where it is needed to draw the picture.
"""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from clary.errors import ResourceNotFound, ValidationException
from clary.services.lineage_entities import Entity, edge_type, entities, entity_of, find_entity, is_edge
from clary.services.operations import Context, operation
from clary.store.base import Link, Resource, Store

Request = Mapping[str, Any]

DEFAULT_DEPTH = 10
MOST_VERTICES = 10_000
DEFAULT_RESULTS = 1_000  # the SDK reads one page

Steps = Mapping[str, Sequence[tuple[str, Link]]]
"""From an ARN to those next to it, with the association between."""


@dataclass(slots=True)
class Walk:
    """What was reached, nearest first, and the associations that were gone along, each once."""

    rows: dict[str, Resource]
    links: dict[tuple[str, str, str], Link] = field(default_factory=dict)


@operation("sagemaker", "QueryLineage")
def query_lineage(context: Context, request: Request) -> Request:
    """From one entity, with the filters, upwards, downwards or both ways."""
    starts = request.get("StartArns") or ()
    if not starts:
        raise ValidationException("StartArns: give the ARN to begin at")
    start = find_entity(context, starts[0])
    if start is None:
        raise ResourceNotFound(f"StartArns: there is no {starts[0]}.")
    depth = request.get("MaxDepth", DEFAULT_DEPTH)
    if depth < 0:
        raise ValidationException(f"MaxDepth {depth}: give 0 or more")
    walk = Walk({start.arn: start})
    for direction in _directions(request.get("Direction", "Both")):
        _walk(context.store, walk, start, direction, depth)
    return _answer(walk, start, request)


def _directions(direction: str) -> Sequence[str]:
    return ("Ascendants", "Descendants") if direction == "Both" else (direction,)


def _walk(store: Store, walk: Walk, start: Resource, direction: str, depth: int) -> None:
    """Upwards and downwards apart: what else came of an ancestor is no relation."""
    seen, edge = {start.arn}, [start.arn]
    for _ in range(depth):
        steps = [step for arn in edge for step in _steps(store, arn, direction)]
        found = entities(store, {arn for arn, _ in steps})
        edge = []
        for arn, link in steps:
            if arn not in found:
                continue
            walk.links[link.source, link.destination, link.kind] = link
            if arn not in seen and len(walk.rows) < MOST_VERTICES:
                seen.add(arn)
                edge.append(arn)
                walk.rows.setdefault(arn, found[arn])
        if not edge:
            return


def _steps(store: Store, arn: str, direction: str) -> Iterator[tuple[str, Link]]:
    if direction == "Descendants":
        yield from ((link.destination, link) for link in store.links(source=arn) if is_edge(link))
    else:
        yield from ((link.source, link) for link in store.links(destination=arn) if is_edge(link))


def _answer(walk: Walk, start: Resource, request: Request) -> Request:
    reached = [entity_of(row) for row in walk.rows.values()]
    matching = {each.row.arn for each in reached if _fits(each, request.get("Filters", {}))}
    with_edges = request.get("IncludeEdges", False)
    wanted = _on_the_way(walk, start, matching) if with_edges else matching - {start.arn}
    vertices = [each for each in reached if each.row.arn in wanted]
    first = _first(request.get("NextToken"))
    last = first + request.get("MaxResults", DEFAULT_RESULTS)
    page = {each.row.arn: number for number, each in enumerate(vertices[:last])}
    return {
        "Vertices": [
            {"Arn": each.row.arn, "Type": each.short_type, "LineageType": each.lineage_type}
            for each in vertices[first:last]
        ],
        "Edges": [_edge(link) for link in walk.links.values() if with_edges and _is_new(link, page, first)],
        **({"NextToken": str(last)} if last < len(vertices) else {}),
    }


def _on_the_way(walk: Walk, start: Resource, matching: Collection[str]) -> set[str]:
    """What matches and what lies between that and the start, both included."""
    beside: dict[str, set[str]] = {arn: set() for arn in walk.rows}
    places = {arn: number for number, arn in enumerate(walk.rows)}
    for link in walk.links.values():
        if not places.keys() >= {link.source, link.destination}:
            continue  # there were too many
        near, far = sorted((link.source, link.destination), key=places.__getitem__)
        beside[far].add(near)
    wanted, edge = {start.arn}, set(matching)
    while edge:
        wanted |= edge
        edge = {near for arn in edge for near in beside[arn]} - wanted
    return wanted


def _is_new(link: Link, page: Mapping[str, int], first: int) -> bool:
    """An association is on the page on which the later of its ends is."""
    ends = (page.get(link.source), page.get(link.destination))
    return None not in ends and max(end for end in ends if end is not None) >= first


def _edge(link: Link) -> Request:
    return {"SourceArn": link.source, "DestinationArn": link.destination, **edge_type(link)}


def _fits(each: Entity, filters: Request) -> bool:
    row = each.row
    return all(
        [
            not filters.get("Types") or each.short_type in filters["Types"],
            not filters.get("LineageTypes") or each.lineage_type in filters["LineageTypes"],
            row.created > filters.get("CreatedAfter", float("-inf")),
            row.created < filters.get("CreatedBefore", float("inf")),
            row.modified > filters.get("ModifiedAfter", float("-inf")),
            row.modified < filters.get("ModifiedBefore", float("inf")),
            filters.get("Properties", {}).items() <= each.properties.items(),
        ]
    )


def _first(token: str | None) -> int:
    if token is None:
        return 0
    if not (token.isascii() and token.isdigit() and len(token) < 10):
        raise ValidationException("NextToken is not one that QueryLineage gave out")
    return int(token)
