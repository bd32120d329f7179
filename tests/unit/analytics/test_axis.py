import math

import pytest

from clary.analytics.axis import Axis, axis_of, bounds
from clary.analytics.objective import against, history
from clary.analytics.parameters import parallel
from clary.analytics.reading import read
from tests.unit.analytics.samples import FOUR, ONE, document

LOSSES = [0.3 + 0.01 * (n % 7) for n in range(30)]


def inside(values, *, maximize=False):
    low, high = bounds(values, maximize=maximize)
    return [value for value in values if low <= value <= high]


@pytest.mark.parametrize("count", [1, 3, 6])
@pytest.mark.parametrize("large", [1e9, 40.0, math.inf])
def test_what_would_flatten_the_others_lies_outside(count, large):
    assert inside([*LOSSES, *(large * n for n in range(1, count + 1))]) == LOSSES


def test_the_shape_of_an_ordinary_study_stays_whole():
    """Most jobs near the optimum, the first ones far from it, two that collapsed."""
    study = [0.918 - 0.002 * (n % 4) for n in range(25)] + [0.80, 0.85, 0.75, 0.75, 0.9]
    assert inside(study, maximize=True) == study


def test_what_is_far_better_is_what_was_sought():
    assert inside([*LOSSES, 1e-6]) == [*LOSSES, 1e-6]
    assert inside([*LOSSES, 2.5], maximize=True) == [*LOSSES, 2.5]
    assert inside([*LOSSES, -1e9]) == LOSSES  # too good to be drawn beside the others


@pytest.mark.parametrize("values", [[], [1.0], [1.0, 1e9], [0.5] * 9, [0.91, 0.911, 0.75, 0.93]])
def test_few_or_equal_values_are_all_shown(values):
    assert inside(values, maximize=True) == values


def test_places_and_sides():
    axis = Axis(0.0, 1.0, 2)
    assert [axis.place(value) for value in (None, -5.0, 0.5, 1e9)] == [0.0, 0.0, 0.5, 1.0]
    assert [axis.side(value) for value in (None, -5.0, 0.5, 1e9)] == ["", "below", "", "above"]
    assert axis.told() == "2 jobs lie outside, shown as arrows at the edge"
    assert Axis(0.0, 1.0).told() == ""


def diverged(ranges=ONE):
    page = document(ranges, 30, maximize=False)
    page["children"][0]["objective"] = 1e9
    return read(page)


def test_a_diverged_job_is_an_arrow_at_the_edge_with_its_own_value():
    study = diverged()
    axis = axis_of(study)
    assert axis.high < 1.0
    (parameter,) = study.definitions[0].parameters
    for view in (history(study), against(study, 0, parameter, width=300, height=200)):
        assert "1 job lies outside" in view["title"]["subtitle"]
        (row,) = (row for row in view["data"]["values"] if row["outside"])
        assert (row["number"], row["objective"], row["at"]) == (1, 1e9, axis.high)
        filters = [layer.get("transform", [{}])[0].get("filter") for layer in view["layer"]]
        assert "datum.outside == ''" in filters
        arrow = view["layer"][filters.index("datum.outside == 'above'")]
        assert {"field": "objective", "type": "quantitative", "title": "eval_f1"} in arrow["encoding"][
            "tooltip"
        ]


def test_the_best_so_far_is_drawn_on_the_axis():
    rows = history(diverged())["data"]["values"]
    assert rows[0]["best"] == 1e9
    assert rows[0]["line"] == axis_of(diverged()).high
    assert rows[-1]["line"] == rows[-1]["best"]


def test_the_parallel_coordinates_keep_their_room():
    view = parallel(diverged(FOUR), 0, width=300)
    places = [line["at"] for line in view["data"]["values"] if line["axis"] == 4]
    assert max(places) == 1.0
    assert len({round(place, 2) for place in places}) > 15
    assert "1 outside" in view["title"]["subtitle"]
