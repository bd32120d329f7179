"""A clock that stands still until a test moves it."""

from __future__ import annotations


class SteppedClock:
    """Called, it says the time in seconds since the epoch; `sleep` returns at once, the time having passed."""

    def __init__(self, now: float = 1_700_000_000.0) -> None:
        self.now = now

    def __call__(self) -> float:
        return self.now

    def advance(self, seconds: float) -> float:
        """Gives the new time. Raises ValueError for a step back."""
        if seconds < 0:
            raise ValueError(f"a clock does not run backwards: {seconds} s")
        self.now += seconds
        return self.now

    def sleep(self, seconds: float) -> None:
        self.advance(max(0.0, seconds))
