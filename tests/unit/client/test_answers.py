"""Waiting for asynchronous answers under the shim."""

from __future__ import annotations

import importlib
import threading
import time
from types import ModuleType
from typing import Any

import pytest


@pytest.fixture
def answers(shim: Any, monkeypatch: pytest.MonkeyPatch) -> Any:
    module = importlib.import_module("clary_shim.answers")
    monkeypatch.setattr(module, "current", lambda: "a server")
    return module


def module(name: str, **values: Any) -> ModuleType:
    made = ModuleType(name)
    made.__dict__.update(values)
    return made


def test_the_predictors_threads_end_with_the_program(answers: Any) -> None:
    predictor = module("sagemaker.predictor_async", threading=threading)
    answers.patch(predictor)
    assert predictor.threading.Thread(target=print).daemon
    assert predictor.threading.Event is threading.Event
    assert not threading.Thread(target=print).daemon


def test_only_their_first_sleeps_end_with_a_change(answers: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    slept: list[tuple[str, float]] = []
    monkeypatch.setattr(answers.CLOCK, "wait", lambda target, seconds: slept.append((target, seconds)))
    monkeypatch.setattr(answers.time, "sleep", lambda seconds: slept.append(("really", seconds)))
    waiter = module("botocore.waiter", time=time)
    answers.patch(waiter)

    def look() -> None:
        for _ in range(answers.QUICK_SLEEPS + 2):
            waiter.time.sleep(15)

    looking = answers.Looking(target=look)
    looking.start()
    looking.join()
    assert slept == [("a server", 15)] * answers.QUICK_SLEEPS + [("really", 15)] * 2


def test_other_waiters_sleep_as_ever(answers: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    slept: list[float] = []
    monkeypatch.setattr(answers.time, "sleep", slept.append)
    waiter = module("botocore.waiter", time=time)
    answers.patch(waiter)
    waiter.time.sleep(30)
    assert slept == [30]
    assert waiter.time.monotonic is time.monotonic


def test_other_modules_are_left_as_they_are(answers: Any) -> None:
    other = module("sagemaker.session", threading=threading, time=time)
    answers.patch(other)
    assert (other.threading, other.time) == (threading, time)
