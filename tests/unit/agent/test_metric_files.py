"""Metrics that a program writes into files: what is shipped, and what a program cannot do to the agent."""

from __future__ import annotations

import json
import os
import time
from pathlib import Path
from typing import Any

import pytest

from clary.agent import metric_files
from clary.agent.metric_files import FOLDER, MetricFiles
from clary.agent.places import Places
from clary.agent.story import Lines


class Shipped:
    def __init__(self, folder: Path) -> None:
        self.notes: list[str] = []
        self.path = folder / "metrics.jsonl"
        places = Places(folder, confined=False)
        places.make()
        self.folder = places.ml / FOLDER
        self.files = MetricFiles(places, Lines(self.path), self.notes.append, clock=lambda: 77.0)

    def write(self, *documents: Any, name: str = "12.json", end: str = "\n") -> None:
        with open(self.folder / name, "a", encoding="utf-8") as file:
            file.write("".join(f"{json.dumps(document)}{end}" for document in documents))

    @property
    def entries(self) -> list[dict[str, Any]]:
        return [json.loads(line) for line in self.path.read_text().splitlines()]

    @property
    def values(self) -> list[Any]:
        return [entry["value"] for entry in self.entries]


@pytest.fixture
def shipped(tmp_path: Path) -> Shipped:
    return Shipped(tmp_path.resolve())


def metric(value: Any = 0.5, **more: Any) -> dict[str, Any]:
    return {"MetricName": "loss", "Value": value, "Timestamp": 1763638996.5, **more}


def test_a_line_becomes_a_point_of_the_run(shipped: Shipped) -> None:
    shipped.write(
        metric(IterationNumber=3), {"MetricName": "Train:Loss %", "Value": 2}, metric(IterationNumber=None)
    )
    shipped.files.read()
    assert shipped.entries == [
        {"at": 1763638996.5, "name": "loss", "value": 0.5, "step": 3, "of": "run"},
        {"at": 77.0, "name": "Train:Loss %", "value": 2.0, "of": "run"},
        {"at": 1763638996.5, "name": "loss", "value": 0.5, "of": "run"},
    ]
    assert shipped.notes == []


def test_each_line_is_shipped_once_however_it_was_written(shipped: Shipped) -> None:
    text = "".join(f"{json.dumps(metric(number))}\n" for number in range(5)).encode()
    for first in range(0, len(text), 7):
        with open(shipped.folder / "1.json", "ab") as file:
            file.write(text[first : first + 7])
        shipped.files.read()
    shipped.files.read()
    assert shipped.values == [0.0, 1.0, 2.0, 3.0, 4.0]


def test_a_last_line_without_an_end_counts_when_the_program_is_over(shipped: Shipped) -> None:
    shipped.write(metric(1), metric(2), end="\n")
    shipped.write(metric(3), end="")
    shipped.files.start()
    shipped.files.finish()
    assert shipped.values == [1.0, 2.0, 3.0]


def test_files_are_read_while_the_program_runs(shipped: Shipped, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(metric_files, "PERIOD_S", 0.01)
    shipped.files.start()
    shipped.write(metric(1))
    deadline = time.monotonic() + 30
    while not shipped.values and time.monotonic() < deadline:
        time.sleep(0.01)
    assert shipped.values == [1.0]
    shipped.files.finish()
    assert shipped.values == [1.0]


def test_values_that_are_no_finite_number_are_written_as_text(shipped: Shipped) -> None:
    shipped.write(metric(float("nan")), metric(float("inf")))
    shipped.files.read()
    assert shipped.values == ["nan", "inf"]


@pytest.mark.parametrize(
    "line",
    [
        "no json",
        "[1]",
        "3",
        '{"MetricName": "loss"}',
        '{"MetricName": "loss", "Value": "0.5"}',
        '{"MetricName": "loss", "Value": true}',
        '{"MetricName": " ", "Value": 1}',
        '{"MetricName": 3, "Value": 1}',
        '{"MetricName": "loss", "Value": 1, "Timestamp": -1}',
        '{"MetricName": "loss", "Value": 1, "Timestamp": 1e300}',
        '{"MetricName": "loss", "Value": 1, "Timestamp": NaN}',
        '{"MetricName": "loss", "Value": 1, "IterationNumber": 0.5}',
        '{"MetricName": "loss", "Value": 1, "IterationNumber": -1}',
        '{"MetricName": "loss", "Value": 1, "IterationNumber": 9223372036854775808}',
        '{"MetricName": "loss", "Value": 1' + "0" * 400 + "}",
        "[" * 50_000,
        "\udcff\udcfe",
    ],
)
def test_a_line_that_is_no_metric_is_told_of_once(shipped: Shipped, line: str) -> None:
    with open(shipped.folder / "1.json", "ab") as file:
        file.write(f"{line}\n{line}\n\n".encode("utf-8", "surrogateescape"))
    shipped.write(metric(1), name="1.json")
    shipped.files.read()
    assert shipped.values == [1.0]
    (note,) = shipped.notes
    assert "'1.json' is no metric" in note
    assert len(note) < 400


def test_an_endless_line_is_cut_off(shipped: Shipped, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(metric_files, "LONGEST_LINE", 1000)
    monkeypatch.setattr(metric_files, "_AT_ONCE", 3000)
    with open(shipped.folder / "1.json", "ab") as file:
        file.write(b"x" * 100_000 + b"\n")
    shipped.write(metric(1), name="1.json")
    shipped.files.read(to_end=True)
    assert shipped.values == [1.0]
    assert len(shipped.notes) == 1


def test_links_pipes_and_folders_are_not_read(shipped: Shipped, tmp_path: Path) -> None:
    secret = tmp_path / "secret.json"
    secret.write_text(json.dumps(metric(9)) + "\n")
    (shipped.folder / "link.json").symlink_to(secret)
    os.mkfifo(shipped.folder / "pipe.json")
    (shipped.folder / "folder.json").mkdir()
    (shipped.folder / "notes.txt").write_text("mine")
    shipped.write(metric(1))
    shipped.files.read(to_end=True)
    assert shipped.values == [1.0]
    assert len(shipped.notes) == 1
    assert "cannot be read" in shipped.notes[0]


def test_a_link_in_place_of_the_folder_is_not_followed(shipped: Shipped, tmp_path: Path) -> None:
    elsewhere = tmp_path / "elsewhere"
    elsewhere.mkdir()
    (elsewhere / "1.json").write_text(json.dumps(metric(9)) + "\n")
    shipped.folder.rmdir()
    shipped.folder.symlink_to(elsewhere)
    shipped.files.read(to_end=True)
    assert shipped.values == []


def test_a_folder_that_is_gone_is_no_fault(shipped: Shipped) -> None:
    shipped.folder.rmdir()
    shipped.files.start()
    shipped.files.finish()
    assert (shipped.values, shipped.notes) == ([], [])


def test_a_file_begun_anew_is_read_anew(shipped: Shipped) -> None:
    shipped.write(metric(1), metric(2))
    shipped.files.read()
    (shipped.folder / "12.json").write_text(json.dumps(metric(3)) + "\n")
    shipped.files.read()
    assert shipped.values == [1.0, 2.0, 3.0]


def test_there_is_an_end_to_what_is_read(shipped: Shipped, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(metric_files, "MOST_FILES", 2)
    shipped.files._budget = 150
    for number in range(3):
        shipped.write(metric(number), metric(number), metric(number), name=f"{number}.json")
    shipped.files.read(to_end=True)
    shipped.files.read(to_end=True)
    assert shipped.values == [0.0, 0.0]
    assert len(shipped.notes) == 3  # too many files, too many bytes, and the line that was cut there
