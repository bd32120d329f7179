"""Text generation: what the pipeline makes, prompts of any length, and pieces while they are made."""

from __future__ import annotations

import json
import threading

import pytest

torch = pytest.importorskip("torch")
transformers = pytest.importorskip("transformers")

from clary.serving.handler import Response  # noqa: E402
from tests.unit.serving.folders import asked, loaded, refused, request, save_gpt2  # noqa: E402

GREEDY = {"do_sample": False, "max_new_tokens": 8}
POSITIONS = 48


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    return save_gpt2(tmp_path_factory.mktemp("gpt2"), positions=POSITIONS)


@pytest.fixture(scope="module")
def handler(folder):
    return loaded(folder)


@pytest.fixture(scope="module")
def pipeline(folder):
    return transformers.pipeline("text-generation", model=str(folder), device="cpu")


@pytest.mark.parametrize("inputs", ["good film", "the plot — 映画 😀", ["good film", "bad"], ["a"]], ids=str)
@pytest.mark.parametrize(
    "given",
    [GREEDY, GREEDY | {"return_full_text": False}, GREEDY | {"num_beams": 3, "num_return_sequences": 2}],
)
def test_text_is_the_pipelines(handler, pipeline, inputs, given):
    right = pipeline(inputs, **given)
    assert asked(handler, inputs, given) == right
    assert handler.report["task"] == "text-generation"
    assert (handler.batch, handler.shared) == (1, True)


def streamed(handler, inputs, **given):
    return list(handler.stream(request({"inputs": inputs, "parameters": given})))


def test_pieces_together_are_the_new_text(handler, pipeline):
    pieces = streamed(handler, "good film", **GREEDY)
    assert len(pieces) > 1
    (whole,) = pipeline("good film", return_full_text=False, **GREEDY)
    assert b"".join(pieces).decode().strip() == whole["generated_text"].strip()
    again = streamed(handler, "good film", return_full_text=True, **GREEDY)
    assert b"".join(again).decode().startswith("good film")


def test_what_cannot_be_streamed(handler):
    for inputs, given in (
        (["a", "b"], {}),
        ("a", {"num_beams": 2}),
        (3, {}),
        ([{"role": "user", "content": "a"}], {}),
        ("a", {"max_new_tokens": -1}),
        ("a", {"colour": "red"}),
    ):
        (response,) = streamed(handler, inputs, **given)
        assert isinstance(response, Response)
        assert response.status == 400, response.body
    (response,) = handler.stream(request(b"{"))
    assert response.status == 400


def test_nobody_listens_any_more(handler):
    stream = handler.stream(
        request({"inputs": "good", "parameters": {"do_sample": False, "max_new_tokens": 40}})
    )
    assert isinstance(next(stream), bytes)
    stream.close()
    assert not [thread for thread in threading.enumerate() if thread.name == "clary-generation"]


def test_a_prompt_over_the_limit_loses_its_beginning(handler, pipeline):
    prompt = "bad " * 100 + "good film"
    (response,) = handler.answer(
        [request({"inputs": prompt, "parameters": GREEDY | {"return_full_text": False}})]
    )
    assert response.headers["X-Clary-Note"] == f"truncated 1 of 1 inputs to {POSITIONS - 8} tokens"
    (made,) = json.loads(response.body)
    ids = pipeline.tokenizer(prompt, return_tensors="pt")["input_ids"][:, -(POSITIONS - 8) :]
    right = pipeline.model.generate(ids, do_sample=False, max_new_tokens=8)[0, POSITIONS - 8 :]
    assert made["generated_text"].strip() == pipeline.tokenizer.decode(right, skip_special_tokens=True)


def test_more_than_the_model_has_room_for(handler):
    for given in ({"max_new_tokens": 500}, {"max_length": 500}, {}):
        document = {"inputs": "good film", "parameters": {"do_sample": False, **given}}
        (response,) = handler.answer([request(document)])
        assert response.status == 200
        assert "together take at most 48" in response.headers["X-Clary-Note"]


def test_a_prompt_over_the_limit_may_be_refused(folder):
    handler = loaded(folder, environment={"CLARY_TRUNCATE": "false"})
    status, message = refused(handler, {"inputs": "bad " * 100})
    assert status == 400
    assert "102 tokens, the model takes 48" in message
    assert "CLARY_TRUNCATE" in message


def test_a_fault_of_the_model_is_told_on_the_stream(folder, monkeypatch):
    handler = loaded(folder)

    def broken(*_, **__):
        raise RuntimeError("out of memory")

    monkeypatch.setattr(type(handler._predictor.made.model), "generate", broken)
    (response,) = streamed(handler, "good", **GREEDY)
    assert response.status == 500
    assert "out of memory" in json.loads(response.body)["message"]
    assert refused(handler, {"inputs": "good"})[0] == 500


def test_a_stream_of_another_model_is_its_answer(tmp_path):
    from tests.unit.serving.folders import save

    handler = loaded(save(tmp_path, "bert", "SequenceClassification"))
    (piece,) = handler.stream(request({"inputs": "good film"}))
    assert piece == handler.answer([request({"inputs": "good film"})])[0].body
    (response,) = handler.stream(request({"inputs": 3}))
    assert response.status == 400
