import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from clary.services.metric_statistics import Sample, datapoints, is_statistic, spread

ALL = ["SampleCount", "Average", "Sum", "Minimum", "Maximum"]


def test_periods_are_aligned_to_the_epoch():
    samples = [Sample(59.9, 1), Sample(60.0, 2), Sample(119.9, 4), Sample(120, 8)]
    found = datapoints(samples, 60, ["Sum"])
    assert [(point.at, point.values["Sum"]) for point in found] == [(0, 1), (60, 6), (120, 8)]


def test_each_statistic():
    (point,) = datapoints([Sample(1, value) for value in (4, 1, 3, 2)], 60, [*ALL, "p50", "p100", "p0"])
    assert point.values == {
        "SampleCount": 4,
        "Average": 2.5,
        "Sum": 10,
        "Minimum": 1,
        "Maximum": 4,
        "p50": 2,
        "p100": 4,
        "p0": 1,
    }


def test_weights_count():
    (point,) = datapoints([Sample(1, 10, 3), Sample(1, 2)], 60, [*ALL, "p90"])
    assert point.values == {
        "SampleCount": 4,
        "Average": 8,
        "Sum": 32,
        "Minimum": 2,
        "Maximum": 10,
        "p90": 10,
    }


def test_what_is_not_a_finite_number_is_left_out():
    assert datapoints([Sample(1, math.nan), Sample(2, math.inf)], 60, ALL) == []


@pytest.mark.parametrize("name", ["p50", "p99.9", "p0", "p100", "Average"])
def test_statistics_that_exist(name):
    assert is_statistic(name)


@pytest.mark.parametrize("name", ["p101", "p", "median", "average", "tm90", "p-1"])
def test_statistics_that_do_not(name):
    assert not is_statistic(name)


@given(st.lists(st.floats(-1e6, 1e6), min_size=1, max_size=50))
def test_a_statistic_set_is_kept(values):
    count, total, low, high = len(values), math.fsum(values), min(values), max(values)
    (point,) = datapoints(spread(count, total, low, high, 5.0), 60, ALL)
    assert point.values["SampleCount"] == count
    assert point.values["Sum"] == pytest.approx(total, rel=1e-6, abs=1e-3)
    assert point.values["Minimum"] == pytest.approx(low, abs=1e-6)
    assert point.values["Maximum"] == pytest.approx(high, abs=1e-6)


@pytest.mark.parametrize("impossible", [(0, 0, 0, 0), (2, 5, 1, 2), (1, 1, 2, 1), (3, 0, 1, 2)])
def test_an_impossible_statistic_set_is_refused(impossible):
    with pytest.raises(ValueError, match="no samples"):
        spread(*impossible, 5.0)
