from __future__ import annotations

import io

import numpy as np
from rich.console import Console

from clary.analytics.comparison import Figure, Predictions, Run, compare
from clary.cli.compare import document
from clary.cli.compare_table import table

EXAMPLES = np.array([str(index) for index in range(100)])


def run(name, right, **facts):
    scores = np.repeat([1.0, 0.0], [right, 100 - right])
    figures = {"accuracy": Figure(right / 100, right / 100 - 0.05, right / 100 + 0.05), "loss": Figure(0.2)}
    return Run(name, figures, facts, Predictions(EXAMPLES, {"accuracy": scores}))


def made(*runs):
    return compare(runs, "accuracy", np.random.default_rng(0))


def printed(comparison, notes=()):
    stream = io.StringIO()
    console = Console(file=stream, width=120)
    for part in table(comparison, notes):
        console.print(part, highlight=False)
    return stream.getvalue()


def test_leaderboard_sentence_and_differences():
    text = printed(made(run("b", 80, lr="0.1"), run("a[x]", 95, lr="0.2")), ["something"])
    lines = text.splitlines()
    assert lines[0] == "accuracy (higher is better)"
    assert lines[2].split()[:3] == ["1", "a[x]", "0.950"]
    assert "0.900 to 1.000" in lines[2] and "●" in lines[2] and "0.200" in lines[2]
    assert "a[x] leads b by 15.0 points of accuracy" in text
    assert "what differs" in text and "0.1" in text
    assert text.rstrip().endswith("note: something")


def test_runs_without_the_metric_come_last():
    text = printed(made(Run("empty", {}), run("a", 95)))
    assert text.splitlines()[3].split()[:3] == ["2", "empty", "-"]


def test_the_document_has_what_the_table_says():
    said = document(made(run("b", 80, lr="0.1"), run("a", 95, lr="0.2")), ["something"])
    assert [each["name"] for each in said["runs"]] == ["a", "b"]
    assert said["runs"][0]["metrics"]["accuracy"] == {"value": 0.95, "interval": [0.95 - 0.05, 0.95 + 0.05]}
    (finding,) = said["findings"]
    assert finding["is_real"] and finding["examples"] == 100
    assert finding["difference"] == 0.15 or abs(finding["difference"] - 0.15) < 1e-12
    assert said["differing"] == {"lr": ["0.2", "0.1"]}
    assert said["notes"] == ["something"]


def test_a_name_cannot_command_the_terminal():
    text = printed(made(run("b\x1b[2J", 80), run("a\x9b1m", 95, lr="\x07")), ["\x1b]0;title\x07"])
    assert not {"\x1b", "\x07", "\x9b"} & set(text)
    assert "a\N{REPLACEMENT CHARACTER}1m leads b\N{REPLACEMENT CHARACTER}[2J" in text
