from __future__ import annotations

import json
from pathlib import Path

import pytest

from clary.agent.contract import MetricDefinition
from clary.agent.metrics import Metrics
from clary.agent.story import Lines


def find(folder: Path, line: str, *regexes: str) -> list[float | str]:
    notes: list[str] = []
    definitions = [MetricDefinition(str(number), regex) for number, regex in enumerate(regexes)]
    Metrics(definitions, Lines(folder / "metrics"), notes.append).search(line, 12.5)
    entries = [json.loads(text) for text in (folder / "metrics").read_text().splitlines()]
    assert all(entry["at"] == 12.5 for entry in entries)
    return [entry["value"] for entry in entries]


@pytest.mark.parametrize(
    ("line", "regex", "values"),
    [
        ("loss=0.5;", "loss=(.*?);", [0.5]),
        ("{'eval_loss': '0.6879', 'x': 1}", "'eval_loss': (.*?),", [0.6879]),
        ("acc 1e-3", r"acc ([0-9\.]+(e\-)?[0-9]*)", [1e-3]),
        ("17", r"\d+", [17.0]),
        ("loss=none;", "loss=(.*?);", []),
        ("loss=nan;", "loss=(.*?);", ["nan"]),
        ("loss=-Infinity;", "loss=(.*?);", ["-inf"]),
        ("loss=1e999;", "loss=(.*?);", ["inf"]),
        ("other", "loss=(.*?);", []),
        ("x", "(y)?x", []),
    ],
)
def test_the_first_group_is_the_value(
    tmp_path: Path, line: str, regex: str, values: list[float | str]
) -> None:
    assert find(tmp_path, line, regex) == values


def test_a_runaway_expression_is_given_up_and_the_others_go_on(tmp_path: Path) -> None:
    notes: list[str] = []
    definitions = [MetricDefinition("bad", "(a+)+$"), MetricDefinition("good", "v=(.*)")]
    metrics = Metrics(definitions, Lines(tmp_path / "metrics"), notes.append)
    for number in range(3):
        metrics.search("a" * 60 + f"! v={number}", 1.0)
    assert [json.loads(line)["value"] for line in (tmp_path / "metrics").read_text().splitlines()] == [
        0,
        1,
        2,
    ]
    assert notes == ["The regex of metric 'bad' took over 1 s for one line and was given up."]


@pytest.mark.parametrize(
    ("line", "regex", "shown"), [("v=one", "v=(.*)", "one"), ("v=", "v=(.*)", ""), ("v=7", "v=[0-9]", "v=7")]
)
def test_a_match_that_is_no_number_is_told_once(tmp_path: Path, line: str, regex: str, shown: str) -> None:
    notes: list[str] = []
    metrics = Metrics([MetricDefinition("v", regex)], Lines(tmp_path / "metrics"), notes.append)
    for _ in range(3):
        metrics.search(line, 1.0)
    assert notes == [
        f"The regex of metric 'v' found {shown!r}, which is no number: such values are left out."
    ]
    assert (tmp_path / "metrics").read_text() == ""


def test_a_number_that_is_not_finite_is_told_once_and_kept(tmp_path: Path) -> None:
    notes: list[str] = []
    metrics = Metrics([MetricDefinition("v", "v=(.*)")], Lines(tmp_path / "metrics"), notes.append)
    for text in ("1", "nan", "inf", "2", "none"):
        metrics.search(f"v={text}", 1.0)
    values = [json.loads(line)["value"] for line in (tmp_path / "metrics").read_text().splitlines()]
    assert values == [1.0, "nan", "inf", 2.0]
    assert [note.partition(",")[0] for note in notes] == [
        "Metric 'v' was 'nan'",
        "The regex of metric 'v' found 'none'",
    ]
