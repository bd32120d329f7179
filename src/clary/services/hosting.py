"""What models, endpoint configurations and endpoints have in common: made, found, removed and listed in one way."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from clary.domain.kinds import ENDPOINT, ENDPOINT_CONFIG, MODEL, Kind
from clary.errors import ValidationException
from clary.services import jobs, tags
from clary.services.operations import Context
from clary.store.base import AlreadyExists, Resource

Request = Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class Noun:
    """`word` is what messages call one; `title` begins the names of its members, such as `<title>Name`."""

    kind: Kind
    word: str
    title: str


MODELS = Noun(MODEL, "model", "Model")
ENDPOINT_CONFIGS = Noun(ENDPOINT_CONFIG, "endpoint configuration", "EndpointConfig")
ENDPOINTS = Noun(ENDPOINT, "endpoint", "Endpoint")


def record(context: Context, noun: Noun, request: Request) -> Resource:
    """The row of something that is only kept. Its spec is the request without the tags."""
    name, now = request[f"{noun.title}Name"], context.now()
    return Resource(
        kind=noun.kind.name,
        name=name,
        arn=context.account.sagemaker(noun.kind.name, name),
        status=noun.kind.first,
        spec={key: value for key, value in request.items() if key != "Tags"},
        state={},
        created=now,
        modified=now,
    )


def create(context: Context, noun: Noun, row: Resource, request: Request) -> Request:
    """Store a new row with the tags of its request, and answer with its ARN. Raises ValidationException."""
    try:
        made = context.store.create(row, tags=tags.given(request))
    except AlreadyExists as taken:
        raise ValidationException(
            # the SageMaker SDK goes on with the model that is there when it reads these words
            f'Cannot create already existing {noun.word} "{taken.resource.arn}".'
        ) from None
    context.changed()
    return {f"{noun.title}Arn": made.arn}


def find(context: Context, noun: Noun, name: str) -> Resource:
    """Raises ValidationException when there is none."""
    arn = context.account.sagemaker(noun.kind.name, name)
    # who knows a name from an ARN only has it in lower case
    row = context.store.get(noun.kind.name, name) or context.store.find(arn)
    if row is None:
        raise missing(context, noun, name)
    return row


def missing(context: Context, noun: Noun, name: str) -> ValidationException:
    """What to raise where there is none of the name. Clients look for "Could not find"."""
    return ValidationException(
        f'Could not find {noun.word} "{context.account.sagemaker(noun.kind.name, name)}".'
    )


def remove(context: Context, noun: Noun, name: str) -> Request:
    """Remove a row and its tags. Raises ValidationException when there is none."""
    row = find(context, noun, name)
    if not context.store.delete(noun.kind.name, row.name):
        raise missing(context, noun, name)
    context.changed()
    return {}


def listed(
    context: Context, noun: Noun, request: Request, statuses: Sequence[str] = ()
) -> tuple[Sequence[Resource], dict[str, str]]:
    """One page, newest first unless asked otherwise, and the answer's NextToken."""
    return jobs.listed(context, noun.kind, request, operation=f"List{noun.title}s", statuses=statuses)


def summary(noun: Noun, row: Resource) -> dict[str, Any]:
    """What lists tell of each."""
    return {f"{noun.title}Name": row.name, f"{noun.title}Arn": row.arn, "CreationTime": row.created}
