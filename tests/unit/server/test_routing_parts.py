"""What is gathered in memory is written now and then, and at the end."""

from __future__ import annotations

import logging
import threading
from itertools import count
from pathlib import Path

import pytest

from clary.objects.disk import DiskObjects
from clary.routing.ask import Ask
from clary.server.routing_parts import Flusher, build_routing
from clary.settings import Settings
from clary.store.sql import open_store
from tests.model_program import ModelProgram, endpoint_row


def test_works_are_done_when_asked_and_at_the_end() -> None:
    flusher, done = Flusher(), threading.Semaphore(0)
    flusher.works = (lambda: done.release(),)
    flusher.start()
    flusher.hurry()
    assert done.acquire(timeout=10)
    flusher.stop()
    assert done.acquire(timeout=10)


def test_one_that_fails_keeps_no_other_from_being_done(caplog: pytest.LogCaptureFixture) -> None:
    def fail() -> None:
        raise OSError("the disk is full")

    done: list[bool] = []
    flusher = Flusher()
    flusher.works = (fail, lambda: done.append(True))
    with caplog.at_level(logging.ERROR):
        flusher.stop()
    assert done == [True]
    assert "the disk is full" in caplog.text


def test_what_was_measured_last_is_written_when_it_closes(tmp_path: Path) -> None:
    ids = count()
    store = open_store(f"sqlite:///{tmp_path / 'clary.db'}")
    objects = DiskObjects(store.engine, tmp_path / "objects", new_id=lambda digits: f"{next(ids):0{digits}x}")
    settings = Settings(home=tmp_path)
    routing = build_routing(store, objects, settings, lambda: None)
    routing.start()
    with ModelProgram() as program:
        endpoint = store.create(endpoint_row("e", {"v": [program.address]}))
        routing.router.invoke(endpoint, Ask(b"x", {}, None, 10.0))
        routing.close()
    (point,) = store.points("endpoint/e/v", "Invocations")
    assert point.value == 1
    store.close()
