"""One page of what a List operation lists from the store."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from clary.errors import ValidationException
from clary.services.operations import Context
from clary.store.base import Page, Resource, SortKey, Where

Request = Mapping[str, Any]

SORTS: Mapping[str, SortKey] = {"Name": "name", "CreationTime": "created", "Status": "status"}
DEFAULT_RESULTS = 10


def one_page(
    context: Context,
    kind: str,
    where: Where,
    request: Request,
    *,
    refusal: str,
    sort: str = "CreationTime",
    order: str = "Descending",
) -> tuple[Sequence[Resource], dict[str, str]]:
    """The rows, and the answer's NextToken. `sort` and `order` are the operation's defaults.

    Raises ValidationException with `refusal` for a NextToken that is none.
    """
    page = Page(
        sort=SORTS[request.get("SortBy", sort)],
        descending=request.get("SortOrder", order) == "Descending",
        limit=request.get("MaxResults", DEFAULT_RESULTS),
        after=request.get("NextToken"),
    )
    try:
        rows, following = context.store.list(kind, where, page)
    except ValueError:
        raise ValidationException(refusal) from None
    return rows, {"NextToken": following} if following else {}
