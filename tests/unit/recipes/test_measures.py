import numpy as np
import pytest

pytest.importorskip("torchmetrics")

from sklearn import metrics

from clary.recipes.intervals import Bootstrap, share
from clary.recipes.measures import log_losses, measure


def sample(classes: int, examples: int = 600, seed: int = 0):
    rng = np.random.default_rng(seed)
    labels = rng.integers(0, classes, examples)
    logits = rng.normal(size=(examples, classes))
    logits[np.arange(examples), labels] += 1.2
    probabilities = np.exp(logits)
    return labels, probabilities / probabilities.sum(axis=1, keepdims=True), [f"c{n}" for n in range(classes)]


def of_sklearn(labels, predicted) -> dict[str, float]:
    found = {
        "accuracy": metrics.accuracy_score(labels, predicted),
        "f1_micro": metrics.f1_score(labels, predicted, average="micro"),
        "mcc": metrics.matthews_corrcoef(labels, predicted),
    }
    for average in ("macro", "weighted"):
        for name, figure in (
            ("precision", metrics.precision_score),
            ("recall", metrics.recall_score),
            ("f1", metrics.f1_score),
        ):
            found[f"{name}_{average}"] = figure(labels, predicted, average=average, zero_division=0)
    return found


@pytest.mark.parametrize("classes", [2, 5])
def test_values_are_scikit_learns(classes: int) -> None:
    labels, probabilities, names = sample(classes)
    predicted = probabilities.argmax(axis=1)
    measured = measure(labels, probabilities, names, Bootstrap(20))
    for name, value in of_sklearn(labels, predicted).items():
        assert measured.metrics[name].value == pytest.approx(value, abs=1e-12), name
    assert measured.metrics["log_loss"].value == pytest.approx(
        metrics.log_loss(labels, probabilities), abs=1e-12
    )
    assert measured.losses.mean() == pytest.approx(measured.metrics["log_loss"].value, abs=1e-12)
    assert (measured.confusion == metrics.confusion_matrix(labels, predicted)).all()
    assert ("f1" in measured.metrics) == (classes == 2)
    if classes == 2:
        assert measured.metrics["f1"].value == pytest.approx(metrics.f1_score(labels, predicted), abs=1e-12)
    report = metrics.classification_report(labels, predicted, target_names=names, output_dict=True)
    for each in measured.classes:
        assert each.f1.value == pytest.approx(report[each.name]["f1-score"], abs=1e-12)
        assert each.examples == report[each.name]["support"]
        assert each.predicted == (predicted == names.index(each.name)).sum()


def test_calibration_error_is_the_gap_of_15_bins() -> None:
    labels, probabilities, names = sample(3)
    sure, right = probabilities.max(axis=1), probabilities.argmax(axis=1) == labels
    places = np.clip(np.digitize(sure, np.linspace(0, 1, 16)) - 1, 0, 14)
    expected = sum(
        abs(right[places == n].mean() - sure[places == n].mean()) * (places == n).mean() for n in set(places)
    )
    found = measure(labels, probabilities, names, Bootstrap(50)).metrics["calibration_error"]
    assert found.value == pytest.approx(expected, abs=1e-6)
    assert 0 <= found.low <= found.high <= 1


def test_intervals_are_those_of_drawing_examples() -> None:
    """The bootstrap of counts against numpy's drawing of examples, figure by figure."""
    labels, probabilities, names = sample(3, 400)
    predicted = probabilities.argmax(axis=1)
    measured = measure(labels, probabilities, names, Bootstrap(1500, seed=1))
    rng = np.random.default_rng(9)
    drawn = []
    for _ in range(1500):
        chosen = rng.integers(0, 400, 400)
        drawn.append(list(of_sklearn(labels[chosen], predicted[chosen]).values()))
    low, high = np.percentile(drawn, [2.5, 97.5], axis=0)
    spread = np.std(drawn, axis=0)
    for n, name in enumerate(of_sklearn(labels, predicted)):
        found = measured.metrics[name]
        assert found.low == pytest.approx(low[n], abs=0.25 * spread[n]), name
        assert found.high == pytest.approx(high[n], abs=0.25 * spread[n]), name
        assert found.deviation == pytest.approx(spread[n], rel=0.1), name


def test_the_same_seed_gives_the_same_and_another_gives_another() -> None:
    labels, probabilities, names = sample(2, 100)
    first, again, other = (measure(labels, probabilities, names, Bootstrap(50, seed)) for seed in (0, 0, 1))
    assert first.metrics == again.metrics
    assert first.metrics != other.metrics


def test_a_class_that_does_not_occur_counts_as_little_as_for_scikit_learn() -> None:
    labels, probabilities, names = sample(3, 200)
    kept = (labels != 2) & (probabilities.argmax(axis=1) != 2)
    measured = measure(labels[kept], probabilities[kept], names, Bootstrap(20))
    expected = metrics.f1_score(labels[kept], probabilities[kept].argmax(axis=1), average="macro")
    assert measured.metrics["f1_macro"].value == pytest.approx(expected)
    assert [each.name for each in measured.classes] == ["c0", "c1"]


def test_a_perfect_score_is_not_certain() -> None:
    labels = np.array([0, 1] * 10)
    measured = measure(labels, np.eye(2)[labels], ["a", "b"], Bootstrap(30))
    accuracy = measured.metrics["accuracy"]
    assert accuracy.value == 1.0 and accuracy.high == 1.0
    assert accuracy.low == share(20, 20)[0] == pytest.approx(0.839, abs=1e-3)
    assert np.isfinite(measured.losses).all() and measured.metrics["log_loss"].value < 1e-10


def test_a_label_that_the_model_holds_impossible_costs_much_and_not_infinity() -> None:
    losses = log_losses(np.array([0, 1]), np.array([[0.0, 1.0], [0.5, 0.5]]))
    assert losses[0] > 30 and np.isfinite(losses).all()


def test_baseline_is_the_most_frequent_label() -> None:
    labels, probabilities, names = sample(2, 100)
    labels = np.where(np.arange(100) < 70, 1, 0)
    measured = measure(labels, probabilities, names, Bootstrap(20))
    assert measured.majority == "c1"
    assert measured.baseline["accuracy"] == pytest.approx(0.7)
    assert measured.baseline["f1"] == pytest.approx(metrics.f1_score(labels, np.ones(100)))
    assert measured.baseline["mcc"] == 0


def test_mean_agrees_with_theory() -> None:
    values = np.random.default_rng(0).exponential(size=2000)
    found = Bootstrap(2000).mean(values)
    error = values.std() / np.sqrt(2000)
    assert found.deviation == pytest.approx(error, rel=0.1)
    assert found.low == pytest.approx(values.mean() - 1.96 * error, abs=0.3 * error)
    assert Bootstrap(10).mean(np.array([0.5, 0.5])).low == 0.5
