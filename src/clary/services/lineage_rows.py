"""What artifacts, contexts and actions have in common: made, found, shown, changed, deleted and listed in one way.

Contexts and actions have names, looked up without case. An artifact has its source instead: its row's name, and the
end of its ARN, is a digest of that, so one source is one artifact.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass, replace
from hashlib import sha256
from typing import Any

from clary.domain.experiments import row_name
from clary.domain.kinds import ACTION, ARTIFACT, CONTEXT
from clary.errors import ResourceNotFound, ValidationException
from clary.services import tags
from clary.services.operations import Context
from clary.services.pages import one_page
from clary.store.base import AlreadyExists, Link, Resource, Where

Request = Mapping[str, Any]

DIGITS = 32
MOST_PROPERTIES = 30

# by which an entity is found; the other end is a text that is no ARN, so that no row's removal takes it along
OF_SOURCE = "lineage-of-source"
OF_TYPE = "lineage-of-type"
OF_BOTH = "lineage-of-source-and-type"


@dataclass(frozen=True, slots=True)
class Noun:
    """`word` begins the names of the fields; `plain` are members that Update replaces."""

    kind: str
    word: str
    plain: tuple[str, ...]
    is_named: bool = True

    @property
    def name_field(self) -> str:
        return f"{self.word}Name"

    @property
    def arn_field(self) -> str:
        return f"{self.word}Arn"

    @property
    def type_field(self) -> str:
        return f"{self.word}Type"

    @property
    def key_field(self) -> str:
        """By which a request names one that exists."""
        return self.name_field if self.is_named else self.arn_field


ARTIFACTS = Noun(ARTIFACT.name, "Artifact", ("ArtifactName",), is_named=False)
CONTEXTS = Noun(CONTEXT.name, "Context", ("Description",))
ACTIONS = Noun(ACTION.name, "Action", ("Description", "Status"))
NOUNS: Mapping[str, Noun] = {noun.kind: noun for noun in (ARTIFACTS, CONTEXTS, ACTIONS)}


def create(context: Context, noun: Noun, request: Request) -> Request:
    """Of an artifact whose source is known already, the answer is that one's ARN, and it stays as it is."""
    pairs = tags.given(request)
    now = context.now()
    name = request[noun.name_field] if noun.is_named else source_name(request["Source"])
    arn = context.account.sagemaker(noun.kind, name)
    state = {key: request[key] for key in (*noun.plain, "Properties") if key in request}
    spec = {key: value for key, value in request.items() if key not in (*state, "Tags")}
    row = Resource(noun.kind, row_name(name), arn, "Active", spec, state, created=now, modified=now)
    try:
        context.store.create(row, tags=pairs, links=_ways_to(row, noun))
    except AlreadyExists as taken:
        if noun.is_named:
            raise ValidationException(
                f"{noun.word} with name ({name}) already exists ({taken.resource.arn}): choose another name"
            ) from None
    else:
        context.changed()
    return {noun.arn_field: arn}


def source_name(source: Request) -> str:
    """The name of the row of the artifact with this source."""
    types = sorted((each["SourceIdType"], each["Value"]) for each in source.get("SourceTypes", ()))
    return sha256(json.dumps([source["SourceUri"], types]).encode()).hexdigest()[:DIGITS]


def _ways_to(row: Resource, noun: Noun) -> list[Link]:
    uri, type_ = row.spec["Source"]["SourceUri"], row.spec[noun.type_field]
    ends = {OF_SOURCE: _text(uri), OF_TYPE: _text(type_), OF_BOTH: _text(uri, type_)}
    return [Link(row.arn, end, kind, row.created) for kind, end in ends.items()]


def _text(*parts: str) -> str:
    return json.dumps(parts)


def find(context: Context, noun: Noun, request: Request) -> Resource:
    """Raises ResourceNotFound."""
    return named(context, noun, request[noun.key_field])


def named(context: Context, noun: Noun, name_or_arn: str) -> Resource:
    row = context.store.get(noun.kind, row_name(name_or_arn))
    if row is None:
        raise ResourceNotFound(f"There is no {noun.word.lower()} {name_or_arn!r}.")
    return row


def shown(noun: Noun, row: Resource) -> dict[str, Any]:
    """What Describe tells."""
    return {
        **row.spec,
        **row.state,
        noun.arn_field: row.arn,
        "Properties": row.state.get("Properties", {}),
        "CreationTime": row.created,
        "CreatedBy": {},
        "LastModifiedTime": row.modified,
        "LastModifiedBy": {},
    }


def update(context: Context, noun: Noun, request: Request) -> Request:
    """Properties are added or replaced, then those of PropertiesToRemove removed; Raises ValidationException."""
    row = find(context, noun, request)
    now = context.now()

    def change(row: Resource) -> Resource:
        properties = {**row.state.get("Properties", {}), **request.get("Properties", {})}
        kept = {k: v for k, v in properties.items() if k not in request.get("PropertiesToRemove", ())}
        if len(kept) > MOST_PROPERTIES:
            raise ValidationException(
                f"Properties: there would be {len(kept)}, {MOST_PROPERTIES} at most can be kept: remove some with "
                "PropertiesToRemove"
            )
        given = {key: request[key] for key in noun.plain if key in request}
        return replace(row, state={**row.state, **given, "Properties": kept}, modified=now)

    if context.store.update(noun.kind, row.name, change) is None:
        raise ResourceNotFound(f"There is no {noun.word.lower()} {request[noun.key_field]!r}.")
    context.changed()
    return {noun.arn_field: row.arn}


def delete(context: Context, noun: Noun, row: Resource) -> Request:
    """With its tags and associations."""
    context.store.delete(noun.kind, row.name)
    context.changed()
    return {noun.arn_field: row.arn}


def listed(context: Context, noun: Noun, request: Request) -> Request:
    """Newest first unless asked otherwise."""
    refusal = f"NextToken is not one that List{noun.word}s gave out for this order"
    rows, token = one_page(context, noun.kind, _where(noun, request), request, refusal=refusal)
    return {f"{noun.word}Summaries": [_summary(noun, row) for row in rows], **token}


def _where(noun: Noun, request: Request) -> Where:
    uri, type_ = request.get("SourceUri"), request.get(noun.type_field)
    way = None
    if uri is not None and type_ is not None:
        way = (OF_BOTH, _text(uri, type_))
    elif uri is not None:
        way = (OF_SOURCE, _text(uri))
    elif type_ is not None:
        way = (OF_TYPE, _text(type_))
    return Where(
        created_after=request.get("CreatedAfter"), created_before=request.get("CreatedBefore"), links_to=way
    )


def _summary(noun: Noun, row: Resource) -> dict[str, Any]:
    told = {**row.spec, **row.state}
    wanted = (noun.name_field, "Source", noun.type_field, "Status")
    return {
        noun.arn_field: row.arn,
        **{key: told[key] for key in wanted if key in told},
        "CreationTime": row.created,
        "LastModifiedTime": row.modified,
    }
