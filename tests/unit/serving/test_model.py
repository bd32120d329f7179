"""Requests of several clients in one call: each gets its own answer, and a bad one fails alone."""

from __future__ import annotations

import json
import random

import pytest

pytest.importorskip("torch")
pytest.importorskip("transformers")

from tests.unit.serving.folders import LABELS, asked, assert_same, loaded, refused, request, save


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    return save(tmp_path_factory.mktemp("bert"), "bert", "SequenceClassification")


@pytest.fixture(scope="module")
def handler(folder):
    return loaded(folder)


def test_the_report(handler):
    assert handler.report == {
        "way": "padding-free",
        "precision": "fp32",
        "device": "cpu",
        "task": "text-classification",
    }
    assert handler.shared
    assert handler.batch > 1


WORDS = ["good", "bad", "film", "plot", "actor", "slow", "fast", "ending", "scene", "love"]


def test_answers_of_a_batch_are_those_of_each_alone(handler):
    """Texts of all lengths, different parameters, several texts a request: none gets another's answer."""
    documents, dice = [], random.Random(4)
    for number in range(200):
        text = " ".join(dice.choices(WORDS, k=1 + number % 30))
        inputs = [text, {"text": text, "text_pair": WORDS[number % 10]}, [text, WORDS[number % 10]]][
            number % 3
        ]
        parameters = [{}, {"top_k": None}, {"top_k": 2}, {"function_to_apply": "sigmoid"}][number % 4]
        documents.append({"inputs": inputs, "parameters": parameters})
    requests = [request(document) for document in documents]
    alone = [handler.answer([one])[0] for one in requests]
    together = handler.answer(requests)
    assert len({response.body for response in alone}) > 150
    for one, other in zip(alone, together, strict=True):
        assert one.status == other.status == 200
        ours, theirs = _flat(json.loads(one.body)), _flat(json.loads(other.body))
        assert [label for label, _ in ours] == [label for label, _ in theirs]
        assert [score for _, score in ours] == pytest.approx([score for _, score in theirs], abs=1e-5)


def _flat(result):
    if isinstance(result, dict):
        return [(result["label"], result["score"])]
    return [pair for item in result for pair in _flat(item)]


def test_a_bad_request_fails_alone(handler):
    good = request({"inputs": "good film"})
    bad = [
        request(b"{"),
        request({"inputs": 3}),
        request({"inputs": "a", "parameters": 4}),
        request({"inputs": "a", "parameters": {"trust_remote_code": True}}),
        request({"inputs": "a", "parameters": {"function_to_apply": "cube"}}),
        request({"inputs": {"text": "a", "pair": "b"}}),
        request(b"a", "video/mp4"),
        request({"inputs": "a"}, accept="text/html"),
        request({"inputs": "a"}, accept="application/x-npy"),
        request({"inputs": "a", "parameters": {"colour": "red"}}),
    ]
    requests = [one for other in bad for one in (good, other)] + [good]
    responses = handler.answer(requests)
    assert [response.status for response in responses[1::2]] == [*[400] * 6, 415, 406, 406, 400]
    assert {response.status for response in responses[::2]} == {200}
    labels = {json.loads(response.body)[0]["label"] for response in responses[::2]}
    assert len(labels) == 1


def test_a_batch_that_fails_is_run_one_by_one(handler, monkeypatch, capsys):
    encoder = handler._predictor._reader.encoder
    outputs = type(encoder).outputs

    def fails_with_long_ones(self, read):
        if read.lengths.max() > 20:
            raise RuntimeError("no memory for that")
        return outputs(self, read)

    monkeypatch.setattr(type(encoder), "outputs", fails_with_long_ones)
    texts = ["good", "bad " * 30, "slow film"]
    responses = handler.answer([request({"inputs": text}) for text in texts])
    assert [response.status for response in responses] == [200, 500, 200]
    error = json.loads(responses[1].body)
    assert error == {
        "code": 500,
        "type": "PredictionFailed",
        "message": "the model failed: RuntimeError: no memory for that",
    }
    assert "fails_with_long_ones" in capsys.readouterr().err


def test_text_over_the_limit_is_cut_with_a_note(handler):
    cut, fits, pair = handler.answer(
        [
            request({"inputs": ["good", "bad " * 300, "slow " * 41]}),
            request({"inputs": "good " * 38}),
            request({"inputs": {"text": "good " * 50, "text_pair": "bad"}}),
        ]
    )
    assert cut.headers == {"X-Clary-Note": "truncated 2 of 3 inputs to 40 tokens"}
    assert fits.headers == {}
    assert pair.headers == {"X-Clary-Note": "truncated 1 of 1 inputs to 40 tokens"}
    assert asked(handler, "bad " * 300) == asked(handler, "bad " * 38)


def test_text_over_the_limit_may_be_refused(folder):
    handler = loaded(folder, environment={"CLARY_TRUNCATE": "false"})
    long, short = handler.answer([request({"inputs": "bad " * 98}), request({"inputs": "bad"})])
    assert (long.status, short.status) == (400, 200)
    message = json.loads(long.body)["message"]
    assert "100 tokens, the model takes 40" in message
    assert "CLARY_TRUNCATE=true" in message
    assert asked(handler, "bad " * 98, {"truncation": True})  # where the client asks for it


def test_other_documents(handler):
    right = asked(handler, "good film")
    for document, content_type in (
        ('"good film"', "application/json"),
        ('{"text": "good film"}', "application/json"),
        ('["good film"]', "application/json"),
        ("inputs\ngood film\n", "text/csv"),
        ("text\ngood film\n", "text/csv"),
        ("good film", "text/plain"),
        ('{"inputs": "good film"}\n', "application/jsonlines"),
    ):
        (response,) = handler.answer([request(document.encode(), content_type)])
        assert response.status == 200, response.body
        found = json.loads(response.body)
        assert (found if isinstance(found, list) else [found]) == right


def test_records_of_json_lines_are_answered_line_by_line(handler):
    records = [{"inputs": text, "parameters": {"top_k": None}} for text in ("good", "bad " * 60, "slow film")]
    body = "\n".join(json.dumps(record) for record in records).encode()
    (response,) = handler.answer([request(body, "application/jsonlines")])
    assert response.content_type == "application/jsonlines"
    assert response.headers["X-Clary-Note"] == "truncated 1 of 1 inputs to 40 tokens"
    lines = [json.loads(line) for line in response.body.splitlines()]
    assert_same(lines, [asked(handler, **record) for record in records])
    (as_list,) = handler.answer([request(body, "application/jsonlines", "application/json")])
    assert json.loads(as_list.body) == lines


def test_a_bad_record_is_named(handler):
    status, message = refused(handler, b'{"inputs": "a"}\n{"inputs": 3}\n', "application/jsonlines")
    assert status == 400
    assert message.startswith("record 2: inputs")


def test_arrays_of_texts(handler):
    import io

    import numpy as np

    stream = io.BytesIO()
    np.save(stream, np.asarray(["good film", "bad"]))
    (response,) = handler.answer([request(stream.getvalue(), "application/x-npy")])
    assert [one["label"] in LABELS for one in json.loads(response.body)] == [True, True]


def test_half_a_character_is_refused(handler):
    status, message = refused(handler, b'{"inputs": "\\ud83d"}')
    assert status == 400
    assert "half of a character" in message


def test_nothing_to_answer(handler):
    assert handler.answer([]) == []
    assert asked(handler, []) == []


def test_the_usual_answer_may_be_set(folder):
    handler = loaded(folder, environment={"SAGEMAKER_DEFAULT_INVOCATIONS_ACCEPT": "text/csv"})
    (response,) = handler.answer([request({"inputs": "good"})])
    assert response.content_type == "text/csv"
    assert response.body.startswith(b"label,score")
