import pytest

from clary.testing import SteppedClock


def test_time_passes_only_when_told() -> None:
    clock = SteppedClock(100.0)
    assert clock() == clock() == 100.0
    assert clock.advance(2.5) == 102.5
    clock.sleep(1.0)
    clock.sleep(-1.0)
    assert clock() == 103.5


def test_no_step_back() -> None:
    with pytest.raises(ValueError, match="backwards"):
        SteppedClock().advance(-1)
