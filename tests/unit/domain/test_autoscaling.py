from __future__ import annotations

from dataclasses import dataclass, field

import pytest
from hypothesis import given
from hypothesis import strategies as st

from clary.domain.autoscaling import (
    IN_POINTS,
    OUT_POINTS,
    Bounds,
    Decision,
    Last,
    Reading,
    Tracking,
    decide,
)

POLICY = Tracking("p", "InvocationsPerInstance", 100.0)
BOUNDS = Bounds(1, 10)


def reading(*values: float | None, policy: Tracking = POLICY) -> Reading:
    return Reading(policy, values)


def count_of(decision: Decision | None) -> int | None:
    return decision.count if decision else None


def wanted(
    count: int, *readings: Reading, bounds: Bounds = BOUNDS, last: Last | None = None, now: float = 0.0
):
    return count_of(decide(count, bounds, readings, last=last, now=now))


class TestOut:
    def test_in_proportion_to_the_last_data_point(self) -> None:
        found = decide(2, BOUNDS, [reading(150, 150, 230)], last=None, now=0.0)
        assert found is not None
        assert found.count == 5
        assert found.cause == (
            "InvocationsPerInstance was 150 to 230 in the last 3 data points, above the target of 100 of policy p: "
            "5 instances are what that needs"
        )

    @pytest.mark.parametrize(
        "values", [(200, 200), (200, 100, 200), (200, None, 200), (100, 100, 100), (500, 50, 200)]
    )
    def test_only_after_three_in_a_row(self, values: tuple[float | None, ...]) -> None:
        assert wanted(2, reading(*values)) is None

    def test_to_the_maximum_at_most(self) -> None:
        assert wanted(2, reading(900, 9000, 90_000)) == 10
        assert wanted(10, reading(900, 9000, 90_000)) is None

    def test_suspended(self) -> None:
        assert wanted(2, reading(200, 200, 200), bounds=Bounds(1, 10, out_suspended=True)) is None

    def test_in_the_cooldown_only_a_larger_step_adds(self) -> None:
        last = Last(0.0, "out", before=2, after=4)
        assert wanted(4, reading(200, 200, 200), last=last, now=299.0) is None
        assert wanted(4, reading(300, 300, 300), last=last, now=299.0) == 6
        assert wanted(4, reading(200, 200, 200), last=last, now=300.0) == 8

    def test_at_once_after_a_scale_in(self) -> None:
        last = Last(0.0, "in", before=4, after=1)
        assert wanted(1, reading(200, 200, 200), last=last, now=1.0) == 2

    def test_the_policy_that_wants_most_wins(self) -> None:
        other = Tracking("q", "ModelLatency", 10.0)
        assert wanted(2, reading(150, 150, 150), reading(40, 40, 40, policy=other)) == 8


class TestIn:
    def test_to_what_the_busiest_data_point_needs(self) -> None:
        found = decide(10, BOUNDS, [reading(*[10.0] * 14, 35.0)], last=None, now=0.0)
        assert count_of(found) == 4

    @pytest.mark.parametrize(
        "values",
        [[10.0] * 14, [10.0] * 14 + [95.0], [None, *[10.0] * 14], [10.0] * 10 + [None] + [10.0] * 4],
    )
    def test_only_after_fifteen_well_below_in_a_row(self, values: list[float | None]) -> None:
        assert wanted(10, reading(*values)) is None

    def test_not_below_the_minimum(self) -> None:
        assert wanted(4, reading(*[0.0] * 15), bounds=Bounds(2, 10)) == 2
        assert wanted(4, reading(*[0.0] * 15), bounds=Bounds(0, 10)) == 0

    def test_not_when_it_may_not(self) -> None:
        policy = Tracking("p", "x", 100.0, may_scale_in=False)
        assert wanted(4, reading(*[0.0] * 15, policy=policy)) is None
        assert wanted(4, reading(*[0.0] * 15), bounds=Bounds(1, 10, in_suspended=True)) is None

    def test_not_in_a_cooldown(self) -> None:
        for direction in ("in", "out"):
            last = Last(0.0, direction, before=5, after=4)
            assert wanted(4, reading(*[0.0] * 15), last=last, now=299.0) is None
            assert wanted(4, reading(*[0.0] * 15), last=last, now=300.0) == 1

    def test_all_policies_must_agree(self) -> None:
        other = Tracking("q", "ModelLatency", 10.0)
        low = reading(*[0.0] * 15)
        assert wanted(4, low, reading(*[9.5] * 15, policy=other)) is None
        assert wanted(4, low, reading(*[5.0] * 15, policy=other)) == 2
        # one that does not scale in is not asked, unless it wants more
        out_only = Tracking("q", "ModelLatency", 10.0, may_scale_in=False)
        assert wanted(4, low, reading(*[9.5] * 15, policy=out_only)) == 1
        full = Bounds(1, 4)
        assert wanted(4, low, reading(*[20.0] * 15, policy=out_only), bounds=full) is None


class TestBounds:
    def test_a_count_outside_is_brought_inside(self) -> None:
        assert wanted(0) == 1
        assert wanted(12) == 10
        assert wanted(12, bounds=Bounds(1, 10, out_suspended=True, in_suspended=True)) == 10
        assert wanted(5) is None

    def test_requests_that_wait_start_the_first_instance(self) -> None:
        zero = Bounds(0, 3)
        assert count_of(decide(0, zero, [reading()], last=None, now=0.0, waiting=7)) == 1
        assert decide(0, zero, [reading()], last=None, now=0.0) is None
        assert decide(0, zero, [], last=None, now=0.0, waiting=7) is None
        assert decide(0, Bounds(0, 0), [reading()], last=None, now=0.0, waiting=7) is None
        assert decide(1, zero, [reading()], last=None, now=0.0, waiting=7) is None


@dataclass
class Variant:
    """A variant under load, minute by minute: the policy sees what each instance got."""

    bounds: Bounds
    policy: Tracking
    count: int
    now: float = 0.0
    last: Last | None = None
    values: list[float | None] = field(default_factory=list)
    changes: list[tuple[float, int, int]] = field(default_factory=list)

    def minute(self, load: float) -> None:
        self.values.append(load / self.count)
        self.now += 60
        found = decide(
            self.count, self.bounds, [Reading(self.policy, self.values[-20:])], last=self.last, now=self.now
        )
        if found:
            direction = "out" if found.count > self.count else "in"
            self.last = Last(self.now, direction, self.count, found.count)
            self.changes.append((self.now, self.count, found.count))
            self.count = found.count


loads = st.lists(st.floats(0, 5000), min_size=1, max_size=60)
policies = st.builds(
    Tracking,
    st.just("p"),
    st.just("m"),
    st.floats(1, 500),
    out_cooldown_s=st.sampled_from([0.0, 60.0, 300.0]),
    in_cooldown_s=st.sampled_from([0.0, 60.0, 300.0]),
    may_scale_in=st.booleans(),
)
bounds = st.tuples(st.integers(1, 5), st.integers(0, 20)).map(lambda pair: Bounds(pair[0], sum(pair)))


@given(bounds, policies, loads)
def test_it_stays_within_bounds_and_keeps_its_rests(
    bounds: Bounds, policy: Tracking, loads: list[float]
) -> None:
    variant = Variant(bounds, policy, bounds.least)
    for load in loads:
        variant.minute(load)
        assert bounds.least <= variant.count <= bounds.most
    ends = {"in": -1e9, "out": -1e9}
    for at, before, after in variant.changes:
        if after < before:
            assert policy.may_scale_in
            assert at - ends["in"] >= policy.in_cooldown_s
            assert at - ends["out"] >= policy.out_cooldown_s
            assert at >= IN_POINTS * 60
        else:
            assert at >= OUT_POINTS * 60
        ends["in" if after < before else "out"] = at


@given(policies, st.floats(0, 5000), st.integers(1, 20))
def test_under_a_steady_load_it_comes_to_rest_where_the_load_fits(
    policy: Tracking, load: float, first: int
) -> None:
    variant = Variant(Bounds(1, 20), policy, first)
    for _ in range(120):
        variant.minute(load)
    settled = variant.count
    for _ in range(60):
        variant.minute(load)
    assert variant.count == settled
    assert settled == 20 or load / settled <= policy.target * (1 + 1e-9)
    if policy.may_scale_in and settled > 1:
        fewer = load / (settled - 1)
        assert fewer > policy.target * (1 - 1e-9) or load / settled >= policy.target * 0.9


@given(policies, st.integers(1, 20), st.lists(st.floats(0, 5000), min_size=3, max_size=20))
def test_more_load_never_means_fewer(policy: Tracking, count: int, values: list[float]) -> None:
    def after(factor: float) -> int:
        found = decide(
            count, Bounds(1, 20), [Reading(policy, [v * factor for v in values])], last=None, now=0.0
        )
        return found.count if found else count

    assert after(1.0) <= after(2.0)
