"""What the operations on jobs of every kind have in common: create, find, stop, delete, list."""

from __future__ import annotations

import shutil
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from clary.domain.kinds import Kind
from clary.errors import ResourceInUse, ValidationException
from clary.services.job_records import create_job, delete_job, note_stop
from clary.services.operations import Context
from clary.services.pages import one_page
from clary.store.base import AlreadyExists, Resource, Where

Request = Mapping[str, Any]


def create(context: Context, job: Resource, request: Request, *, noun: str) -> Resource:
    """Write a new job down, with the tags of its request. `noun` is what messages call a job of its kind.

    Raises ResourceInUse when its name is taken.
    """
    tags = {tag["Key"]: tag["Value"] for tag in request.get("Tags", ())}
    try:
        made = create_job(context, job, tags=tags)
    except AlreadyExists as taken:
        raise ResourceInUse(
            f"{noun.capitalize()} names must be unique within an AWS account and region, and a {noun} with "
            f"this name already exists ({taken.resource.arn})"
        ) from None
    context.changed()
    return made


def find(context: Context, kind: Kind, name: str) -> Resource:
    """Raises ValidationException when there is none."""
    # a program in a job knows its name from its ARN only, where it is in lower case
    job = context.store.get(kind.name, name) or context.store.find(context.account.sagemaker(kind.name, name))
    if job is None:
        raise ValidationException("Requested resource not found.")
    return job


def change(context: Context, kind: Kind, name: str, by: Callable[[Resource], Resource]) -> Resource:
    """Raises ValidationException when there is none."""
    job = context.store.update(kind.name, find(context, kind, name).name, by)
    if job is None:
        raise ValidationException("Requested resource not found.")
    context.changed()
    return job


def stop(context: Context, kind: Kind, name: str, by: Callable[[Resource], Resource], *, noun: str) -> None:
    """Ask a job that has not ended to end; `by` gives the row that says so."""

    def ask(job: Resource) -> Resource:
        if kind.is_final(job.status):
            raise ValidationException(
                f"The request was rejected because the {noun} is in status {job.status}."
            )
        return by(job)

    note_stop(context, change(context, kind, name, ask))


def delete(context: Context, kind: Kind, name: str, *, noun: str) -> None:
    """Forget a finished job: its row, tags and log. Its trial component, with its metrics, and its objects stay."""
    while True:
        job = find(context, kind, name)
        if not kind.is_final(job.status):
            raise ResourceInUse(
                f"The {noun} {job.name} is in status {job.status}: stop it, or wait until it has ended."
            )
        # never a later job of this name, made after somebody else had deleted this one
        if delete_job(context, job):
            break
    if folder := job.state.get("folder"):
        shutil.rmtree(context.settings.jobs / folder, ignore_errors=True)
    context.changed()


def listed(
    context: Context,
    kind: Kind,
    request: Request,
    *,
    operation: str,
    sort: str = "CreationTime",
    order: str = "Descending",
    statuses: Sequence[str] = (),
) -> tuple[Sequence[Resource], dict[str, str]]:
    """One page of a List operation, and its answer's NextToken. `sort` and `order` are the operation's defaults."""
    where = Where(
        name_contains=request.get("NameContains"),
        statuses=tuple(statuses),
        created_after=request.get("CreationTimeAfter"),
        created_before=request.get("CreationTimeBefore"),
        modified_after=request.get("LastModifiedTimeAfter"),
        modified_before=request.get("LastModifiedTimeBefore"),
    )
    refusal = f"NextToken is not one that {operation} gave out"
    return one_page(context, kind.name, where, request, refusal=refusal, sort=sort, order=order)
