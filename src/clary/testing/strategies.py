"""The laws of `clary.tuning.strategy.Strategy` as a suite: subclass it in a test module and give it the strategy.

class TestMine(StrategyContract):
    def make_strategy(self): return Mine()
"""

from __future__ import annotations

import copy

import numpy as np
import pytest

from clary.tuning.space import Categorical, Continuous, Integer, Space
from clary.tuning.strategy import Observation, Proposal, Strategy

SPACES = {
    "one": Space([Continuous("lr", "5e-6", "5e-4", "Logarithmic")]),
    "mixed": Space(
        [
            Continuous("lr", "1e-5", "1e-2", "Auto"),
            Integer("layers", "1", "6", "Linear"),
            Categorical("optimizer", ('"adam"', "sgd")),
            Continuous("momentum", "0.9", "0.999", "ReverseLogarithmic"),
        ]
    ),
    "single": Space(
        [Continuous("lr", "0.1", "0.1"), Integer("layers", "3", "3"), Categorical("optimizer", ("sgd",))]
    ),
    "categorical": Space(
        [Categorical("optimizer", ("adam", "sgd")), Categorical("batch", ("8", "16", "32"))]
    ),
}


class StrategyContract:
    """Hooks: `make_strategy`, and `spaces` for a strategy that does not take every kind of range."""

    spaces: tuple[str, ...] = tuple(SPACES)

    def make_strategy(self) -> Strategy:
        raise NotImplementedError

    def ask(
        self,
        space: Space,
        history: list[Observation],
        pending: list[dict[str, str]],
        *,
        n: int = 1,
        seed: int = 0,
        maximize: bool = True,
    ) -> list[Proposal]:
        rng = np.random.default_rng(seed)
        return self.make_strategy().propose(space, history, pending, n, rng, maximize=maximize)

    def some_history(self, space: Space, count: int) -> list[Observation]:
        """The first `count` children that the strategy itself asks for, each with a made-up objective."""
        history: list[Observation] = []
        for number in range(count):
            proposals = self.ask(space, history, [], seed=number)
            history += [Observation(each.values, 0.5 + 0.1 * np.sin(number), (0.5,)) for each in proposals]
        return history

    def test_is_a_strategy(self) -> None:
        assert isinstance(self.make_strategy(), Strategy)

    def test_proposals_lie_in_the_space_and_survive_the_way_there_and_back(self) -> None:
        for name in self.spaces:
            space = SPACES[name]
            for count in (0, 4):
                for each in self.ask(space, self.some_history(space, count), [], n=2):
                    assert tuple(each.values) == space.names
                    assert space.holds(each.values)
                    assert space.decode(space.encode(each.values)) == each.values

    def test_never_more_than_asked_for(self) -> None:
        for name in self.spaces:
            for n in (0, 1, 3):
                assert len(self.ask(SPACES[name], [], [], n=n)) <= n

    def test_equal_arguments_give_equal_proposals(self) -> None:
        for name in self.spaces:
            space = SPACES[name]
            history = self.some_history(space, 4)
            assert self.ask(space, history, [], n=2, seed=9) == self.ask(space, history, [], n=2, seed=9)

    def test_arguments_are_left_as_they_were(self) -> None:
        space = SPACES[self.spaces[0]]
        history = self.some_history(space, 3)
        pending = [dict(history.pop().values)]
        before = copy.deepcopy((history, pending))
        self.ask(space, history, pending)
        assert (history, pending) == before

    def test_no_two_children_chase_one_point(self) -> None:
        for name in self.spaces:
            space = SPACES[name]
            if space.size is not None:
                continue
            history = self.some_history(space, 5)
            asked: list[dict[str, str]] = []
            for number in range(4):
                asked += [each.values for each in self.ask(space, history, asked, seed=number)]
            assert len({tuple(each.items()) for each in asked}) == 4

    @pytest.mark.filterwarnings("error")
    def test_odd_histories_are_taken(self) -> None:
        for name in self.spaces:
            space = SPACES[name]
            values = [each.values for each in self.some_history(space, 4)]
            for objectives in (
                [None] * 4,
                [float("nan"), float("inf"), 0.5, None],
                [0.5] * 4,
                [1e30, -1e30, 0.0, 1.0],
            ):
                history = [
                    Observation(each, value, status="Failed" if value is None else "Completed")
                    for each, value in zip(values, objectives, strict=False)
                ]
                for each in self.ask(space, history, []):
                    assert space.holds(each.values)

    def test_minimising_is_maximising_the_negative(self) -> None:
        for name in self.spaces:
            space = SPACES[name]
            history = self.some_history(space, 5)
            turned = [
                Observation(o.values, -float(o.objective or 0), tuple(-v for v in o.curve)) for o in history
            ]
            up, down = self.ask(space, history, []), self.ask(space, turned, [], maximize=False)
            assert [each.values for each in up] == [each.values for each in down]

    def test_children_from_outside_the_space_are_left_out(self) -> None:
        for name in self.spaces:
            space = SPACES[name]
            strange = [Observation({"other": "1"}, 0.5), Observation(dict.fromkeys(space.names, "-7"), 0.9)]
            for each in self.ask(space, strange, []):
                assert space.holds(each.values)
