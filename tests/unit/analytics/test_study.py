"""Whole specifications, compiled by the real Vega-Lite. Its warnings go to file descriptor 2."""

import json
import struct
import sys

import pytest

from clary.analytics.draw import FORMATS, CannotDraw, draw
from clary.analytics.reading import read
from clary.analytics.study import specification
from tests.unit.analytics.samples import FOUR, ONE, document, of_two

vl_convert = pytest.importorskip("vl_convert")

EQUAL = {"ContinuousParameterRanges": [{"Name": "a[0].b 'c'", "MinValue": "1", "MaxValue": "1"}]}
LONG = {
    "CategoricalParameterRanges": [
        {"Name": "datum.value", "Values": ["a 'very' long value", 'another "long" value', "<third> & last"]}
    ],
    "IntegerParameterRanges": [
        {"Name": f"layer-{n}", "MinValue": "1", "MaxValue": "1024", "ScalingType": "Logarithmic"}
        for n in range(5)
    ],
}


def diverged(page):
    page["children"][0]["objective"] = 1e9
    page["children"][1] = {key: value for key, value in page["children"][1].items() if key != "objective"}
    return page


PAGES = {
    "one parameter": lambda: document(ONE, 30),
    "four": lambda: document(FOUR, 30),
    "minimized": lambda: document(FOUR, 30, maximize=False),
    "five jobs": lambda: document(ONE, 5),
    "750 jobs": lambda: document(FOUR, 750),
    "one diverged": lambda: diverged(document(FOUR, 30, maximize=False)),
    "none has ended": lambda: document(ONE, 1),
    "no jobs": lambda: {**document(ONE, 1), "children": []},
    "two algorithms": of_two,
    "names that Vega could read as syntax": lambda: document(EQUAL, 6),
    "many parameters": lambda: document(LONG, 9),
}


@pytest.fixture(params=PAGES)
def page(request):
    return PAGES[request.param]()


def test_it_compiles_without_a_warning(page, capfd):
    made = specification(read(page))
    svg = draw(made, "svg").decode()
    assert capfd.readouterr() == ("", "")
    assert "NaN" not in svg
    assert "undefined" not in svg
    assert f"{page['name']}: m" in svg


def test_it_is_plain_json(page):
    made = specification(read(page))
    assert json.loads(draw(made, "json")) == made
    assert made["$schema"].endswith("/v5.json")


def test_the_headline_says_how_it_stands():
    study = read(document(FOUR, 30))
    title = specification(study)["title"]
    assert title["text"] == "bert: maximize eval_f1"
    first, second = title["subtitle"]
    assert first == "Bayesian, InProgress; 30 jobs: 23 completed, 3 stopped early, 3 failed, 1 running"
    assert second.startswith(f"best: job {study.best.number} with 0.9002 at learning_rate = 6.742e-5")
    assert second.endswith("optimizer = adamw")


def test_every_chart_is_there():
    svg = draw(specification(read(of_two())), "svg").decode()
    for words in (
        "eval_f1 over time",
        "Algorithm small",
        "Algorithm large",
        "Importance",
        "Parallel coordinates",
    ):
        assert words in svg
    for words in (
        "learning_rate (logarithmic)",
        "momentum (logarithmic towards 1)",
        "batch-size",
        "optimizer",
    ):
        assert words in svg


def test_pictures_and_a_page_that_works_offline():
    made = specification(read(document(ONE, 5)))
    png = draw(made, "png")
    width, height = struct.unpack(">II", png[16:24])
    assert png[:8] == b"\x89PNG\r\n\x1a\n"
    assert 1700 < width < 2600
    assert height > 1500
    html = draw(made, "html").decode()
    assert "<script src=" not in html
    assert "vegaEmbed" in html


def test_without_the_library_the_words_say_what_to_install(monkeypatch):
    monkeypatch.setitem(sys.modules, "vl_convert", None)
    made = specification(read(document(ONE, 5)))
    for kind in set(FORMATS) - {"json"}:
        with pytest.raises(CannotDraw, match=r"pip install 'clary\[plots\]'"):
            draw(made, kind)
    assert json.loads(draw(made, "json")) == made


def test_another_kind_is_refused():
    with pytest.raises(ValueError, match="'gif' is none of png, svg, html, json"):
        draw({}, "gif")


def test_a_warning_would_be_seen(capfd):
    number = {"field": "a", "type": "quantitative"}
    draw(
        {
            "data": {"values": [{"a": 1}]},
            "mark": {"type": "bar", "width": {"band": 0.5}},
            "encoding": {"x": number, "y": number},
        },
        "svg",
    )
    assert "WARN" in capfd.readouterr().err
