"""The page of a study's beliefs over a real store."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from clary.errors import ValidationException
from clary.services import tuning_belief
from clary.store.base import Point, Resource
from clary.store.sql import SqlStore, open_store

FULL = 9


@pytest.fixture
def store(tmp_path: Path) -> Iterator[SqlStore]:
    opened = open_store(f"sqlite:///{tmp_path / 'clary.db'}")
    yield opened
    opened.close()


def study(store: SqlStore, strategy: str) -> None:
    """Eight children whose value after FULL steps would be 0.9 for all; every other one stopped at step 1 with 0.1."""
    children: dict[str, Any] = {}
    for number in range(8):
        steps = FULL if number % 2 else 1
        curve = [0.1 * step for step in range(1, steps + 1)]
        children[f"s-{number}"] = {
            "number": number + 1,
            "draw": number + 1,
            "definition": 0,
            "values": {"x": str(number / 7)},
            "status": "Completed" if steps == FULL else "Stopped",
            "objective": curve[-1],
        }
        store.append(
            Point(f"training-job/s-{number}", "f1", 1.0 + at, value) for at, value in enumerate(curve)
        )
    ranges = {"ContinuousParameterRanges": [{"Name": "x", "MinValue": "0", "MaxValue": "1"}]}
    spec = {
        "HyperParameterTuningJobConfig": {
            "Strategy": strategy,
            "StrategyConfig": {"HyperbandStrategyConfig": {"MaxResource": FULL}},
            "HyperParameterTuningJobObjective": {"Type": "Maximize", "MetricName": "f1"},
            "ResourceLimits": {"MaxParallelTrainingJobs": 1},
            "ParameterRanges": ranges,
        },
        "TrainingJobDefinition": {},
    }
    state = {"seed": 1, "children": children}
    arn = "arn:aws:sagemaker:us-east-1:123456789012:hyper-parameter-tuning-job/s"
    store.create(
        Resource("hyper-parameter-tuning-job", "s", arn, "Completed", spec, state, created=1.0, modified=1.0)
    )


def lowest_mean(page: dict[str, Any]) -> float:
    return min(page["definitions"][0]["belief"]["responses"][0]["mean"])


def test_hyperbands_stopped_children_are_believed_as_if_they_had_gone_on(store: SqlStore) -> None:
    study(store, "Hyperband")
    assert lowest_mean(tuning_belief.read(store, "s")) > 0.7


def test_elsewhere_a_last_value_is_what_it_is(store: SqlStore) -> None:
    study(store, "Bayesian")
    assert lowest_mean(tuning_belief.read(store, "s")) < 0.7


def test_an_unknown_study_is_not_found(store: SqlStore) -> None:
    with pytest.raises(ValidationException, match="not found"):
        tuning_belief.read(store, "none")
