from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from clary.agent.contract import Access
from clary.controllers.fleet import Fleets
from clary.controllers.plan import Station
from clary.controllers.plan_serving import serving_plan
from clary.domain.endpoints import generation_of
from clary.store.sql import open_store
from tests.unit.hosted import ACCOUNT, ASYNC, add_endpoint, variant


def environment(home: Path, own: dict[str, str], **config: Any) -> dict[str, str]:
    """What the program of an instance gets, that was made for an endpoint."""
    store = open_store(f"sqlite:///{home / 'clary.db'}")
    endpoint = add_endpoint(store, now=1.0, **config)
    model = {"ModelName": "m", "PrimaryContainer": {"Image": "i", "Environment": own}}
    wanted = generation_of("e", {"ProductionVariants": [variant()], **config}, {"m": model}, now=1.0)
    endpoint.state["generations"]["g1"].update(wanted)  # type: ignore[attr-defined]
    Fleets(store, ACCOUNT, home, lambda digits: "0" * digits).make(endpoint, "g1", "AllTraffic", 1.0)
    row = store.get("endpoint-instance", "e.00000000")
    assert row is not None
    store.close()
    station = Station(
        access=Access("http://127.0.0.1:1", "us-east-1", "ASIAX", "secret", "token"),
        python="python",
        host="algo-1",
        hosts=("algo-1",),
        cpus=1,
        gpus=(),
        grace_s=30.0,
        usage_period_s=15.0,
    )
    return dict(serving_plan(row, station).environment)


@pytest.mark.parametrize("config", [{}, {"AsyncInferenceConfig": ASYNC}])
def test_an_asynchronous_endpoint_has_time_and_room(tmp_path: Path, config: dict[str, Any]) -> None:
    own = {"A": "1", "SAGEMAKER_MODEL_SERVER_TIMEOUT": ""}
    found = environment(tmp_path, own, **config)
    if not config:
        assert found == own
    else:
        usual = {"SAGEMAKER_MODEL_SERVER_TIMEOUT": "3600", "SAGEMAKER_MAX_PAYLOAD_IN_MB": "1024"}
        assert found == {"A": "1", **usual}


def test_what_the_model_says_itself_wins(tmp_path: Path) -> None:
    own = {"SAGEMAKER_MODEL_SERVER_TIMEOUT": "5"}
    found = environment(tmp_path, own, AsyncInferenceConfig=ASYNC)
    assert found["SAGEMAKER_MODEL_SERVER_TIMEOUT"] == "5"
