from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.unit.controllers.bench import Bench, opened


@pytest.fixture
def bench(tmp_path: Path) -> Iterator[Bench]:
    with opened(Bench, tmp_path) as bench:
        yield bench
