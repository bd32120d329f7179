from __future__ import annotations

import numpy as np
import pytest

from clary.analytics.comparison import Figure, Predictions, Run, compare
from clary.analytics.comparison_page import intervals, page

HOSTILE = "<script>alert(1)</script>"


@pytest.fixture
def comparison():
    runs = [
        Run(HOSTILE, {"accuracy": Figure(0.9, 0.88, 0.92)}, {"lr": "<b>0.1</b>"}),
        Run("plain", {"accuracy": Figure(0.8)}, {"lr": "0.2"}),
    ]
    return compare(runs, "accuracy", np.random.default_rng(0))


def test_the_page_has_everything_and_loads_nothing(comparison):
    text = page(comparison, ["a note & more"])
    assert "leads by accuracy, 0.900" in text
    assert "cannot be told without both runs" in text
    assert "a note &amp; more" in text
    assert "0.880 to 0.920" in text
    assert "default-src 'none'" in text
    assert "http" not in text.replace("http-equiv", "").replace("http://www.w3.org", "")


def test_a_leader_that_is_behind_on_the_examples_of_both_is_not_called_best():
    examples, right = np.array([str(index) for index in range(100)]), np.arange(100)
    runs = [
        Run(name, {"accuracy": Figure(figure)}, {}, Predictions(examples, {"accuracy": (right < hits) * 1.0}))
        for name, figure, hits in (("a", 0.9, 40), ("b", 0.8, 80))
    ]
    text = page(compare(runs, "accuracy", np.random.default_rng(0)))
    assert "a leads by accuracy, 0.900" in text and "its lead is real" not in text


def test_texts_are_escaped_also_in_the_chart(comparison):
    pytest.importorskip("vl_convert")
    text = page(comparison)
    assert "<svg" in text
    assert "<script" not in text
    assert "<b>0.1" not in text


def test_a_chart_shows_intervals_where_they_are_known(comparison):
    rows = intervals(comparison)["data"]["values"]
    assert [(row["run"], row["low"]) for row in rows] == [(HOSTILE, 0.88), ("plain", None)]
