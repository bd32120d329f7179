"""Every strategy of ours passes the public suite."""

from __future__ import annotations

from clary.testing.strategies import StrategyContract
from clary.tuning.bayesian import Bayesian
from clary.tuning.grid import Grid
from clary.tuning.hyperband import Hyperband
from clary.tuning.random import Random
from clary.tuning.strategy import Strategy


class TestRandom(StrategyContract):
    def make_strategy(self) -> Strategy:
        return Random()


class TestGrid(StrategyContract):
    spaces = ("categorical",)

    def make_strategy(self) -> Strategy:
        return Grid()


class TestBayesian(StrategyContract):
    def make_strategy(self) -> Strategy:
        return Bayesian(jobs=30, first=3)


class TestBayesianWithoutLimit(StrategyContract):
    def make_strategy(self) -> Strategy:
        return Bayesian()


class TestHyperband(StrategyContract):
    def make_strategy(self) -> Strategy:
        return Hyperband(max_resource=9, jobs=30)
