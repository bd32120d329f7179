"""AddTags, ListTags, DeleteTags for whatever has an ARN."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from clary.errors import ValidationException
from clary.services.operations import Context, operation

Request = Mapping[str, Any]

MOST_TAGS = 50
RESERVED = "aws:"  # in capitals too


def faults(request: Request) -> Iterator[str]:
    """What is wrong with the `Tags` of a request, beyond their shapes: for AddTags and everything that creates."""
    for index, tag in enumerate(request.get("Tags", ())):
        if tag["Key"].lower().startswith(RESERVED):
            yield (
                f"Tags[{index}].Key {tag['Key']!r} begins with {RESERVED!r}, which is reserved for the service: "
                "use another key"
            )


def given(request: Request) -> dict[str, str]:
    """The `Tags` of a request. Raises ValidationException."""
    if found := list(faults(request)):
        raise ValidationException("; ".join(found))
    return {tag["Key"]: tag["Value"] for tag in request.get("Tags", ())}


@operation("sagemaker", "AddTags")
def add_tags(context: Context, request: Request) -> Request:
    """Set tags; a key that is there already takes the new value. Answers with all tags."""
    arn = _existing(context, request)
    added = given(request)
    together = {**context.store.tags(arn), **added}
    if len(together) > MOST_TAGS:
        raise ValidationException(
            f"{arn} would have {len(together)} tags: a resource has {MOST_TAGS} at most"
        )
    context.store.set_tags(arn, added)
    return {"Tags": _pairs(context.store.tags(arn))}


@operation("sagemaker", "ListTags")
def list_tags(context: Context, request: Request) -> Request:
    """All tags at once: there are never more than one page of them."""
    return {"Tags": _pairs(context.store.tags(_existing(context, request)))}


@operation("sagemaker", "DeleteTags")
def delete_tags(context: Context, request: Request) -> Request:
    """Remove tags by key; a key that is not there is no fault."""
    context.store.remove_tags(_existing(context, request), request["TagKeys"])
    return {}


def _existing(context: Context, request: Request) -> str:
    arn: str = request["ResourceArn"]
    if context.store.find(arn) is None:
        raise ValidationException(f"Requested resource not found: {arn}")
    return arn


def _pairs(tags: Mapping[str, str]) -> list[dict[str, str]]:
    return [{"Key": key, "Value": value} for key, value in tags.items()]
