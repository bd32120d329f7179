"""A server of many models, fetched from S3 when they are first asked for."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.unit.agent.conftest import FakeS3, make_tar, s3
from tests.unit.serving.running import Answer, Server, serving, wait_until

__all__ = ["s3"]


@pytest.fixture
def server(tmp_path: Path, s3: FakeS3, request: pytest.FixtureRequest) -> Iterator[Server]:
    for name in ("one.tar.gz", "two.tar.gz", "deep/er/three.tar.gz", "wait.tar.gz", "raise.tar.gz"):
        word = name.removesuffix(".tar.gz")
        s3.bucket[f"models/{name}"] = make_tar(
            {"name": word if word in ("wait", "raise") else f"good {name}"}
        )
    s3.bucket["models/broken.tar.gz"] = b"no archive"
    s3.bucket["models/hostile.tar.gz"] = make_tar({"../outside": "x"})
    access = s3.access()
    with serving(
        tmp_path,
        SAGEMAKER_MULTI_MODEL="true",
        CLARY_MODELS_URL="s3://bucket/models",
        CLARY_MODELS_DIR=tmp_path / "models",
        AWS_ENDPOINT_URL=s3.endpoint,
        AWS_REGION=access.region,
        AWS_ACCESS_KEY_ID=access.access_key_id,
        AWS_SECRET_ACCESS_KEY=access.secret_access_key,
        **getattr(request, "param", {}),
    ) as server:
        yield server


def ask(server: Server, model: str, body: str = "model") -> Answer:
    return server.ask(body, X_Amzn_SageMaker_Target_Model=model)


def said(answer: Answer) -> Any:
    return json.loads(answer.body)


def loaded(server: Server) -> list[str]:
    return [one["modelName"] for one in said(server.get("/models"))["models"]]


def test_a_model_is_fetched_when_it_is_first_asked(server: Server, s3: FakeS3) -> None:
    assert said(server.get("/ping")) == {"workers": 0, "models": []}
    assert said(ask(server, "one.tar.gz")) == "good one.tar.gz"
    assert said(ask(server, "deep/er/three.tar.gz")) == "good deep/er/three.tar.gz"
    assert said(ask(server, "one.tar.gz")) == "good one.tar.gz"
    assert loaded(server) == ["deep/er/three.tar.gz", "one.tar.gz"]
    assert s3.requests.count(("GET", "/bucket/models/one.tar.gz")) == 1


@pytest.mark.parametrize("name", ["none.tar.gz", "../models/one.tar.gz", "/one.tar.gz"])
def test_a_model_that_is_not_there_is_404(server: Server, name: str) -> None:
    answer = ask(server, name)
    assert answer.status == 404
    assert said(answer)["type"] == "ModelNotFound"
    assert name in said(answer)["message"]
    assert server.process.poll() is None


def test_a_name_longer_than_any_key_is_404(server: Server, s3: FakeS3) -> None:
    answer = ask(server, "a" * 1024)
    assert (answer.status, said(answer)["type"]) == (404, "ModelNotFound")
    assert not s3.requests


def test_one_that_comes_later_is_found(server: Server, s3: FakeS3) -> None:
    assert ask(server, "new.tar.gz").status == 404
    s3.bucket["models/new.tar.gz"] = make_tar({"name": "good new"})
    assert ask(server, "new.tar.gz").status == 200


@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("raise.tar.gz", "ValueError: no such weights"),
        ("broken.tar.gz", "tar archive"),
        ("hostile.tar.gz", "not safe"),
    ],
)
def test_a_model_that_cannot_be_loaded_fails_alone(server: Server, name: str, message: str) -> None:
    answer = ask(server, name)
    assert answer.status == 500
    assert message in said(answer)["message"]
    assert ask(server, name).status == 500
    assert ask(server, "one.tar.gz").status == 200
    assert not (server.folder / "outside").exists()
    assert server.loads("raise") <= 1


def test_without_a_name_the_request_is_refused(server: Server) -> None:
    answer = server.ask("model")
    assert answer.status == 400
    assert "TargetModel" in said(answer)["message"]


def test_loading_one_does_not_hold_up_another(server: Server) -> None:
    slow = server.asking("model", X_Amzn_SageMaker_Target_Model="wait.tar.gz")
    wait_until(lambda: server.loads("wait") == 1)
    assert ask(server, "one.tar.gz").status == 200
    assert not slow.done()
    (server.folder / "go").touch()
    assert json.loads(slow.result().body) == "wait"


@pytest.mark.parametrize("server", [{"CLARY_MODELS_LOADED": 2}], indirect=True)
def test_the_least_recently_used_makes_room(server: Server) -> None:
    for name in ("one.tar.gz", "two.tar.gz", "one.tar.gz", "deep/er/three.tar.gz"):
        assert ask(server, name).status == 200
    assert loaded(server) == ["one.tar.gz", "deep/er/three.tar.gz"]
    wait_until(lambda: len(list((server.folder / "models").iterdir())) == 2)
    assert said(ask(server, "two.tar.gz")) == "good two.tar.gz"


@pytest.mark.parametrize("server", [{"CLARY_MODELS_LOADED": 1}], indirect=True)
def test_one_that_is_at_work_finishes_before_it_goes(server: Server) -> None:
    gate = server.folder / "gate"
    held = server.asking(f"wait {gate}; model", X_Amzn_SageMaker_Target_Model="one.tar.gz")
    wait_until(Path(f"{gate}.begun").exists)
    assert said(ask(server, "two.tar.gz")) == "good two.tar.gz"
    assert loaded(server) == ["two.tar.gz"]
    gate.touch()
    assert json.loads(held.result().body) == "good one.tar.gz"
    wait_until(lambda: len(list((server.folder / "models").iterdir())) == 1)


@pytest.mark.parametrize("server", [{"CLARY_MODELS_LOADED": 1}], indirect=True)
def test_as_many_as_may_be_loaded_may_be_on_their_way_out(server: Server) -> None:
    gates = [server.folder / "gate1", server.folder / "gate2"]
    held = []
    for gate, name in zip(gates, ("one.tar.gz", "two.tar.gz"), strict=True):
        held.append(server.asking(f"wait {gate}; model", X_Amzn_SageMaker_Target_Model=name))
        wait_until(Path(f"{gate}.begun").exists)
    refused = ask(server, "deep/er/three.tar.gz")
    assert (refused.status, refused.headers["x-clary-refused"]) == (503, "loading")
    gates[0].touch()
    assert json.loads(held[0].result().body) == "good one.tar.gz"
    wait_until(lambda: ask(server, "deep/er/three.tar.gz").status == 200)
    gates[1].touch()
    assert json.loads(held[1].result().body) == "good two.tar.gz"


def test_models_are_loaded_listed_asked_and_unloaded_by_path(server: Server) -> None:
    assert server.ask('{"model_name": "one.tar.gz"}', path="/models").status == 200
    assert server.ask('{"model_name": "one.tar.gz"}', path="/models").status == 409
    assert server.ask('{"model_name": "none"}', path="/models").status == 404
    assert server.ask('{"model": 1}', path="/models").status == 400
    described = said(server.get("/models/one.tar.gz"))
    assert described["modelName"] == "one.tar.gz"
    assert Path(described["modelUrl"], "name").read_text() == "good one.tar.gz"
    assert said(server.ask("model", path="/models/deep%2Fer%2Fthree.tar.gz/invoke")) == (
        "good deep/er/three.tar.gz"
    )
    assert server.ask(method="DELETE", path="/models/one.tar.gz").status == 200
    assert server.ask(method="DELETE", path="/models/one.tar.gz").status == 404
    assert server.get("/models/one.tar.gz").status == 404
    assert loaded(server) == ["deep/er/three.tar.gz"]


def test_it_ends_in_good_order(server: Server) -> None:
    assert ask(server, "one.tar.gz").status == 200
    assert server.stop() == 0
