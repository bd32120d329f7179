"""What is measured, and what a flush makes of it."""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from clary.routing.gauges import STRETCHES, Flown, Gauges, stretches
from clary.store.base import Point, Store
from clary.store.sql import open_store

SERIES = "endpoint/e/v"


@pytest.fixture
def store(tmp_path: Path) -> Iterator[Store]:
    opened = open_store(f"sqlite:///{tmp_path / 'clary.db'}")
    yield opened
    opened.close()


def flown(
    status: int | None = 200, *, model_s: float | None = 0.02, variant: str = "v", **more: Any
) -> Flown:
    return Flown("e", variant, more.pop("instances", 4), status, model_s, 0.001, **more)


def written(store: Store, metric: str, series: str = SERIES) -> list[tuple[float, int | None]]:
    return [(point.value, point.step) for point in store.points(series, metric)]


def test_a_flush_writes_sums_and_counts_at_the_time_of_the_first(store: Store) -> None:
    clock = iter([100.0, 103.0])
    gauges = Gauges(store, lambda: next(clock))
    for status in (200, 200, 404, 500, None):
        gauges.note(flown(status))
    gauges.flush()
    assert store.points(SERIES, "Invocations") == (Point(SERIES, "Invocations", 100.0, 5.0, 5),)
    assert written(store, "InvocationsPerInstance") == [(1.25, 5)]
    assert sorted(written(store, "Invocation4XXErrors")) == [(0.0, 4), (1.0, 1)]
    assert sorted(written(store, "Invocation5XXErrors")) == [(0.0, 3), (2.0, 2)]
    assert sorted(written(store, "InvocationModelErrors")) == [(0.0, 2), (3.0, 3)]
    assert written(store, "ModelLatency") == [(pytest.approx(100_000.0), 5)]
    assert written(store, "OverheadLatency") == [(pytest.approx(5_000.0), 5)]
    assert written(store, "ModelSetupTime") == []
    gauges.flush()
    assert len(written(store, "Invocations")) == 1


def test_variants_are_apart_and_what_was_not_asked_took_no_time(store: Store) -> None:
    gauges = Gauges(store, lambda: 1.0)
    gauges.note(flown(variant="w", setup_s=2.0))
    gauges.note(Flown("e", "v", 0, None, None, None))
    gauges.flush()
    assert written(store, "ModelSetupTime", "endpoint/e/w") == [(2e6, 1)]
    assert written(store, "InvocationsPerInstance") == [(1.0, 1)]
    assert written(store, "ModelLatency") == []
    assert written(store, "InvocationModelErrors") == [(1.0, 1)]


def test_what_could_not_be_written_is_written_the_next_time(store: Store) -> None:
    class Failing:
        failures = 1

        def append(self, points: Iterable[Point]) -> None:
            if self.failures:
                self.failures -= 1
                raise OSError("the disk is full")
            store.append(points)

    gauges = Gauges(Failing(), lambda: 1.0)  # type: ignore[arg-type]
    gauges.note(flown())
    with pytest.raises(OSError, match="disk"):
        gauges.flush()
    gauges.note(flown())
    gauges.flush()
    assert written(store, "Invocations") == [(2.0, 2)]


def percentile(ordered: Sequence[float], share: float) -> float:
    return ordered[max(math.ceil(share * len(ordered) - 1e-9), 1) - 1]


@given(st.lists(st.floats(0, 1e9), max_size=2000))
def test_few_stretches_keep_sum_ends_and_the_usual_percentiles(values: list[float]) -> None:
    ordered = sorted(values)
    found = list(stretches(ordered))
    assert [value for stretch in found for value in stretch] == ordered
    assert all(found) and len(found) <= STRETCHES + 17
    if not ordered:
        return
    kept = [math.fsum(stretch) / len(stretch) for stretch in found for _ in stretch]
    assert kept[0] == pytest.approx(ordered[0]) and kept[-1] == pytest.approx(ordered[-1])
    for share in (0.5, 0.9, 0.95, 0.99, 0.999):
        assert percentile(kept, share) == pytest.approx(percentile(ordered, share))


def test_the_kept_values_are_close_to_all() -> None:
    ordered = [float(number) for number in range(10_000)]
    for stretch in stretches(ordered):
        assert stretch[-1] - stretch[0] <= len(ordered) / STRETCHES
