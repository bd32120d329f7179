"""One accept and one refuse case for each rule."""

from __future__ import annotations

from dataclasses import replace

import pytest

from clary.tuning import warmstart
from clary.tuning.space import Categorical, Continuous, Integer, Space
from clary.tuning.strategy import Observation
from clary.tuning.warmstart import Study, faults, merge

LR = Continuous("lr", "1e-5", "1e-3", "Logarithmic")
BATCH = Categorical("batch", ("8", "16"))
CHILD = Study(
    "now", "Bayesian", "f1", "Maximize", Space([LR, BATCH]), {"epochs": "3"}, "image:1", inputs="s3://data"
)
PARENT = replace(CHILD, name="before")
MANY = {f"s{n}": "1" for n in range(11)}


def test_an_equal_parent_breaks_no_rule() -> None:
    assert faults(CHILD, [PARENT], "IdenticalDataAndAlgorithm") == []


@pytest.mark.parametrize(
    ("rule", "child", "good", "bad"),
    [
        ("parent_count", CHILD, [replace(PARENT, name=str(n)) for n in range(5)], []),
        ("parent_count", CHILD, [PARENT], [replace(PARENT, name=str(n)) for n in range(6)]),
        ("parent_count", CHILD, [PARENT], [PARENT, PARENT]),
        (
            "parents_terminal",
            CHILD,
            [replace(PARENT, status="Stopped")],
            [replace(PARENT, status="InProgress")],
        ),
        ("same_objective", CHILD, [PARENT], [replace(PARENT, metric="loss")]),
        ("same_objective", CHILD, [PARENT], [replace(PARENT, objective_type="Minimize")]),
        (
            "same_names",
            CHILD,
            [replace(PARENT, space=Space([LR]), static={"epochs": "3", "batch": "8"})],
            [replace(PARENT, space=Space([LR]))],
        ),
        ("same_types", CHILD, [PARENT], [replace(PARENT, space=Space([LR, Integer("batch", "8", "16")]))]),
        (
            "few_static_changes",
            replace(CHILD, static=MANY),
            [replace(PARENT, static={**MANY, "s0": "2"})],
            [replace(PARENT, static=dict.fromkeys(MANY, "2"))],
        ),
        ("identical_image", CHILD, [PARENT], [replace(PARENT, image="image:2")]),
        ("identical_data", CHILD, [PARENT], [replace(PARENT, inputs="s3://other")]),
        ("few_parent_jobs", CHILD, [replace(PARENT, jobs=750)], [replace(PARENT, jobs=751)]),
    ],
)
def test_rule(rule: str, child: Study, good: list[Study], bad: list[Study]) -> None:
    check = getattr(warmstart, rule)
    assert check in warmstart.RULES
    assert check(child, good, "IdenticalDataAndAlgorithm") is None
    text = check(child, bad, "IdenticalDataAndAlgorithm")
    assert text and text in faults(child, bad, "IdenticalDataAndAlgorithm")


def test_strategies_that_take_a_warm_start() -> None:
    for strategy, taken in (("Bayesian", True), ("Random", True), ("Grid", False), ("Hyperband", False)):
        assert (faults(replace(CHILD, strategy=strategy), [PARENT], "TransferLearning") == []) is taken


def test_transfer_takes_other_data_image_and_ranges() -> None:
    other = replace(PARENT, image="image:2", inputs="s3://other", space=Space([replace(LR, high="1"), BATCH]))
    assert faults(CHILD, [other], "TransferLearning") == []


def test_tunable_made_static_counts_for_each_value() -> None:
    child = replace(CHILD, space=Space([LR]), static={"epochs": "3", "batch": "8"})
    assert warmstart.few_static_changes(child, [PARENT], "TransferLearning") is None


def test_merge_keeps_what_can_be_compared() -> None:
    history = [
        Observation({"lr": "1e-4", "batch": "8"}, 0.9),
        Observation({"lr": "1e-4", "batch": "16"}, 0.8),
        Observation({"lr": "1e-6", "batch": "8"}, 0.7),
    ]
    assert merge(CHILD.space, [(PARENT, history)], {"epochs": "3"}) == history[:2]
    assert merge(CHILD.space, [(PARENT, history)], {"epochs": "4"}) == []
    narrowed = merge(Space([LR]), [(PARENT, history)], {"epochs": "3", "batch": "8"})
    assert [each.objective for each in narrowed] == [0.9]


def test_merge_reads_a_value_that_the_parent_held_static() -> None:
    parent = replace(PARENT, space=Space([LR]), static={"epochs": "3", "batch": "16"})
    merged = merge(CHILD.space, [(parent, [Observation({"lr": "1e-4"}, 0.9)])], {"epochs": "3"})
    assert merged == [Observation({"lr": "1e-4", "batch": "16"}, 0.9)]


def test_overall_best() -> None:
    first, second = (
        [Observation({}, 0.5), Observation({}, None)],
        [Observation({}, 0.7), Observation({}, 0.6)],
    )
    assert warmstart.overall_best([first, second], maximize=True) == (1, 0)
    assert warmstart.overall_best([first, second], maximize=False) == (0, 0)
    assert warmstart.overall_best([[Observation({}, None)]], maximize=True) is None
