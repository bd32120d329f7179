"""The table of operations, and what each of them is handed."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

from clary.domain.names import Account
from clary.objects.base import Objects
from clary.routing.router import Router
from clary.settings import Settings
from clary.store.base import Credential, Store
from clary.wire.http import HttpRequest

MOST_INSTANCES = 100


@dataclass(frozen=True, slots=True)
class Context:
    """The world as an operation sees it. `now` gives seconds since the epoch; `new_id(n)` n random hex digits.

    `changed()` tells waiting clients and the controllers that something moved. `capacity(instance_type)` is how many
    instances of a type can run at once. `router` asks endpoints.
    """

    account: Account
    settings: Settings
    store: Store
    objects: Objects
    now: Callable[[], float]
    new_id: Callable[[int], str]
    changed: Callable[[], None]
    caller: Credential
    request: HttpRequest
    capacity: Callable[[str], int] = lambda _: MOST_INSTANCES
    router: Router = field(kw_only=True)


@dataclass(frozen=True, slots=True)
class Reply:
    """An answer whose status or headers the published model does not fix (206, 304, ...)."""

    result: Mapping[str, Any]
    status: int | None = None
    headers: tuple[tuple[str, str], ...] = field(default=())


Operation = Callable[[Context, Mapping[str, Any]], Mapping[str, Any] | Reply]

OPERATIONS: dict[tuple[str, str], Operation] = {}


def operation(service: str, name: str) -> Callable[[Operation], Operation]:
    """Offer the decorated function as an operation of a service, both named as botocore names them."""

    def register(function: Operation) -> Operation:
        if (service, name) in OPERATIONS:
            raise ValueError(f"{service}:{name} is offered twice")
        OPERATIONS[service, name] = function
        return function

    return register
