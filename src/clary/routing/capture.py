"""Data capture: requests and answers as JSON lines in a bucket.

`<destination>/<endpoint>/<variant>/yyyy/mm/dd/hh/<minute>-<second>-<id>.jsonl`, a file for each flush. Captured data
never stands in the way of an answer: what cannot be written is told in the log and dropped.
"""

from __future__ import annotations

import base64
import json
import logging
import random
import shutil
import threading
import uuid
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from hashlib import md5
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from clary.objects.base import Meta, Objects

log = logging.getLogger("clary.routing")

Document = Mapping[str, Any]

FULL = 0.9  # of the disk: beyond it nothing is captured
BUFFER_BYTES = 4 << 20  # of one variant: so much is written at once
MOST_BYTES = 128 << 20  # of all that waits to be written


@dataclass(frozen=True, slots=True)
class Side:
    """One half of an exchange; `content_type` is empty where none was told."""

    content_type: str
    data: bytes


@dataclass(frozen=True, slots=True)
class Captured:
    """`config` is the DataCaptureConfig of the endpoint's configuration; `at` is epoch seconds."""

    endpoint: str
    variant: str
    config: Document
    request: Side
    answer: Side
    inference_id: str | None
    at: float


@dataclass(slots=True)
class _Buffer:
    lines: list[bytes] = field(default_factory=list)
    size: int = 0


def capture_config(config: Document) -> Document | None:
    """What an endpoint configuration says of capture; None where it is off."""
    wanted: Document = config.get("DataCaptureConfig") or {}
    return wanted if wanted.get("EnableCapture", True) and wanted.get("DestinationS3Uri") else None


class Capture:
    """Gathers records until `flush` writes them. May be used by many threads at once."""

    def __init__(
        self,
        objects: Objects,
        folder: Path,
        now: Callable[[], float],
        *,
        draw: Callable[[], float] = random.random,
        used: Callable[[Path], float] | None = None,
        full: Callable[[], None] = lambda: None,
    ) -> None:
        """`folder` lies on the disk that holds the objects; `used` tells which share of that disk is taken.

        `full` is called when a buffer waits to be written before its time.
        """
        self._objects = objects
        self._folder = folder
        self._now = now
        self._draw = draw
        self._used = used or used_share
        self._full = full
        self._lock = threading.Lock()
        self._buffers: dict[tuple[str, str], _Buffer] = {}
        self._size = 0
        self._lost = 0
        self._is_stopped = False

    def wants(self, config: Document) -> bool:
        """Whether this request is one of the sample. `config` is that of `capture_config`."""
        return not self._is_stopped and self._draw() * 100 < config["InitialSamplingPercentage"]

    def note(self, captured: Captured) -> None:
        """Keep a record until the next flush; what finds no room is counted and told at the next flush."""
        line = record(captured)
        place = captured.config["DestinationS3Uri"], f"{captured.endpoint}/{captured.variant}"
        with self._lock:
            if self._size + len(line) > MOST_BYTES:
                self._lost += 1
                return
            buffer = self._buffers.setdefault(place, _Buffer())
            buffer.lines.append(line)
            buffer.size += len(line)
            self._size += len(line)
            is_full = buffer.size >= BUFFER_BYTES
        if is_full:
            self._full()

    def flush(self) -> None:
        """Write what was gathered, a file for each variant; and look whether the disk has room for more."""
        with self._lock:
            buffers, self._buffers = self._buffers, {}
            lost, self._lost, self._size = self._lost, 0, 0
        if lost:
            log.warning("data capture: %d records are lost: they came faster than they can be written", lost)
        self._look_at_disk()
        if self._is_stopped:
            return
        for (destination, name), buffer in buffers.items():
            try:
                self._write(destination, name, b"".join(buffer.lines))
            except Exception as error:  # noqa: BLE001  a broken capture must not break its endpoint
                log.warning("data capture of %s: %d records are lost: %s", name, len(buffer.lines), error)

    def _look_at_disk(self) -> None:
        used = self._used(self._folder)
        if (used > FULL) != self._is_stopped:
            self._is_stopped = used > FULL
            if self._is_stopped:
                log.warning("data capture stops: the disk of %s is %.0f %% full", self._folder, used * 100)
            else:
                log.warning("data capture goes on: the disk of %s is %.0f %% full", self._folder, used * 100)

    def _write(self, destination: str, name: str, data: bytes) -> None:
        url = urlsplit(destination)
        now = self._now()
        time = datetime.fromtimestamp(now, UTC)
        file = f"{time:%Y/%m/%d/%H}/{time:%M-%S}-{time.microsecond // 1000:03d}-{uuid.uuid4()}.jsonl"
        key = "/".join(part for part in (url.path.strip("/"), name, file) if part)
        etag = md5(data, usedforsecurity=False).hexdigest()
        with self._objects.stage() as staged:
            staged.write(data)
            meta = Meta({"ContentType": "application/jsonlines"})
            self._objects.put(url.netloc, key, staged, etag=etag, modified=now, meta=meta)


def record(captured: Captured) -> bytes:
    """The line of one exchange, with what the configuration wants of it."""
    modes = {option["CaptureMode"] for option in captured.config.get("CaptureOptions") or ()}
    types = captured.config.get("CaptureContentTypeHeader") or {}
    sides = {}
    if modes & {"Input", "InputAndOutput"}:
        sides["endpointInput"] = _side(captured.request, "INPUT", types)
    if modes & {"Output", "InputAndOutput"}:
        sides["endpointOutput"] = _side(captured.answer, "OUTPUT", types)
    time = datetime.fromtimestamp(captured.at, UTC)
    event = {"eventId": str(uuid.uuid4()), "inferenceTime": f"{time:%Y-%m-%dT%H:%M:%SZ}"}
    if captured.inference_id:
        event["inferenceId"] = captured.inference_id
    line = {"captureData": sides, "eventMetadata": event, "eventVersion": "0"}
    return json.dumps(line, ensure_ascii=False, separators=(",", ":")).encode() + b"\n"


def _side(side: Side, mode: str, types: Mapping[str, Sequence[str]]) -> Document:
    encoding, data = _encoded(side, types)
    return {"observedContentType": side.content_type, "mode": mode, "data": data, "encoding": encoding}


def _encoded(side: Side, types: Mapping[str, Sequence[str]]) -> tuple[str, str]:
    """Text only where the content type is listed, and the data are text."""
    kind = side.content_type.partition(";")[0].strip().lower()
    for encoding, member in (("CSV", "CsvContentTypes"), ("JSON", "JsonContentTypes")):
        if kind in {listed.strip().lower() for listed in types.get(member) or ()}:
            try:
                return encoding, side.data.decode()
            except UnicodeDecodeError:
                break
    return "BASE64", base64.b64encode(side.data).decode()


def used_share(folder: Path) -> float:
    """How much of a folder's disk is taken, from 0 to 1."""
    usage = shutil.disk_usage(folder)
    return usage.used / (usage.used + usage.free)
