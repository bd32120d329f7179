from __future__ import annotations

import math

import numpy as np

from clary.tuning.bayesian import Bayesian, spread_out
from clary.tuning.space import Categorical, Continuous, Integer, Space
from clary.tuning.strategy import Observation, Values

LR = Space([Continuous("lr", "5e-6", "5e-4", "Logarithmic")])
BEST = 6.47e-5


def f1(values: Values) -> float:
    lr = float(values["lr"])
    return 0.75 if lr > 3e-4 else 0.918 - 0.17 * (math.log10(lr / BEST) / 0.9) ** 2


def study(jobs: int, seed: int, *, broken: int | None = None) -> list[Observation]:
    """One job at a time, with noise; job `broken` fails."""
    noise = np.random.default_rng([seed, 1]).normal(0.0, 0.006, jobs)
    history: list[Observation] = []
    for number in range(jobs):
        rng = np.random.default_rng([seed, number])
        values = Bayesian(jobs=jobs).propose(LR, history, [], 1, rng, maximize=True)[0].values
        if number == broken:
            history.append(Observation(values, None, status="Failed"))
        else:
            history.append(Observation(values, f1(values) + float(noise[number])))
    return history


def near(history: list[Observation]) -> int:
    return sum(f1(each.values) > 0.918 - 0.005 for each in history)


def test_most_jobs_land_near_the_best_learning_rate() -> None:
    assert all(near(study(20, seed)) >= 9 for seed in range(3))


def test_one_flaky_child_does_not_turn_the_study_away() -> None:
    history = study(20, 1, broken=12)
    assert near(history[13:]) >= 4


def test_losses_that_diverge_do_not_blind_the_model() -> None:
    """A learning rate too high gives a loss of 1000; the others' losses lie between 0.3 and 0.7."""
    space = Space([Continuous("lr", "1e-6", "1e-1", "Logarithmic")])
    for seed in range(2):
        history: list[Observation] = []
        for number in range(24):
            rng = np.random.default_rng([seed, number])
            values = Bayesian(jobs=24).propose(space, history, [], 1, rng, maximize=False)[0].values
            place = math.log10(float(values["lr"]))
            history.append(Observation(values, 1000.0 if place > -2 else 0.3 + 0.1 * (place + 4) ** 2))
        close = [each for each in history if abs(math.log10(float(each.values["lr"])) + 4) < 0.3]
        assert len(close) >= 8


def test_the_opening_grows_with_the_study() -> None:
    assert [Bayesian(jobs=jobs).opening for jobs in (1, 12, 20, 30, 500)] == [3, 3, 5, 8, 8]
    assert Bayesian().opening == 8
    assert Bayesian(first=0).opening == 0


def test_the_opening_is_spread() -> None:
    taken = np.zeros((0, 1))
    for number in range(5):
        taken = np.concatenate([taken, spread_out(LR, taken, np.random.default_rng(number))[None, :]])
    gaps = np.diff(np.sort(taken[:, 0]))
    assert gaps.min() > 0.05


def test_a_pending_child_is_not_chased() -> None:
    history = study(12, 2)
    rng = np.random.default_rng(0)
    first = Bayesian(jobs=40).propose(LR, history, [], 1, rng, maximize=True)[0].values
    second = (
        Bayesian(jobs=40).propose(LR, history, [first], 1, np.random.default_rng(0), maximize=True)[0].values
    )
    assert first != second


def test_the_best_category_is_found() -> None:
    space = Space(
        [Continuous("x", "0", "1", "Linear"), Categorical("c", ("a", "b", "c")), Integer("n", "1", "5")]
    )
    history: list[Observation] = []
    for number in range(24):
        rng = np.random.default_rng([4, number])
        values = Bayesian(jobs=24).propose(space, history, [], 1, rng, maximize=False)[0].values
        loss = (
            (float(values["x"]) - 0.7) ** 2
            + {"a": 0.3, "b": 0.0, "c": 0.4}[values["c"]]
            + 0.05 * abs(int(values["n"]) - 4)
        )
        history.append(Observation(values, loss))
    last = history[-6:]
    assert sum(each.values["c"] == "b" and each.values["n"] in ("3", "4", "5") for each in last) >= 4


def test_late_jobs_exploit_what_is_known() -> None:
    values = [
        Bayesian(jobs=31).propose(LR, study(30, 3), [], 1, np.random.default_rng(n), maximize=True)[0].values
        for n in range(3)
    ]
    assert all(f1(each) > 0.918 - 0.005 for each in values)


def test_proposals_say_why() -> None:
    history = study(10, 0)
    proposal = Bayesian(jobs=30).propose(LR, history, [], 1, np.random.default_rng(0), maximize=True)[0]
    assert proposal.reason
    assert "random" in Bayesian().propose(LR, [], [], 1, np.random.default_rng(0), maximize=True)[0].reason


def two_peaks(values: Values) -> float:
    unit = math.log10(float(values["lr"]) / 5e-6) / 2.0
    broad = 0.200 * math.exp(-0.5 * ((unit - 0.27) / 0.14) ** 2)
    return 0.70 + max(broad, 0.218 * math.exp(-0.5 * ((unit - 0.78) / 0.06) ** 2))


def test_a_narrow_peak_met_only_at_its_flanks_is_looked_at() -> None:
    opening = (0.10, 0.22, 0.33, 0.46, 0.57, 0.70, 0.84, 0.97)
    noise = np.random.default_rng(3).normal(0.0, 0.006, 24)
    history: list[Observation] = []
    for number in range(24):
        if number < len(opening):
            values = {"lr": repr(5e-6 * 100 ** opening[number])}
        else:
            rng = np.random.default_rng([3, number])
            values = Bayesian(jobs=24).propose(LR, history, [], 1, rng, maximize=True)[0].values
        history.append(Observation(values, two_peaks(values) + float(noise[number])))
    assert sum(two_peaks(each.values) > 0.913 for each in history) >= 5
