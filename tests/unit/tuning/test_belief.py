from __future__ import annotations

import math

import numpy as np

from clary.tuning.belief import belief, best_by_belief
from clary.tuning.space import Categorical, Continuous, Integer, Space
from clary.tuning.strategy import Observation, Values

SPACE = Space(
    [
        Continuous("lr", "1e-5", "1e-3", "Logarithmic"),
        Integer("layers", "1", "4", "Linear"),
        Categorical("optimizer", ("adam", "sgd")),
    ]
)


def rng() -> np.random.Generator:
    return np.random.default_rng(3)


def truth(values: Values) -> float:
    gap = math.log10(float(values["lr"])) + 4
    return 0.9 - 0.2 * gap**2 - (0.02 if values["optimizer"] == "sgd" else 0.0)


def history(sign: float = 1.0) -> list[Observation]:
    units = np.random.default_rng(1).random((24, SPACE.width))
    return [Observation(values, sign * truth(values)) for values in map(SPACE.decode, units)]


def test_responses_follow_the_truth() -> None:
    found = belief(SPACE, history(), rng(), maximize=True)
    assert found is not None
    lr, layers, optimizer = found.responses
    peak = float(lr.values[int(np.argmax(lr.mean))])
    assert 6e-5 < peak < 1.7e-4
    assert layers.values == ("1", "2", "3", "4")
    assert optimizer.values == ("adam", "sgd") and optimizer.mean[0] > optimizer.mean[1]
    assert lr.importance > 0.5 > layers.importance
    for each in found.responses:
        assert len(each.values) == len(each.mean) == len(each.low) == len(each.high)
        assert all(a <= b <= c for a, b, c in zip(each.low, each.mean, each.high, strict=True))


def test_a_minimised_objective_is_shown_in_its_own_units() -> None:
    up, down = (
        belief(SPACE, history(), rng(), maximize=True),
        belief(SPACE, history(-1.0), rng(), maximize=False),
    )
    assert up is not None and down is not None
    assert up.best == down.best
    assert np.allclose(up.responses[0].mean, [-each for each in down.responses[0].mean])


def test_the_band_is_narrow_where_jobs_ran_and_wide_elsewhere() -> None:
    space = Space([Continuous("x", "0", "1", "Linear")])
    jobs = [Observation({"x": repr(0.02 * n)}, 0.5 + 0.02 * n) for n in range(12)]
    found = belief(space, jobs, rng(), maximize=True)
    assert found is not None
    response = found.responses[0]
    width = np.subtract(response.high, response.low)
    assert width[5] < 0.3 * width[-1]


def test_belief_through_a_chosen_point() -> None:
    at = {"lr": "0.001", "layers": "1", "optimizer": "sgd"}
    found = belief(SPACE, history(), rng(), maximize=True, at=at)
    assert found is not None and found.at == at and found.low <= found.mean <= found.high


def test_nothing_is_believed_before_the_first_value() -> None:
    failed = [Observation(each.values, None, status="Failed") for each in history()]
    assert belief(SPACE, failed, rng(), maximize=True) is None
    assert best_by_belief(SPACE, [], rng(), maximize=True) is None


def test_a_lucky_measurement_is_not_the_best_by_belief() -> None:
    space = Space([Continuous("x", "0", "1", "Linear")])
    draws = np.random.default_rng(5)
    jobs = [
        Observation({"x": repr(x)}, 1 - (x - 0.3) ** 2 + 0.02 * draws.normal())
        for x in np.linspace(0, 1, 30).tolist()
    ]
    lucky = 15
    jobs[lucky] = Observation(jobs[lucky].values, max(each.objective or 0 for each in jobs) + 0.001)
    best = best_by_belief(space, jobs, rng(), maximize=True)
    assert best is not None and best != lucky and abs(float(jobs[best].values["x"]) - 0.3) < 0.15


def test_a_failed_job_is_never_the_best() -> None:
    jobs = history()
    best = best_by_belief(SPACE, jobs, rng(), maximize=True)
    assert best is not None
    jobs[best] = Observation(jobs[best].values, None, status="Failed")
    other = best_by_belief(SPACE, jobs, rng(), maximize=True)
    assert other is not None and other != best
