import numpy as np
import pytest

pytest.importorskip("torchmetrics")

from clary.recipes.classification import bins, parts_of
from clary.recipes.labelled import labelled
from clary.recipes.rows import Row
from clary.recipes.slicing import MOST, Slice


def test_a_chart_has_the_worst_slices_of_a_long_column() -> None:
    found = [Slice("label", f"c{n}", 10, n / 40, 0.0, 1.0) for n in range(MOST + 8)]
    found.append(Slice("shop", "a", 10, 0.5, 0.0, 1.0))
    parts = parts_of(list(reversed(found)))
    assert [part.value for part in parts] == ["a", *(f"c{n}" for n in range(MOST))]
    assert parts[1].column == "label: the 12 worst of 20"


def test_bins_hold_every_example_once_and_their_share_of_right_answers() -> None:
    rng = np.random.default_rng(0)
    sure = np.concatenate([rng.uniform(0.5, 1, 200), [1.0, 0.6]])
    probabilities = np.stack([1 - sure, sure], axis=1)
    rows = [Row("a", {"text": "x", "label": int(n % 3 > 0)}) for n in range(len(sure))]
    examples = labelled(rows, ["no", "yes"])
    found = bins(examples, probabilities)
    assert sum(each.examples for each in found) == len(sure)
    for each in found:
        inside = (sure > each.start) & (sure <= each.end)
        assert each.examples == inside.sum()
        assert each.right == pytest.approx(examples.labels[inside].mean())
        assert each.start <= each.confidence <= each.end
        assert each.low <= each.right <= each.high


def test_bins_where_all_answers_are_right() -> None:
    rows = [Row("a", {"text": "x", "label": n % 2}) for n in range(10)]
    examples = labelled(rows, ["no", "yes"])
    (found,) = bins(examples, np.eye(2)[examples.labels])
    assert (found.examples, found.right) == (10, 1.0)
