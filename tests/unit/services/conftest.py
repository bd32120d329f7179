"""The world as operations are handed it. A module overrides the fixture of what it wants otherwise."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from io import BytesIO
from itertools import count
from pathlib import Path

import pytest

from clary.domain.names import Account
from clary.objects.base import Bucket
from clary.objects.disk import DiskObjects
from clary.routing.flights import Flights
from clary.routing.router import Router
from clary.services.operations import Context
from clary.settings import Settings
from clary.store.base import Credential
from clary.store.sql import open_store
from clary.testing import SteppedClock
from clary.wire.http import Headers, HttpRequest


@pytest.fixture
def now() -> Callable[[], float]:
    """Each look at the clock is a second later."""
    clock = SteppedClock()
    return lambda: clock.advance(1)


@pytest.fixture
def new_id() -> Callable[[int], str]:
    """The same id every time."""
    return lambda digits: "0" * digits


@pytest.fixture
def bucket() -> str:
    """The one bucket that there is."""
    return "data"


@pytest.fixture
def context(
    tmp_path: Path, now: Callable[[], float], new_id: Callable[[int], str], bucket: str
) -> Iterator[Context]:
    """A real store and real objects under `tmp_path`."""
    ids = count()
    store = open_store(f"sqlite:///{tmp_path / 'clary.db'}")
    objects = DiskObjects(store.engine, tmp_path / "objects", new_id=lambda digits: f"{next(ids):0{digits}x}")
    objects.create_bucket(Bucket(bucket, 1.0))
    settings = Settings(home=tmp_path)
    router = Router(store, Flights(), settings, now, lambda: None)
    yield Context(
        account=Account("123456789012", "us-east-1"),
        settings=settings,
        store=store,
        objects=objects,
        now=now,
        new_id=new_id,
        changed=lambda: None,
        caller=Credential("AKIA", "secret"),
        request=HttpRequest("POST", "/", "", Headers(), BytesIO()),
        router=router,
    )
    router.close()
    store.close()
