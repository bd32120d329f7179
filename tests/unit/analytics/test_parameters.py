import pytest

from clary.analytics.parameters import importance, parallel
from clary.analytics.reading import read
from tests.unit.analytics.samples import FOUR, document


def test_the_weightiest_parameter_comes_first():
    study = read(document(FOUR, 30))
    rows = importance(study.definitions[0], width=200)["data"]["values"]
    shares = [row["share"] for row in rows]
    assert shares == sorted(shares, reverse=True)
    assert {row["name"]: row["share"] for row in rows} == {
        name: response.importance for name, response in study.definitions[0].responses.items()
    }


def test_a_line_goes_through_a_jobs_values_and_ends_at_its_objective():
    study = read(document(FOUR, 30))
    rows = parallel(study, 0, width=400)["data"]["values"]
    with_value = [child for child in study.children if child.objective is not None]
    assert len(rows) == 5 * len(with_value)
    best = [row for row in rows if row["best"]]
    assert [row["axis"] for row in best] == [0, 1, 2, 3, 4]
    assert best[-1]["at"] == 1.0
    definition = study.definitions[0]
    expected = [each.place(study.best.values[each.name]) for each in definition.parameters]
    assert [row["at"] for row in best[:-1]] == pytest.approx(expected)


@pytest.mark.parametrize("maximize", [True, False])
def test_the_best_lie_on_top_and_are_dark(maximize):
    study = read(document(FOUR, 30, maximize=maximize))
    view = parallel(study, 0, width=400)
    drawn = [row["objective"] for row in view["data"]["values"] if row["axis"] == 0]
    assert drawn == sorted(drawn, reverse=not maximize)
    assert view["layer"][1]["encoding"]["color"]["scale"]["reverse"] is maximize


def test_one_value_only_is_no_division_by_zero():
    page = document(FOUR, 3)
    for child in page["children"]:
        child["objective"] = 0.5
    rows = parallel(read(page), 0, width=400)["data"]["values"]
    assert {row["at"] for row in rows if row["axis"] == 4} == {0.5}
