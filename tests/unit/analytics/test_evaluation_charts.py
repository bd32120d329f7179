"""The charts of an evaluation: what is in them, that Vega draws them, and that both looks are whole."""

import re

import pytest

from clary.analytics.calibration import Bin, calibration
from clary.analytics.confusion import NAMED, WRITTEN, confusion
from clary.analytics.draw import draw
from clary.analytics.looks import DARK, LIGHT, specification
from clary.analytics.slices import Part, slices

BINS = [Bin(0.5, 0.75, 40, 0.66, 0.5, 0.35, 0.65), Bin(0.75, 1.0, 60, 0.9, 0.85, 0.74, 0.92)]
PARTS = [
    Part("label", "bad", 60, 0.8, 0.68, 0.88),
    Part("label", "good", 40, 0.9, 0.77, 0.96),
    Part("shop", "<b>&amp; 'co'", 100, 0.84, 0.76, 0.9),
]
VIEWS = {
    "confusion": confusion([[50, 10], [4, 36]], ["bad", "good"]),
    "calibration": calibration(BINS, subtitle="calibration error 4 %"),
    "slices": slices(PARTS, whole=0.84, metric="accuracy"),
}


def svg(view, look=LIGHT):
    pytest.importorskip("vl_convert")
    return draw(specification(view, look), "svg").decode()


def written(picture):
    return re.findall(r"<(?:text|tspan)[^>]*>([^<]*)</(?:text|tspan)>", picture)


def test_a_confusion_matrix_has_counts_and_shares_of_rows():
    texts = written(svg(VIEWS["confusion"]))
    assert {"50", "10", "4", "36", "83.3%", "16.7%", "10.0%", "90.0%"} <= set(texts)
    assert "86 of 100 right; colour and percentage:" in texts
    assert texts.count("bad") == texts.count("good") == 2


def test_classes_of_one_name_stay_apart():
    cells = confusion([[1, 2], [3, 4]], ["same", "same"])["data"]["values"]
    assert len({(cell["label"], cell["predicted"]) for cell in cells}) == 4


def test_a_label_without_examples_has_no_shares():
    cells = confusion([[0, 0], [3, 1]], ["a", "b"])["data"]["values"]
    assert [cell["percent"] for cell in cells] == ["", "", "75.0%", "25.0%"]


@pytest.mark.parametrize("classes", [WRITTEN + 1, NAMED + 1])
def test_many_classes_lose_first_the_numbers_and_then_the_names(classes):
    matrix = [[7 * (i == j) for j in range(classes)] for i in range(classes)]
    texts = written(svg(confusion(matrix, [f"class {n}" for n in range(classes)])))
    assert "7" not in texts
    assert ("class 3" in texts) == (classes <= NAMED)


def test_calibration_shows_each_bin_and_the_diagonal():
    view = VIEWS["calibration"]
    assert [row["right"] for row in view["data"]["values"]] == [0.5, 0.85]
    diagonal = view["vconcat"][0]["layer"][0]["data"]["values"]
    assert diagonal[0] == {"confidence": 0.5, "right": 0.5}
    assert "calibration error 4 %" in written(svg(view))


def test_slices_have_a_panel_a_column_and_the_number_of_examples():
    assert len(VIEWS["slices"]["vconcat"]) == 2
    texts = written(svg(VIEWS["slices"]))
    assert {"by label", "by shop", "60", "40", "100", "&lt;b&gt;&amp;amp; 'co'"} <= set(texts)
    assert "line: all examples (84.0%)" in texts


@pytest.mark.parametrize("name", VIEWS)
def test_dark_is_another_look_of_the_same_picture(name):
    light, dark = svg(VIEWS[name]), svg(VIEWS[name], DARK)
    assert written(light) == written(dark) and light != dark
    assert LIGHT.ink.lower() not in dark.lower()


@pytest.mark.parametrize("name", VIEWS)
def test_a_picture_is_a_png(name):
    pytest.importorskip("vl_convert")
    assert draw(specification(VIEWS[name]), "png").startswith(b"\x89PNG")
