from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from clary.settings import Settings
from clary.store.sql import open_store
from clary.testing import FakeRunner, SteppedClock
from tests.unit.controllers.bench import Bench


@pytest.fixture
def bench(tmp_path: Path) -> Iterator[Bench]:
    clock = SteppedClock()
    store = open_store(f"sqlite:///{tmp_path / 'clary.db'}")
    yield Bench(store, FakeRunner(clock), clock, Settings(home=tmp_path))
    store.close()
