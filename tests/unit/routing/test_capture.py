"""Captured requests and answers, as they lie in a bucket."""

from __future__ import annotations

import base64
import json
import logging
import re
from collections.abc import Iterator
from itertools import count
from pathlib import Path
from typing import Any

import pytest

from clary.objects.base import Bucket, Objects
from clary.objects.disk import DiskObjects
from clary.routing import capture as room
from clary.routing.capture import Capture, Captured, Side, capture_config, used_share
from clary.store.sql import open_store

CONFIG: dict[str, Any] = {
    "EnableCapture": True,
    "InitialSamplingPercentage": 100,
    "DestinationS3Uri": "s3://data/some/where/",
    "CaptureOptions": [{"CaptureMode": "Input"}, {"CaptureMode": "Output"}],
}
AT = 1_700_000_000.0  # 2023-11-14 22:13:20


@pytest.fixture
def objects(tmp_path: Path) -> Iterator[Objects]:
    ids = count()
    store = open_store(f"sqlite:///{tmp_path / 'clary.db'}")
    made = DiskObjects(store.engine, tmp_path / "objects", new_id=lambda digits: f"{next(ids):0{digits}x}")
    made.create_bucket(Bucket("data", 1.0))
    yield made
    store.close()


def make(objects: Objects, folder: Path, **more: Any) -> Capture:
    return Capture(objects, folder, lambda: AT, **{"used": lambda _: 0.5, **more})


def captured(number: int = 0, *, config: dict[str, Any] = CONFIG, **more: Any) -> Captured:
    sides = {
        "request": Side("text/csv; charset=utf-8", f"a,{number}".encode()),
        "answer": Side("application/json", b'{"x": "\xc3\xbc"}'),
    }
    told = {"inference_id": None, **sides, **more}
    return Captured(endpoint="shop", variant="blue", config=config, at=AT, **told)


def files(objects: Objects) -> dict[str, list[dict[str, Any]]]:
    found = {}
    for entry in objects.list("data").entries:
        with objects.open("data", entry.key) as opened:
            content = b"".join(opened.chunks(0, entry.size))
        found[entry.key] = [json.loads(line) for line in content.splitlines()]
    return found


def test_a_flush_is_a_file_of_lines_in_the_folder_of_its_hour(objects: Objects, tmp_path: Path) -> None:
    capture = make(objects, tmp_path)
    for number in range(3):
        capture.note(captured(number, inference_id=f"id-{number}"))
    capture.flush()
    ((key, lines),) = files(objects).items()
    assert re.fullmatch(r"some/where/shop/blue/2023/11/14/22/13-20-000-[0-9a-f-]{36}\.jsonl", key)
    assert [line["eventMetadata"]["inferenceId"] for line in lines] == ["id-0", "id-1", "id-2"]
    assert len({line["eventMetadata"]["eventId"] for line in lines}) == 3
    line = lines[1]
    assert line["eventVersion"] == "0"
    assert line["eventMetadata"]["inferenceTime"] == "2023-11-14T22:13:20Z"
    assert line["captureData"]["endpointInput"] == {
        "observedContentType": "text/csv; charset=utf-8",
        "mode": "INPUT",
        "data": base64.b64encode(b"a,1").decode(),
        "encoding": "BASE64",
    }
    capture.flush()
    assert len(files(objects)) == 1


def test_listed_content_types_are_text_unless_they_are_not(objects: Objects, tmp_path: Path) -> None:
    listed = {"CsvContentTypes": ["text/csv"], "JsonContentTypes": ["application/JSON"]}
    config = {**CONFIG, "CaptureContentTypeHeader": listed}
    capture = make(objects, tmp_path)
    capture.note(captured(config=config))
    capture.note(captured(config=config, answer=Side("application/json", b"\xff")))
    capture.flush()
    ((good, bad),) = files(objects).values()
    assert good["captureData"]["endpointInput"]["encoding"] == "CSV"
    assert good["captureData"]["endpointInput"]["data"] == "a,0"
    assert good["captureData"]["endpointOutput"]["data"] == '{"x": "ü"}'
    assert bad["captureData"]["endpointOutput"] == {
        "observedContentType": "application/json",
        "mode": "OUTPUT",
        "data": "/w==",
        "encoding": "BASE64",
    }


@pytest.mark.parametrize(
    ("modes", "sides"),
    [
        (["Input"], {"endpointInput"}),
        (["Output"], {"endpointOutput"}),
        (["InputAndOutput"], {"endpointInput", "endpointOutput"}),
    ],
)
def test_only_the_sides_asked_for(
    objects: Objects, tmp_path: Path, modes: list[str], sides: set[str]
) -> None:
    options = [{"CaptureMode": mode} for mode in modes]
    capture = make(objects, tmp_path)
    capture.note(captured(config={**CONFIG, "CaptureOptions": options}))
    capture.flush()
    ((line,),) = files(objects).values()
    assert set(line["captureData"]) == sides


def test_the_sample_is_as_large_as_asked(objects: Objects, tmp_path: Path) -> None:
    draws = iter([number / 100 for number in range(100)])
    capture = make(objects, tmp_path, draw=lambda: next(draws))
    config = {**CONFIG, "InitialSamplingPercentage": 20}
    assert sum(capture.wants(config) for _ in range(100)) == 20
    assert not make(objects, tmp_path, draw=lambda: 0.0).wants({**CONFIG, "InitialSamplingPercentage": 0})


def test_an_endpoint_captures_only_where_it_is_told_to() -> None:
    assert capture_config({"DataCaptureConfig": CONFIG}) == CONFIG
    assert capture_config({"DataCaptureConfig": {**CONFIG, "EnableCapture": False}}) is None
    assert capture_config({}) is None


def test_a_bucket_that_is_gone_harms_no_other(
    objects: Objects, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    capture = make(objects, tmp_path)
    capture.note(captured(config={**CONFIG, "DestinationS3Uri": "s3://gone/x"}))
    capture.note(captured())
    with caplog.at_level(logging.WARNING):
        capture.flush()
    assert len(files(objects)) == 1
    assert "shop/blue: 1 records are lost" in caplog.text


def test_a_full_disk_stops_capture_says_so_and_lets_it_go_on(
    objects: Objects, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    used = [0.95]
    capture = make(objects, tmp_path, used=lambda _: used[0])
    capture.note(captured())
    with caplog.at_level(logging.WARNING):
        capture.flush()
        capture.flush()
    assert files(objects) == {}
    assert not capture.wants(CONFIG)
    assert caplog.text.count("capture stops") == 1
    used[0] = 0.5
    capture.flush()
    assert capture.wants(CONFIG)


def test_a_large_buffer_asks_to_be_written_and_none_grows_without_end(
    objects: Objects, tmp_path: Path, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(room, "BUFFER_BYTES", 1000)
    monkeypatch.setattr(room, "MOST_BYTES", 3000)
    asked = []
    capture = make(objects, tmp_path, full=lambda: asked.append(True))
    for number in range(50):
        capture.note(captured(number))
    assert asked
    with caplog.at_level(logging.WARNING):
        capture.flush()
    ((lines),) = files(objects).values()
    assert 0 < len(lines) < 50
    assert f"{50 - len(lines)} records are lost" in caplog.text


def test_how_full_a_disk_is(tmp_path: Path) -> None:
    assert 0 < used_share(tmp_path) < 1
