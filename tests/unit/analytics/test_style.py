import pytest

from clary.analytics.style import log_ticks, number, span


@pytest.mark.parametrize(
    ("low", "high", "ticks"),
    [
        (5e-6, 5e-4, [5e-6, 1e-5, 2e-5, 5e-5, 1e-4, 2e-4, 5e-4]),
        (1.0, 10.0, [1.0, 2.0, 5.0, 10.0]),
        (1e-8, 1.0, [1e-8, 1e-7, 1e-6, 1e-5, 1e-4, 1e-3, 1e-2, 1e-1, 1.0]),
    ],
)
def test_ticks_are_round(low, high, ticks):
    assert log_ticks(low, high) == pytest.approx(ticks)


def test_a_very_long_range_has_few_ticks():
    assert 5 <= len(log_ticks(1e-30, 1.0)) <= 12


@pytest.mark.parametrize(
    ("value", "text"),
    [
        (6.47e-5, "6.47e-5"),
        (1.2034e-4, "1.203e-4"),
        (5e-4, "5e-4"),
        (0.91234, "0.9123"),
        (1.0, "1"),
        (123456.0, "1.235e5"),
        (0.0, "0"),
    ],
)
def test_numbers_for_captions(value, text):
    assert number(value) == text


@pytest.mark.parametrize("values", [[0.5], [0.0], [-3.0, -3.0], [1.0, 2.0], []])
def test_an_axis_always_has_a_length_and_holds_its_values(values):
    low, high = span(values)
    assert low < high
    assert all(low < value < high for value in values)
