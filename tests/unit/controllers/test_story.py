"""What is read from a job folder, and how often."""

from __future__ import annotations

import json
import math
from pathlib import Path

from clary.agent import contract
from clary.controllers.endings import tidy
from clary.controllers.story import read_news


def test_whole_lines_are_read_once(tmp_path: Path) -> None:
    metrics = tmp_path / contract.METRICS
    metrics.write_text('{"at": 1.0, "name": "loss", "value": 2.0}\n{"at": 2')
    news = read_news(tmp_path, {}, series="s")
    assert [point.value for point in news.points] == [2.0]
    assert news and not read_news(tmp_path, news.read, series="s")


def test_a_metric_may_be_no_finite_number(tmp_path: Path) -> None:
    lines = [json.dumps({"at": 1.0, "name": "loss", "value": text}) for text in ("nan", "-inf")]
    (tmp_path / contract.METRICS).write_text("".join(f"{line}\n" for line in lines))
    values = [point.value for point in read_news(tmp_path, {}, series="s").points]
    assert math.isnan(values[0]) and values[1] == -math.inf


def test_lines_that_are_dropped_are_news_and_read_once(tmp_path: Path) -> None:
    """Else they would be read, and complained about, ten times a second."""
    (tmp_path / contract.STORY).write_bytes(b"spoiled\xff\n")
    news = read_news(tmp_path, {}, series="s")
    assert news and not news.events
    assert not read_news(tmp_path, news.read, series="s")


def test_a_folder_without_a_story_has_no_news(tmp_path: Path) -> None:
    assert not read_news(tmp_path, {}, series="s")


def test_only_the_story_of_a_job_is_kept(tmp_path: Path) -> None:
    for name in (contract.ML, "env", "tmp", "home", "nothing", contract.LOGS):
        (tmp_path / name / "deep").mkdir(parents=True)
    for name in (contract.PLAN, contract.STOP, contract.STORY):
        (tmp_path / name).write_text("")
    tidy(tmp_path)
    assert {path.name for path in tmp_path.iterdir()} == {contract.LOGS, contract.STORY}
