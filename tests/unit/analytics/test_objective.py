import pytest

from clary.analytics.axis import axis_of
from clary.analytics.objective import against, history, timeline
from clary.analytics.reading import read
from tests.unit.analytics.samples import FOUR, ONE, document, of_two


def study(*children, maximize=True):
    page = document(ONE, 1, maximize=maximize)
    rows = [
        {
            "number": number,
            "name": f"bert-{number:03d}",
            "definition": 0,
            "values": {"learning_rate": "1e-4"},
            "status": status,
            "objective": objective,
            "started": 1000.0,
            "ended": ended,
        }
        for number, (status, objective, ended) in enumerate(children, 1)
    ]
    return read({**page, "children": rows})


def timed(study):
    return timeline(study, axis_of(study))


def test_the_best_so_far_follows_the_ends_not_the_numbers():
    rows, unit = timed(
        study(
            ("Completed", 0.5, 1030.0),
            ("Completed", 0.7, 1010.0),
            ("Failed", 0.9, 1020.0),
            ("Stopped", 0.8, 1040.0),
        )
    )
    assert unit == "seconds"
    assert [(row["number"], row["when"], row["best"]) for row in rows] == [
        (2, 10.0, 0.7),
        (3, 20.0, 0.7),
        (1, 30.0, 0.7),
        (4, 40.0, 0.8),
    ]


def test_less_is_better_when_minimizing():
    rows, _ = timed(study(("Completed", 0.5, 1010.0), ("Completed", 0.7, 1020.0), maximize=False))
    assert [row["best"] for row in rows] == [0.5, 0.5]


def test_no_best_before_the_first_value():
    rows, _ = timed(study(("Failed", None, 1010.0), ("Completed", 0.7, 1020.0)))
    assert [row["best"] for row in rows] == [None, 0.7]


@pytest.mark.parametrize(
    ("seconds", "unit", "when"),
    [(90.0, "seconds", 90.0), (600.0, "minutes", 10.0), (7200.0, "hours", 2.0), (864000.0, "days", 10.0)],
)
def test_the_unit_of_time_follows_the_length(seconds, unit, when):
    rows, said = timed(study(("Completed", 0.5, 1000.0 + seconds)))
    assert (said, rows[0]["when"]) == (unit, when)


def test_a_job_without_a_value_stands_on_the_lower_edge():
    view = history(study(("Completed", 0.5, 1010.0), ("Failed", None, 1020.0), ("Completed", 0.6, 1030.0)))
    (low, high) = view["layer"][1]["encoding"]["y"]["scale"]["domain"]
    assert low < 0.5
    assert high > 0.6
    assert [row["at"] for row in view["data"]["values"]] == [0.5, low, 0.6]


def test_only_the_ends_there_are_have_a_legend():
    view = history(study(("Completed", 0.5, 1010.0), ("Failed", None, 1020.0)))
    assert view["layer"][1]["encoding"]["shape"]["scale"]["domain"] == ["completed", "failed"]


def test_the_band_is_the_belief_in_the_parameters_own_values():
    page = document(ONE, 12)
    (response,) = page["definitions"][0]["belief"]["responses"]
    view = against(read(page), 0, read(page).definitions[0].parameters[0], width=300, height=200)
    band = view["layer"][0]["data"]["values"]
    assert [row["x"] for row in band] == [float(text) for text in response["values"]]
    assert [row["mean"] for row in band] == list(response["mean"])
    assert [(row["low"], row["high"]) for row in band] == list(
        zip(response["low"], response["high"], strict=True)
    )
    assert view["layer"][0]["encoding"]["x"]["scale"]["type"] == "log"
    points = [row["x"] for row in view["data"]["values"]]
    assert points == [float(c["values"]["learning_rate"]) for c in page["children"] if "status" in c]


def test_categories_stand_apart_and_their_jobs_beside_each_other():
    study = read(document(FOUR, 30))
    kind = study.definitions[0].parameters[-1]
    view = against(study, 0, kind, width=300, height=200)
    by_number = {child.number: child for child in study.children}
    for row in view["data"]["values"]:
        index = kind.categories.index(by_number[row["number"]].values["optimizer"].strip('"'))
        assert abs(row["x"] - index) <= 0.35
    assert len({row["x"] for row in view["data"]["values"]}) == 29
    assert [row["x"] for row in view["layer"][0]["data"]["values"]] == [0.0, 1.0, 2.0]


def test_towards_one_the_axis_shows_the_values_themselves():
    study = read(document(FOUR, 30))
    momentum = study.definitions[0].parameters[1]
    view = against(study, 0, momentum, width=300, height=200)
    first = next(child for child in study.children if child.number == view["data"]["values"][0]["number"])
    assert view["data"]["values"][0]["x"] == pytest.approx(1 - float(first.values["momentum"]))
    x = view["layer"][0]["encoding"]["x"]
    assert x["scale"]["reverse"] is True
    assert x["axis"]["labelExpr"].startswith("format(1 - datum.value")


def test_a_panel_shows_the_jobs_of_its_algorithm():
    study = read(of_two())
    view = against(study, 1, study.definitions[1].parameters[0], width=300, height=200)
    assert {row["algorithm"] for row in view["data"]["values"]} == {"large"}
