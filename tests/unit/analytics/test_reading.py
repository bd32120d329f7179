import itertools

import pytest

from clary.analytics.reading import Parameter, read, scale_of, shown
from tests.unit.analytics.samples import FOUR, ONE, document, of_two


def test_a_study_is_read_whole():
    study = read(document(FOUR, 30))
    assert (study.name, study.strategy, study.metric, study.maximize) == ("bert", "Bayesian", "eval_f1", True)
    assert [child.number for child in study.children] == list(range(1, 31))
    by_number = {child.number: child for child in study.children}
    assert by_number[5].outcome == "stopped early"
    assert by_number[5].why == "worse than the median"
    assert (by_number[4].outcome, by_number[4].objective, by_number[4].why) == (
        "failed",
        None,
        "out of memory",
    )
    assert by_number[30].outcome == "running"
    scales = {each.name: each.scale for each in study.definitions[0].parameters}
    assert scales == {
        "learning_rate": "log",
        "momentum": "reverse-log",
        "batch-size": "linear",
        "optimizer": "category",
    }
    assert set(study.definitions[0].responses) == set(scales)


def test_the_best_is_the_earlier_of_two_equals_and_never_a_failed_one():
    page = document(ONE, 12)
    for child in page["children"]:
        child["objective"] = 0.5
    page["children"][2]["objective"] = page["children"][6]["objective"] = 0.9
    page["children"][3]["objective"] = 1.0  # failed
    assert read(page).best.number == 3
    page["definitions"][0]["objective"]["Type"] = "Minimize"
    assert read(page).best.number == 1


@pytest.mark.parametrize(
    ("facts", "outcome", "why"),
    [
        ({"objective": 0.5}, "completed", ""),
        ({"diverged": True, "reason": "it ended in nan"}, "no value", "it ended in nan"),
        ({"status": "Stopped", "objective": 0.5}, "stopped", ""),
        ({"status": "Stopped", "objective": 0.5, "decision": {"reason": "worse"}}, "stopped early", "worse"),
        (
            {
                "status": "Stopped",
                "objective": 0.5,
                "decision": {"reason": "MaxResource (9) is reached", "finished": True},
            },
            "reached MaxResource",
            "MaxResource (9) is reached",
        ),
        (
            {
                "status": "Stopped",
                "reason": "it ended in nan",
                "decision": {"reason": "MaxResource (9) is reached", "finished": True},
            },
            "no value",
            "it ended in nan",
        ),
    ],
)
def test_how_a_job_ended(facts, outcome, why):
    child = {"number": 1, "name": "bert-001", "values": {"learning_rate": "1e-4"}, "status": "Completed"}
    (read_child,) = read({**document(ONE, 1), "children": [{**child, **facts}]}).children
    assert (read_child.outcome, read_child.why) == (outcome, why)
    assert read_child.counts == ("objective" in facts)


def test_without_belief_and_without_children():
    page = document(ONE, 1)
    assert page["definitions"][0]["belief"] is None
    assert read(page).definitions[0].responses == {}
    assert read({**page, "children": []}).best is None


def test_children_belong_to_their_algorithm():
    study = read(of_two())
    assert [len(study.of(index)) for index in (0, 1)] == [12, 12]
    assert [each.name for each in study.definitions] == ["small", "large"]


@pytest.mark.parametrize(
    ("scaling", "low", "high", "scale"),
    [
        ("Auto", 0.001, 0.1, "log"),
        ("Auto", 0.001, 0.0999, "linear"),
        ("Auto", 0.0, 0.9, "linear"),
        ("Linear", 0.001, 0.1, "linear"),
        ("Logarithmic", 0.1, 0.2, "log"),
        ("ReverseLogarithmic", 0.0, 0.9, "reverse-log"),
    ],
)
def test_scales_are_those_that_the_strategies_search_on(scaling, low, high, scale):
    assert scale_of(scaling, low, high) == scale


@pytest.mark.parametrize(
    ("parameter", "text", "place"),
    [
        (Parameter("a", "linear", 0.0, 10.0), "2.5", 0.25),
        (Parameter("a", "log", 1e-6, 1e-2), "1e-4", 0.5),
        (Parameter("a", "reverse-log", 0.0, 0.9999), "0.99", 0.5),
        (Parameter("a", "linear", 3.0, 3.0), "3", 0.5),
        (Parameter("a", "linear", 0.0, 1.0), "7", 1.0),
        (Parameter("a", "category", categories=("x", "y", "z")), '"y"', 0.5),
    ],
)
def test_places_between_the_ends(parameter, text, place):
    assert parameter.place(text) == pytest.approx(place)


def test_places_rise_with_the_values():
    for scale in ("linear", "log", "reverse-log"):
        places = [Parameter("a", scale, 0.1, 0.9).place(str(n / 10)) for n in range(1, 10)]
        assert places[0] == pytest.approx(0.0)
        assert places[-1] == pytest.approx(1.0)
        assert all(one < other for one, other in itertools.pairwise(places))


@pytest.mark.parametrize(
    ("text", "seen"), [('"adam"', "adam"), ("adam", "adam"), ('"', '"'), ('""', ""), ("it's", "it's")]
)
def test_categories_are_shown_without_their_quotes(text, seen):
    assert shown(text) == seen
