from __future__ import annotations

import numpy as np
import pytest
from scipy import stats

from clary.analytics.significance import (
    compare_macro_f1,
    compare_means,
    corrected,
    needed_examples,
)


def right_or_wrong(both, first, second, neither):
    one = np.repeat([1.0, 1.0, 0.0, 0.0], [both, first, second, neither])
    other = np.repeat([1.0, 0.0, 1.0, 0.0], [both, first, second, neither])
    return one, other


def test_accuracy_is_tested_by_mcnemars_exact_test():
    found = compare_means(*right_or_wrong(800, 60, 30, 110), np.random.default_rng(0))
    assert found.value == pytest.approx(0.03)
    assert found.p == pytest.approx(2 * stats.binom.sf(59, 90, 0.5))
    error = np.sqrt(0.09 - 0.03**2) / np.sqrt(1000)
    assert found.low == pytest.approx(0.03 - 1.96 * error, abs=0.002)
    assert found.high == pytest.approx(0.03 + 1.96 * error, abs=0.002)


def test_no_discordant_example_is_no_difference():
    found = compare_means(*right_or_wrong(90, 0, 0, 10), np.random.default_rng(0))
    assert (found.value, found.low, found.high, found.p, found.needed) == (0, 0, 0, 1.0, None)


def test_other_means_are_tested_by_flipping_signs():
    rng = np.random.default_rng(1)
    other = rng.random(400)
    shifted = np.clip(other + rng.normal(0.03, 0.1, 400), 0, 1)
    found = compare_means(shifted, other, rng)
    t_test = stats.ttest_rel(shifted, other)
    assert found.p == pytest.approx(float(t_test.pvalue), abs=0.01)
    interval = t_test.confidence_interval()
    assert (found.low, found.high) == pytest.approx((interval.low, interval.high), abs=0.002)


def test_a_fair_coin_is_rarely_called_a_difference():
    rng = np.random.default_rng(2)
    ps = [compare_means(*(rng.random((2, 300)) < 0.8).astype(float), rng).p for _ in range(200)]
    assert sum(p < 0.05 for p in ps) <= 16  # exact test: 5 % of 200 at most, and chance


def test_macro_f1_agrees_with_scikit_learn():
    metrics = pytest.importorskip("sklearn.metrics")
    rng = np.random.default_rng(3)
    labels = rng.integers(0, 4, 500)
    first = np.where(rng.random(500) < 0.8, labels, rng.integers(0, 5, 500))
    second = np.where(rng.random(500) < 0.7, labels, rng.integers(0, 4, 500))
    found = compare_macro_f1(labels, first, second, rng)
    expected = metrics.f1_score(labels, first, average="macro", zero_division=0) - metrics.f1_score(
        labels, second, average="macro", zero_division=0
    )
    assert found.value == pytest.approx(expected)
    assert found.low < expected < found.high < 0
    assert found.p < 0.05


def test_macro_f1_of_equal_runs_is_no_difference():
    labels = np.array([0, 1, 0, 1, 1])
    found = compare_macro_f1(labels, labels, labels, np.random.default_rng(0))
    assert (found.value, found.p, found.needed) == (0, 1.0, None)


def test_macro_f1_bootstrap_and_randomisation_speak_alike():
    rng = np.random.default_rng(4)
    labels = rng.integers(0, 2, 600)
    real = [np.where(rng.random(600) < share, labels, 1 - labels) for share in (0.85, 0.84)]
    found = compare_macro_f1(labels, *real, rng)
    assert (found.low <= 0 <= found.high) == (found.p >= 0.05)


def test_needed_examples_are_those_of_connors_formula():
    # 9 % discordant, 3 points apart: Connor's formula gives 783
    deviation = float(np.sqrt(0.09 - 0.03**2))
    assert needed_examples(0.03, deviation, 1000) == pytest.approx(783, rel=0.02)


def test_needed_examples_do_show_the_difference_in_four_of_five_cases():
    rng = np.random.default_rng(5)
    share = np.array([0.06, 0.03, 0.91])
    needed = needed_examples(0.03, float(np.sqrt(0.09 - 0.03**2)), 1000)
    counts = rng.multinomial(needed, share, size=400)
    shown = [stats.binomtest(int(won), int(won + lost)).pvalue < 0.05 for won, lost, _ in counts]
    assert np.mean(shown) == pytest.approx(0.8, abs=0.07)


def test_holms_correction():
    assert corrected([0.01, 0.04, 0.03], among=3) == pytest.approx([0.03, 0.06, 0.06])
    assert corrected([0.01, 0.03], among=3) == pytest.approx([0.03, 0.06])
    assert corrected([0.9, 0.8], among=2) == [1.0, 1.0]
    assert corrected([], among=0) == []
