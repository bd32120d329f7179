"""What experiments, trials and components have in common: made, found, shown, changed and deleted in one way.

A name is looked up without case; an ARN is taken where a name is.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from typing import Any

from clary.domain.experiments import EXPERIMENT_LINK, NAME_FIELDS, TRIAL_LINK, row_name, row_of
from clary.domain.kinds import COMPONENT, EXPERIMENT, TRIAL
from clary.errors import ResourceNotFound, ValidationException
from clary.services import tags
from clary.services.operations import Context
from clary.store.base import AlreadyExists, Link, Resource, Where

Request = Mapping[str, Any]

MOST_NAMED = 3
UNTOLD = frozenset({"series", "RunName"})


@dataclass(frozen=True, slots=True)
class Noun:
    """`members` of a Create request go into the state. While there are rows of what `holds` says (kind, which), a row
    cannot be deleted: rows, not links, since a link may be left of what was deleted while it was made."""

    kind: str
    word: str
    members: tuple[str, ...]
    holds: Callable[[Resource], tuple[str, Where]]
    refusal: str

    @property
    def field(self) -> str:
        return NAME_FIELDS[self.kind]

    @property
    def arn_field(self) -> str:
        return self.field.removesuffix("Name") + "Arn"


EXPERIMENTS = Noun(
    EXPERIMENT.name,
    "experiment",
    ("DisplayName", "Description"),
    lambda row: (TRIAL.name, Where(links_to=(EXPERIMENT_LINK, row.arn))),
    "it has {count} trial(s) ({names}): delete them with DeleteTrial first",
)
TRIALS = Noun(
    TRIAL.name,
    "trial",
    ("DisplayName",),
    lambda row: (COMPONENT.name, Where(links_to=(TRIAL_LINK, row.arn))),
    "it has {count} trial component(s) ({names}): take them out with DisassociateTrialComponent first",
)
COMPONENTS = Noun(
    COMPONENT.name,
    "trial component",
    ("DisplayName", "Status", "StartTime", "EndTime", "Parameters", "InputArtifacts", "OutputArtifacts"),
    lambda row: (TRIAL.name, Where(linked_from=(TRIAL_LINK, row.arn))),
    "it is in {count} trial(s) ({names}): take it out with DisassociateTrialComponent first",
)


def create(context: Context, noun: Noun, request: Request, *, link: tuple[str, str] | None = None) -> Request:
    """`link`: kind and destination ARN of a link that the new row has from the start."""
    pairs = tags.given(request)
    given = {member: request[member] for member in noun.members if member in request}
    row = Resource(**row_of(context.account, noun.kind, request, now=context.now(), state=given))
    links = [Link(row.arn, link[1], link[0], row.created)] if link else []
    try:
        context.store.create(row, tags=pairs, links=links)
    except AlreadyExists as taken:
        word = noun.word.capitalize()
        raise ValidationException(
            f"{word} names must be unique within an AWS account and region. "
            f"{word} with name ({request[noun.field]}) already exists ({taken.resource.arn})."
        ) from None
    context.changed()
    return {noun.arn_field: row.arn}


def find(context: Context, noun: Noun, request: Request) -> Resource:
    return named(context, noun, request[noun.field])


def named(context: Context, noun: Noun, name: str) -> Resource:
    """The row of a name, or of an ARN. Raises ResourceNotFound."""
    by_arn = name.startswith("arn:")
    row = context.store.find(name.lower()) if by_arn else context.store.get(noun.kind, row_name(name))
    if row is None or row.kind != noun.kind:
        raise ResourceNotFound(f"There is no {noun.word} of the name {name!r}.")
    return row


def shown(noun: Noun, row: Resource) -> dict[str, Any]:
    """What Describe tells of every noun."""
    return {
        noun.field: row.spec[noun.field],
        noun.arn_field: row.arn,
        **{key: value for key, value in row.state.items() if key not in UNTOLD},
        **{key: row.spec[key] for key in ("MetadataProperties",) if key in row.spec},
        "CreationTime": row.created,
        "CreatedBy": {},
        "LastModifiedTime": row.modified,
        "LastModifiedBy": {},
    }


def update(
    context: Context, noun: Noun, request: Request, merge: Callable[[Request], Mapping[str, Any]]
) -> Request:
    """`merge` makes the new state of the old one."""
    row = find(context, noun, request)
    now = context.now()

    def change(row: Resource) -> Resource:
        return replace(row, state=merge(row.state), modified=now)

    if context.store.update(noun.kind, row.name, change) is None:
        raise ResourceNotFound(f"There is no {noun.word} of the name {request[noun.field]!r}.")
    context.changed()
    return {noun.arn_field: row.arn}


def delete(context: Context, noun: Noun, request: Request) -> Request:
    """Raises ValidationException while something holds the row: components go first, the experiment last."""
    row = find(context, noun, request)
    if held := context.store.heads(*noun.holds(row)):
        names = ", ".join(each.name for each in held[:MOST_NAMED]) + (", ..." if held[MOST_NAMED:] else "")
        refusal = noun.refusal.format(count=len(held), names=names)
        raise ValidationException(
            f"The {noun.word} {request[noun.field]!r} cannot be deleted, since {refusal}."
        )
    context.store.delete(noun.kind, row.name)
    context.changed()
    return {noun.arn_field: row.arn}
