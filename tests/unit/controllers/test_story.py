"""What is read from a job folder, and how often."""

from __future__ import annotations

import json
import math
from pathlib import Path

from clary.agent import contract
from clary.controllers.endings import tidy
from clary.controllers.story import read_news
from clary.store.base import Point


def test_whole_lines_are_read_once(tmp_path: Path) -> None:
    metrics = tmp_path / contract.METRICS
    metrics.write_text('{"at": 1.0, "name": "loss", "value": 2.0}\n{"at": 2')
    news = read_news(tmp_path, {}, series="s", run="r")
    assert [point.value for point in news.points] == [2.0]
    assert news and not read_news(tmp_path, news.read, series="s", run="r")


def test_a_metric_may_be_no_finite_number(tmp_path: Path) -> None:
    lines = [json.dumps({"at": 1.0, "name": "loss", "value": text}) for text in ("nan", "-inf")]
    (tmp_path / contract.METRICS).write_text("".join(f"{line}\n" for line in lines))
    values = [point.value for point in read_news(tmp_path, {}, series="s", run="r").points]
    assert math.isnan(values[0]) and values[1] == -math.inf


def test_what_a_program_recorded_itself_belongs_to_its_run(tmp_path: Path) -> None:
    lines = [
        {"at": 1.0, "name": "loss", "value": 2.0},
        {"at": 1.0, "name": "loss", "value": 3.0, "step": 7, "of": "run"},
    ]
    (tmp_path / contract.METRICS).write_text("".join(f"{json.dumps(line)}\n" for line in lines))
    assert list(read_news(tmp_path, {}, series="s", run="r").points) == [
        Point("s", "loss", 1.0, 2.0),
        Point("r", "loss", 1.0, 3.0, 7),
    ]


def test_lines_that_are_dropped_are_news_and_read_once(tmp_path: Path) -> None:
    """Else they would be read, and complained about, ten times a second."""
    (tmp_path / contract.STORY).write_bytes(b"spoiled\xff\n")
    news = read_news(tmp_path, {}, series="s", run="r")
    assert news and not news.events
    assert not read_news(tmp_path, news.read, series="s", run="r")


def test_a_folder_without_a_story_has_no_news(tmp_path: Path) -> None:
    assert not read_news(tmp_path, {}, series="s", run="r")


def test_only_the_story_of_a_job_is_kept(tmp_path: Path) -> None:
    for name in (contract.ML, "env", "tmp", "home", "nothing", contract.LOGS):
        (tmp_path / name / "deep").mkdir(parents=True)
    for name in (contract.PLAN, contract.STOP, contract.STORY):
        (tmp_path / name).write_text("")
    tidy(tmp_path)
    assert {path.name for path in tmp_path.iterdir()} == {contract.LOGS, contract.STORY}
