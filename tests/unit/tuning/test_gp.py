from __future__ import annotations

import numpy as np
import pytest

from clary.tuning.acquisition import (
    MOST_SWAPS,
    expected_improvement,
    learnable,
    neighbours,
    rival,
    spread_points,
)
from clary.tuning.gp import Data, condition, fit
from clary.tuning.kernel import MEAN_VARIANCE, Kernel
from clary.tuning.sampling import sample
from clary.tuning.space import Categorical, Continuous, Floats, Integer, Space
from clary.tuning.strategy import Observation
from clary.tuning.targets import learn, prepare

SPACE = Space([Continuous("x", "0", "1", "Linear"), Integer("n", "1", "5"), Categorical("c", ("a", "b"))])
LINE = Space([Continuous("x", "0", "1", "Linear")])


def thetas(kernel: Kernel, count: int = 3) -> Floats:
    draws = np.random.default_rng(0).standard_normal((count, len(kernel.centre)))
    return np.asarray(kernel.centre + kernel.spread * draws)


def data(count: int = 12) -> Data:
    units = SPACE.snap(np.random.default_rng(1).random((count, SPACE.width)))
    return Data(units, np.sin(5.0 * units[:, 0]), np.zeros(count))


def test_covariances_are_symmetric_and_positive() -> None:
    kernel, points = Kernel(SPACE), data().units
    features = kernel.features(thetas(kernel), points)
    matrix = kernel.between(thetas(kernel), features, features)
    assert np.allclose(matrix, matrix.transpose(0, 2, 1))
    assert np.all(np.linalg.eigvalsh(matrix) > -1e-8)
    assert np.allclose(np.diagonal(matrix, axis1=1, axis2=2), kernel.variance(thetas(kernel))[:, None])


def matern(squares: Floats) -> Floats:
    scaled = np.sqrt(5.0 * squares)
    return np.asarray((1.0 + scaled + scaled**2 / 3.0) * np.exp(-scaled))


def test_categories_are_as_far_apart_as_their_columns_say() -> None:
    """The kernel counts categories; the textbook measures between one-hot columns, each over its length scale."""
    space = Space(
        [Categorical("a", ("x", "y", "z")), Continuous("n", "0", "1", "Linear"), Categorical("b", ("u", "v"))]
    )
    kernel, units = Kernel(space), space.snap(np.random.default_rng(3).random((20, space.width)))
    plain = np.zeros((1, len(kernel.centre)))  # amplitudes and warping are 1
    plain[0, :3] = np.log([0.5, 0.3, 2.0])
    gaps = units[:, None, :] - units[None, :, :]
    squares = [
        np.sum(gaps[:, :, part] ** 2, axis=2) / length**2
        for part, length in zip(space.slices, (0.5, 0.3, 2.0), strict=True)
    ]
    features = kernel.features(plain, units)
    expected = matern(sum(squares, np.zeros((20, 20)))) + sum(map(matern, squares)) / 3.0 + MEAN_VARIANCE
    assert np.allclose(kernel.between(plain, features, features)[0], expected, atol=1e-4)


def test_the_density_is_that_of_the_textbook() -> None:
    kernel, known = Kernel(SPACE), data()
    chosen = thetas(kernel)
    features = kernel.features(chosen, known.units)
    expected = []
    for index, matrix in enumerate(kernel.between(chosen, features, features)):
        matrix = matrix + np.eye(len(matrix)) * (kernel.noise_variance(chosen)[index] + 1e-8)
        fit_term = known.targets @ np.linalg.solve(matrix, known.targets)
        expected.append(
            -0.5 * fit_term - 0.5 * np.linalg.slogdet(matrix)[1] + kernel.log_prior(chosen)[index]
        )
    found = kernel.log_posterior(chosen, known.units, known.targets, known.extra)
    assert np.allclose(found, expected, rtol=1e-6)


def test_the_posterior_is_that_of_the_textbook() -> None:
    kernel, known = Kernel(SPACE), data()
    chosen = thetas(kernel)
    new = SPACE.snap(np.random.default_rng(2).random((4, SPACE.width)))
    mean, variance = condition(kernel, chosen, known).predict(new)
    features, others = kernel.features(chosen, known.units), kernel.features(chosen, new)
    for index in range(len(chosen)):
        one = chosen[index : index + 1]
        matrix = kernel.between(one, features[[index]], features[[index]])[0]
        matrix += np.eye(len(matrix)) * (kernel.noise_variance(one)[0] + 1e-8)
        cross = kernel.between(one, features[[index]], others[[index]])[0]
        assert np.allclose(mean[index], cross.T @ np.linalg.solve(matrix, known.targets), atol=1e-6)
        prior = kernel.variance(one)[0]
        assert np.allclose(
            variance[index], prior - np.sum(cross * np.linalg.solve(matrix, cross), axis=0), atol=1e-6
        )


def test_warping_is_the_identity_at_one_and_keeps_the_order() -> None:
    kernel = Kernel(LINE)
    units = np.linspace(0.0, 1.0, 9)[:, None]
    plain = np.zeros((1, len(kernel.centre)))
    assert np.allclose(kernel.features(plain, units)[0], units, atol=1e-5)
    assert np.all(np.diff(kernel.features(thetas(kernel), units)[:, :, 0], axis=1) >= 0)


def test_learned_noise_follows_the_measurements() -> None:
    kernel = Kernel(LINE)
    units = np.linspace(0.0, 1.0, 40)[:, None]
    draws = np.random.default_rng(4).normal(size=40)
    levels = []
    for noise in (0.01, 0.5):
        known = Data(units, np.sin(6.0 * units[:, 0]) + noise * draws, np.zeros(40))
        found = fit(kernel, known, np.random.default_rng(0), samples=8, steps=20)
        levels.append(float(np.sqrt(kernel.noise_variance(found).mean())))
    assert levels[0] < 0.1 < 0.3 < levels[1] < 0.8


def test_many_points_are_thinned_for_learning() -> None:
    units = np.random.default_rng(0).random((400, 1))
    known = Data(units, -((units[:, 0] - 0.5) ** 2), np.zeros(400))
    found = fit(Kernel(LINE), known, np.random.default_rng(0), samples=4, steps=4)
    assert found.shape == (4, len(Kernel(LINE).centre)) and np.all(np.isfinite(found))


def test_slice_sampling_draws_from_the_density() -> None:
    scales = np.array([0.5, 2.0])
    found = sample(
        lambda points: -0.5 * np.sum(((points - 1.0) / scales) ** 2, axis=1),
        np.zeros(2),
        np.ones(2),
        np.random.default_rng(0),
        chains=2000,
        draws=2000,
        steps=20,
    )
    assert np.allclose(found.mean(axis=0), 1.0, atol=0.15)
    assert np.allclose(found.std(axis=0), scales, rtol=0.1)


def test_expected_improvement_against_many_draws() -> None:
    mean, variance, best = np.array([[0.2, -1.0]]), np.array([[0.5, 0.1]]), np.array([0.3])
    draws = mean[0] + np.sqrt(variance[0]) * np.random.default_rng(0).standard_normal((400_000, 2))
    expected = np.maximum(draws - 0.3, 0.0).mean(axis=0)
    assert np.allclose(expected_improvement(mean, variance, best), expected, atol=2e-3)


def test_noise_hides_small_improvements() -> None:
    kernel = Kernel(SPACE)
    posterior = condition(kernel, thetas(kernel), data())
    noise = kernel.noise_variance(posterior.thetas)
    much, little = np.full((3, 1), 1e6), noise[:, None] * 1e-3
    assert np.allclose(learnable(posterior, much), much, rtol=1e-2)
    assert np.all(learnable(posterior, little) < 0.01 * little)


def test_spread_points_fill_the_cube_evenly() -> None:
    points = spread_points(256, 2, np.random.default_rng(0))
    counts = np.histogram2d(points[:, 0], points[:, 1], bins=4, range=[[0, 1], [0, 1]])[0]
    assert counts.min() >= 12 and counts.max() <= 20


def test_neighbours_are_in_the_space_and_try_every_category() -> None:
    unit = SPACE.snap(np.full((1, SPACE.width), 0.5))[0]
    near = neighbours(SPACE, unit, 50, np.random.default_rng(0))
    assert np.allclose(SPACE.snap(near), near)
    assert {SPACE.decode(each)["c"] for each in near} == {"a", "b"}


def test_neighbours_stay_few_where_there_are_many_categories() -> None:
    wide = Space([Categorical(f"c{n}", tuple(f"v{m}" for m in range(30))) for n in range(30)])
    unit = wide.snap(np.random.default_rng(0).random((1, wide.width)))[0]
    near = neighbours(wide, unit, 8, np.random.default_rng(0))
    assert len(near) == 8 + 1 + MOST_SWAPS
    assert np.allclose(wide.snap(near), near)
    changes = [
        sum(a != b for a, b in zip(*(wide.decode(u).values() for u in (each, unit)), strict=True))
        for each in near[9:]
    ]
    assert max(changes) == 1 and sum(changes) > MOST_SWAPS * 0.9
    assert len(np.unique(near[9:], axis=0)) >= sum(changes)


def test_targets_keep_the_order_and_come_back() -> None:
    scores = np.array([0.9, 0.89, 0.5, -10.0, 0.85])
    transform = learn(scores)
    targets = transform.forward(scores)
    assert np.all(np.argsort(targets) == np.argsort(scores))
    assert np.allclose(transform.backward(targets), scores)
    assert targets.max() == pytest.approx(0.0)


@pytest.mark.parametrize("worst", [-1e3, -1e6, -1e200, -1e308])
def test_a_diverged_job_does_not_make_the_others_look_alike(worst: float) -> None:
    scores = np.array([-0.3, -0.4, worst, -0.6, -0.9, worst])
    transform = learn(scores)
    targets = transform.forward(scores)
    good = targets[[0, 1, 3, 4]]
    assert np.all(np.diff(good) < -0.03)
    assert np.isfinite(targets).all() and targets.min() > -10
    assert np.isfinite(transform.backward(targets)).all()
    assert np.allclose(transform.backward(good), scores[[0, 1, 3, 4]])


def test_objectives_that_are_all_equal_or_nearly_so_have_a_scale() -> None:
    for scores in (np.full(4, 0.5), np.array([0.5, 0.5, 0.5, 0.4]), np.array([1e-320, 0.0])):
        targets = learn(scores).forward(scores)
        assert np.isfinite(targets).all() and targets.max() == 0.0


def test_a_failed_child_stands_at_the_lower_quartile_with_noise() -> None:
    jobs = [Observation({"x": repr(0.1 * n)}, float(n)) for n in range(9)]
    jobs.append(Observation({"x": "0.95"}, None, status="Failed"))
    known, _, offset = prepare(LINE, jobs, maximize=True)
    assert known.targets[-1] == pytest.approx(np.quantile(known.targets[:-1], 0.25))
    assert known.extra[-1] > 0 and np.all(known.extra[:-1] == 0)
    assert np.mean(known.targets) == pytest.approx(0.0) and offset < 0


def measured(values: list[float]) -> tuple[Kernel, Data]:
    units = np.linspace(0.0, 1.0, len(values))[:, None]
    return Kernel(LINE), Data(units, np.array(values), np.zeros(len(values)))


def test_a_second_peak_is_a_rival_until_it_is_known_to_be_lower() -> None:
    units = np.array([[0.10], [0.23], [0.35], [0.47], [0.59], [0.70], [0.84], [0.98]])
    targets = np.array([0.0, 1.4, 1.0, -0.3, -1.2, -0.3, 0.8, -1.4])
    kernel, unsure = Kernel(LINE), Data(units, targets, np.zeros(8))
    posterior = condition(kernel, fit(kernel, unsure, np.random.default_rng(0), samples=20, steps=10), unsure)
    found = rival(posterior, units, 2.5, np.random.default_rng(1))
    assert found is not None and 0.7 < found[0] < 0.9
    more = np.linspace(0.72, 0.92, 9)
    lower = np.interp(more, [0.7, 0.84, 0.98], [-0.3, 0.8, -1.4])
    sure = Data(
        np.concatenate([units, more[:, None]]), np.concatenate([targets, lower]), np.zeros(len(units) + 9)
    )
    settled = condition(kernel, posterior.thetas, sure)
    assert rival(settled, sure.units, 2.5, np.random.default_rng(1)) is None


def test_one_peak_has_no_rival() -> None:
    kernel, single = measured([-1.5, -0.4, 0.5, 1.1, 0.7, -0.1, -1.3])
    posterior = condition(kernel, fit(kernel, single, np.random.default_rng(0), samples=20, steps=10), single)
    assert rival(posterior, single.units, 2.5, np.random.default_rng(1)) is None
