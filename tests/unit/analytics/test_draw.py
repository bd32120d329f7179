from __future__ import annotations

import pytest

from clary.analytics.draw import draw

pytest.importorskip("vl_convert")


@pytest.mark.parametrize("kind", ["png", "svg"])
def test_characters_that_xml_has_no_place_for_do_not_end_the_process(kind: str) -> None:
    odd = "odd\x1b\x00\ufffe"
    chart = {
        "data": {"values": [{odd: "a\x01b", "y": 1}]},
        "mark": "bar",
        "encoding": {
            "x": {"field": odd, "type": "nominal", "title": odd},
            "y": {"field": "y", "type": "quantitative"},
        },
    }
    drawn = draw(chart, kind)
    if kind == "svg":
        assert "odd\N{REPLACEMENT CHARACTER}" in drawn.decode()
        assert "a\N{REPLACEMENT CHARACTER}b" in drawn.decode()
