"""For tests of Clary and of programs that use it: a stepped clock, a fake runner.

The suites that every implementation of a protocol must pass are in `clary.testing.contracts` (they need pytest).
"""

from clary.testing.clock import SteppedClock
from clary.testing.runner import FakeRunner

__all__ = ["FakeRunner", "SteppedClock"]
