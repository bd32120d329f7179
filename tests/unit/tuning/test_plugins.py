from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import pytest

from clary.errors import ValidationException
from clary.tuning.grid import Grid
from clary.tuning.random import Random
from clary.tuning.strategy import Strategy, find


@dataclass(frozen=True)
class Plugin:
    name: str
    made: Callable[[], object]

    def load(self) -> Callable[[], Strategy]:
        return self.made  # type: ignore[return-value]


OWN: dict[str, Callable[[], Strategy]] = {"Random": Random, "Grid": Grid}


def test_own_strategies_come_first() -> None:
    assert isinstance(find("Random", OWN, [Plugin("Random", Grid)]), Random)


def test_plugins_are_found_by_name() -> None:
    assert isinstance(find("Mine", OWN, [Plugin("Other", Random), Plugin("Mine", Grid)]), Grid)


def test_unknown_names_are_refused_with_those_there_are() -> None:
    with pytest.raises(ValidationException, match="There are: Grid, Mine, Random"):
        find("Nope", OWN, [Plugin("Mine", Grid)])


def test_what_is_no_strategy_is_refused() -> None:
    with pytest.raises(ValidationException, match="no method 'propose'"):
        find("Mine", OWN, [Plugin("Mine", object)])
