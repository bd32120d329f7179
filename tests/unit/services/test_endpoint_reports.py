from __future__ import annotations

from typing import Any

import pytest

from clary.services.endpoint_reports import told

ENCODER = {
    "workers": 2,
    "way": "padding-free",
    "precision": "int8",
    "device": "cpu",
    "task": "text-classification",
}


@pytest.mark.parametrize(
    ("report", "sentence"),
    [
        ({}, ""),
        (ENCODER, "padding-free, text-classification, int8, on cpu, 2 workers"),
        (
            {**ENCODER, "workers": 1, "agreement": "99.4 % of 500 labels as in fp32"},
            "padding-free, text-classification, int8, on cpu, 1 worker: 99.4 % of 500 labels as in fp32",
        ),
        (
            {"way": "padded", "agreement": {"texts": 500, "labels_equal": 0.994, "largest_change": 0.05123}},
            "padded: 99.4 % of 500 answers as in fp32, largest change 0.051",
        ),
        ({"way": "own", "agreement": {"labels": 0.994, "of": 500}}, "own: labels 0.994, of 500"),
        ({"way": "padded", "advice": "bf16 would be faster"}, "padded; bf16 would be faster"),
        ({"models": ["a", "b"], "workers": 3, "version": "1.2"}, "3 workers, version 1.2"),
        ({"agreement": None, "way": None}, ""),
    ],
)
def test_a_report_is_told_in_one_sentence(report: dict[str, Any], sentence: str) -> None:
    assert told(report) == sentence
