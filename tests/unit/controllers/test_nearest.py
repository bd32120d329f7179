"""Lines of a log that look like what a regular expression seeks."""

from __future__ import annotations

from pathlib import Path

import pytest

from clary.controllers.nearest import LONGEST_LINE, explain, literal, nearest

LOG = [
    "Downloading the data",
    "{'loss': 0.41, 'epoch': 1.0}",
    "{'eval_f1_score': 0.91, 'eval_runtime': 3.2}",
    "F1 on the test set: 0.91",
    "saved",
]


@pytest.mark.parametrize(
    ("regex", "text"),
    [
        (r"'eval_f1': ([0-9.]+)", "'eval_f1': "),
        (r"f1=(.*?);", "f1=;"),
        (r"^val_acc\s*[:=]\s*(\S+)$", "val_acc"),
        (r"loss \(total\) (\d+)", "loss (total) "),
        (r"(.*)", ""),
    ],
)
def test_what_stands_for_itself(regex: str, text: str) -> None:
    assert literal(regex) == text


@pytest.mark.parametrize(
    ("regex", "metric", "first"),
    [
        (r"'eval_f1': ([0-9.]+)", "eval_f1", LOG[2]),
        (r"f1 on the test set = ([0-9.]+)", "f1", LOG[3]),
        (r"training_loss=([0-9.]+)", "loss", LOG[1]),
    ],
)
def test_the_most_similar_line_comes_first(regex: str, metric: str, first: str) -> None:
    assert nearest(regex, LOG, metric=metric)[0] == first


def test_long_lines_are_cut_and_repeated_ones_shown_once() -> None:
    found = nearest("f1=(.*)", ["f1 : 1" + "x" * 1000] * 5, metric="f1")
    assert len(found) == 1
    assert len(found[0]) == LONGEST_LINE


def test_the_sentence_names_the_regex_and_the_lines(tmp_path: Path) -> None:
    (tmp_path / "algo-1.log").write_text("".join(f"1700000000000\t{line}\n" for line in LOG))
    told = explain(tmp_path, "eval_f1", "'eval_f1': ([0-9.]+)")
    assert "'eval_f1'" in told
    assert "eval_f1_score" in told
    assert len(told) < 1024


def test_an_empty_log_is_said_to_be_empty(tmp_path: Path) -> None:
    assert "The log is empty" in explain(tmp_path / "none", "f1", "f1=(.*)")


def test_a_regex_that_matched_no_number_is_not_said_to_match_nothing(tmp_path: Path) -> None:
    note = "clary: The regex of metric 'f1' found 'none', which is no number: such values are left out."
    (tmp_path / "algo-1.log").write_text(f"1700000000000\tf1=none\n1700000000001\t{note}\n")
    told = explain(tmp_path, "f1", "f1=(.*)")
    assert "found 'none', which is no number" in told
    assert "matched no line" not in told
