from __future__ import annotations

import numpy as np
import pytest

from clary.analytics.comparison import (
    Figure,
    Predictions,
    Run,
    common_metric,
    compare,
    differing_facts,
    lower_is_better,
    paired,
    relabelled,
)


def run(name, right, *, seed=0, **facts):
    """A run that is right on the examples where `right` is true."""
    right = np.asarray(right, bool)
    labels = np.array(["pos", "neg"])[np.arange(len(right)) % 2]
    other = np.array(["neg", "pos"])[np.arange(len(right)) % 2]
    examples = np.array([f"x{index}" for index in range(len(right))])
    order = np.random.default_rng(seed).permutation(len(right))
    predictions = Predictions(
        examples[order],
        {"accuracy": right[order].astype(float)},
        labels[order],
        np.where(right, labels, other)[order],
    )
    return Run(name, {"accuracy": Figure(float(right.mean()))}, facts, predictions)


def pattern(both, first, second, neither):
    return (
        np.repeat([1, 1, 0, 0], [both, first, second, neither]),
        np.repeat([1, 0, 1, 0], [both, first, second, neither]),
    )


def made(runs, metric="accuracy"):
    return compare(runs, metric, np.random.default_rng(0))


def test_a_small_lead_is_not_real_and_says_what_would_settle_it():
    first, second = pattern(800, 54, 46, 100)
    found = made([run("B", second, seed=1), run("A", first, seed=2)])
    assert [each.name for each in found.runs] == ["A", "B"]
    (finding,) = found.findings
    assert not finding.is_real
    assert finding.difference.examples == 1000
    assert finding.sentence.startswith("A leads B by 0.8 points of accuracy (95 % interval -1.")
    assert ": not a real difference on 1,000 examples; about 12,000 would settle it." in finding.sentence


def test_a_large_lead_is_real():
    found = made([run("A", pattern(800, 90, 30, 80)[0]), run("B", pattern(800, 90, 30, 80)[1])])
    (finding,) = found.findings
    assert finding.is_real
    assert "a real difference on 1,000 examples (p < 0.001)." in finding.sentence


def test_several_comparisons_are_corrected():
    rng = np.random.default_rng(3)
    best = rng.random(400) < 0.9
    runs = [run("best", best)]
    for name in ("b", "c", "d"):
        runs.append(run(name, np.where(rng.random(400) < 0.12, ~best, best)))
    alone = made([runs[0], runs[1]]).findings[0]
    together = next(each for each in made(runs).findings if each.other == "b")
    assert together.p > alone.p
    assert "corrected for 6 comparisons" in together.sentence


def test_of_equal_runs_none_is_called_better_because_it_was_picked_as_the_best():
    rng = np.random.default_rng(7)
    examples = np.array([str(index) for index in range(1000)])
    wrong = 0
    for _ in range(60):
        scores = (rng.random((12, 1000)) < 0.8) * 1.0
        runs = [
            Run(str(number), {"accuracy": Figure(each.mean())}, {}, Predictions(examples, {"accuracy": each}))
            for number, each in enumerate(scores)
        ]
        wrong += any(finding.is_real for finding in compare(runs, "accuracy", rng).findings)
    assert wrong <= 6  # 5 % and chance; corrected for the eleven comparisons only, there are about ten


def test_equal_runs_are_level():
    right = pattern(80, 0, 0, 20)[0]
    (finding,) = made([run("A", right), run("B", right)]).findings
    assert "A and B are level in accuracy" in finding.sentence
    assert finding.sentence.endswith("no difference on 100 examples.")


def test_macro_f1_is_paired_by_its_labels():
    first, second = pattern(800, 90, 30, 80)
    runs = [run("A", first), run("B", second, seed=5)]
    runs = [Run(each.name, {"f1_macro": each.figures["accuracy"]}, {}, each.predictions) for each in runs]
    (finding,) = made(runs, "f1_macro").findings
    assert finding.is_real
    assert "points of F1 macro" in finding.sentence


def test_a_leader_that_is_behind_on_the_examples_of_both_says_so():
    one, other = (run(name, right, seed=4) for name, right in zip("AB", pattern(500, 10, 90, 0), strict=True))
    leader = Run("A", {"accuracy": Figure(0.99)}, {}, one.predictions)
    (finding,) = made([leader, other]).findings
    assert finding.is_real and finding.is_reversed
    assert finding.sentence.startswith(
        "A has the better accuracy, but on the examples that both have B leads by 13.3 points (95 % interval 1"
    )
    losses = [
        Run(
            name,
            {"log_loss": Figure(figure)},
            {},
            Predictions(np.array(list("abcdef")), {"log_loss": values}),
        )
        for name, figure, values in (("A", 0.1, np.full(6, 0.5)), ("B", 0.2, np.arange(6) / 20))
    ]
    (finding,) = made(losses, "log_loss").findings
    assert finding.is_reversed and "B leads by 0.3750 (95 % interval 0." in finding.sentence


def test_macro_f1_counts_examples_only_whose_labels_are_the_same():
    first, second = pattern(800, 90, 30, 80)
    one, other = run("A", first), run("B", second, seed=5)
    renamed = Predictions(
        other.predictions.examples,
        other.predictions.scores,
        np.char.add("LABEL_", other.predictions.labels),
        np.char.add("LABEL_", other.predictions.predicted),
    )
    runs = [
        Run("A", {"f1_macro": Figure(0.9)}, {}, one.predictions),
        Run("B", {"f1_macro": Figure(0.8)}, {}, renamed),
    ]
    (finding,) = made(runs, "f1_macro").findings
    assert finding.difference is None and not finding.is_real


def test_a_value_that_is_no_number_is_tested_by_nothing():
    examples = np.array([str(index) for index in range(50)])
    runs = [
        Run(name, {"log_loss": Figure(0.1)}, {}, Predictions(examples, {"log_loss": np.full(50, value)}))
        for name, value in (("A", 0.1), ("B", np.nan))
    ]
    (finding,) = made(runs, "log_loss").findings
    assert finding.difference is None and not finding.is_real


def test_without_predictions_nothing_is_claimed():
    runs = [Run("A", {"f1": Figure(0.9)}), Run("B", {"f1": Figure(0.8)}), Run("C", {})]
    found = made(runs, "f1")
    assert [finding.p for finding in found.findings] == [None, None]
    assert "cannot be told" in found.findings[0].sentence
    assert found.findings[1].sentence == "C has no F1 to compare."


def test_lower_is_better_for_losses():
    assert lower_is_better("validation:loss") and lower_is_better("log_loss") and lower_is_better("eval-rmse")
    assert not lower_is_better("accuracy") and not lower_is_better("answer_f1")
    runs = [Run("A", {"loss": Figure(0.9)}), Run("B", {"loss": Figure(0.2)})]
    assert [each.name for each in made(runs, "loss").runs] == ["B", "A"]


def test_a_lead_in_loss_is_told_as_a_positive_number():
    rng = np.random.default_rng(6)
    losses = rng.random(300)
    examples = np.array([str(index) for index in range(300)])
    runs = [
        Run(name, {"log_loss": Figure(float(each.mean()))}, {}, Predictions(examples, {"log_loss": each}))
        for name, each in (("A", losses), ("B", losses + 0.1 + rng.normal(0, 0.01, 300)))
    ]
    (finding,) = made(runs, "log_loss").findings
    assert finding.sentence.startswith("A leads B by 0.0995 of log loss (95 % interval 0.098")
    assert finding.is_real


def test_examples_are_paired_by_what_they_are_also_when_some_occur_twice():
    first = Predictions(np.array(["a", "b", "a", "c"]), {})
    second = Predictions(np.array(["c", "a", "x", "a"]), {})
    mine, theirs = paired(first, second)
    assert list(zip(mine.tolist(), theirs.tolist(), strict=True)) == [(0, 1), (2, 3), (3, 0)]


def test_only_facts_that_differ_are_shown():
    runs = [
        Run("A", {}, {"lr": "0.1", "epochs": "3"}),
        Run("B", {}, {"lr": "0.2", "epochs": "3", "data": "x"}),
    ]
    assert differing_facts(runs) == {"lr": ["0.1", "0.2"], "data": [None, "x"]}


def test_the_metric_nobody_named():
    figure = Figure(0.5)
    assert (
        common_metric([Run("A", {"loss": figure, "accuracy": figure}), Run("B", {"accuracy": figure})])
        == "accuracy"
    )
    assert common_metric([Run("A", {"loss": figure}), Run("B", {"loss": figure})]) == "loss"
    assert common_metric([Run("A", {"loss": figure}), Run("B", {"f1": figure})]) is None


def test_a_metric_that_nobody_has_is_refused():
    with pytest.raises(ValueError, match="there are: f1"):
        made([Run("A", {"f1": Figure(1.0)})], "bleu")


def test_a_lead_that_only_the_correction_takes_away_says_so_and_what_would_settle_it():
    """Its own interval stays clear of zero, so the sentence must not stop at "not a real difference"."""
    weak = pattern(800, 60, 40, 100)
    crowd = [run(f"C{n}", weak[1], seed=n) for n in range(6)]
    first = made([run("A", weak[0]), crowd[0]]).findings[0]
    found = made([run("A", weak[0]), *crowd]).findings[0]
    assert not found.is_real
    assert found.difference.needed > 1.5 * first.difference.needed
    strong = pattern(800, 66, 40, 94)
    crowd = [run(f"C{n}", strong[1], seed=n) for n in range(6)]
    alone = made([run("A", strong[0]), crowd[0]]).findings[0]
    assert alone.is_real and alone.difference.low > 0
    finding = made([run("A", strong[0]), *crowd]).findings[0]
    assert not finding.is_real
    assert ", corrected for 21 comparisons); about " in finding.sentence
    assert finding.difference.needed > finding.difference.examples


def test_examples_with_other_labels_are_counted():
    one, two = run("A", [1, 1, 1, 1]).predictions, run("B", [1, 1, 1, 1], seed=3).predictions
    assert relabelled(one, two) == 0
    swapped = Predictions(two.examples, two.scores, np.where(two.labels == "pos", "POS", two.labels))
    assert relabelled(one, swapped) == 2
    assert relabelled(one, Predictions(two.examples, two.scores)) == 0


def test_where_the_interval_looks_like_a_lead_the_test_is_told():
    (finding,) = made([run("A", pattern(40, 9, 2, 9)[0]), run("B", pattern(40, 9, 2, 9)[1])]).findings
    assert finding.difference.low > 0 and not finding.is_real
    assert "not a real difference on 60 examples (p = 0.065); about" in finding.sentence
